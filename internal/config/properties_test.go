package config_test

import (
	"errors"
	"strings"
	"testing"

	"holdfast/internal/config"
)

func TestParseProperties_JavasRules(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a=b", "1:a=b"},
		{"a = b", "1:a=b"},
		{"a:b", "1:a=b"},
		{"a b", "1:a=b"},
		{"a\t=\tb=c", "1:a=b=c"},
		{"a", "1:a="},
		{"  a=b  ", "1:a=b  "},
		{"# no\n! no\n\n   \na=b", "5:a=b"},
		{"a=b\r\nc=d\re=f", "1:a=b|2:c=d|3:e=f"},
		{"a=b\\\n   c\nd=e", "1:a=bc|3:d=e"},
		{"a=b\\\\\nc=d", "1:a=b\\|2:c=d"},
		{"a=b\\\n#c", "1:a=b#c"},
		{"a=b\\", "1:a=b"},
		{`a\ b=c`, "1:a b=c"},
		{`a\=b=c`, "1:a=b=c"},
		{`a=\t\n\q\\`, "1:a=\t\nq\\"},
		{`a=\u00e4\u20AC`, "1:a=ä€"},
		{`a=\ud83d\ude00`, "1:a=😀"},
		{"a=ä", "1:a=ä"},
		{"\ufeffa=b", "1:a=b"},
		{"a=1\na=2", "1:a=1|2:a=2"},
		{"", ""},
		{"\\\n", ""},
	} {
		list, err := config.ParseProperties([]byte(c.text))
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		var got []string
		for _, s := range list {
			got = append(got, strings.TrimPrefix(s.Origin, "line ")+":"+s.Key+"="+s.Value)
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%q: %q, want %q", c.text, strings.Join(got, "|"), c.want)
		}
	}
}

func TestParseProperties_ErrorsHaveLines(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
	}{
		{"a=b\n=c", 2},
		{"a=b\n\nc=\\u12", 3},
		{"a=\\uzzzz", 1},
		{"a=\\ud83d", 1},
		{"a=\\ud83dx", 1},
		{"a=b\\\nc\n\xff=1", 3},
		{strings.Repeat("a", config.PropertiesMax+1), 1},
	} {
		_, err := config.ParseProperties([]byte(c.text))
		var syntax *config.SyntaxError
		if !errors.As(err, &syntax) || syntax.Line != c.line {
			t.Errorf("%.40q: %v, want an error in line %d", c.text, err, c.line)
		}
	}
}
