package config_test

import (
	"errors"
	"strings"
	"testing"

	"holdfast/internal/config"
)

// escape writes a text so that ParseProperties must read it back.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch r {
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\f':
			b.WriteString(`\f`)
		default:
			if strings.ContainsRune(`\ =:#!`, r) {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Whatever the text, the parser ends, blames an existing line, and what it read
// can be written down and read again.
func FuzzParseProperties(f *testing.F) {
	for _, seed := range []string{"a=b", "a\\\n b:c", "#x\n!y\nk\\u0041=\\ud83d\\ude00", "\\", "=\n", "a\\", "\ufeff a = b\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := config.ParseProperties(data)
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + 1
		if err != nil {
			var syntax *config.SyntaxError
			if !errors.As(err, &syntax) || syntax.Line < 1 || syntax.Line > lines {
				t.Fatalf("%v of %d lines", err, lines)
			}
			return
		}
		var text strings.Builder
		for _, s := range list {
			text.WriteString(escape(s.Key) + "=" + escape(s.Value) + "\n")
		}
		again, err := config.ParseProperties([]byte(text.String()))
		if err != nil || len(again) != len(list) {
			if text.Len() > config.PropertiesMax {
				return
			}
			t.Fatalf("%q does not read back: %v", text.String(), err)
		}
		for i := range list {
			if again[i].Key != list[i].Key || again[i].Value != list[i].Value {
				t.Fatalf("%q=%q came back as %q=%q", list[i].Key, list[i].Value, again[i].Key, again[i].Value)
			}
		}
	})
}

// Any listener text either resolves or is refused with a cause; what resolves
// prints so that it resolves again to the same.
func FuzzListeners(f *testing.F) {
	f.Add("PLAINTEXT://:9092", "PLAINTEXT://a:1")
	f.Add("A://[::1]:1,B://x:0", "")
	f.Add("://", "a://b")
	f.Fuzz(func(t *testing.T, listeners, advertised string) {
		s := []config.Setting{{Key: "listeners", Value: listeners}, {Key: "advertised.listeners", Value: advertised}}
		b, _, err := config.Load(config.Sources{File: s, Hostname: "box"})
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Fatal("an error without words")
			}
			return
		}
		var bind, told []string
		for _, l := range b.Listeners {
			bind = append(bind, l.String())
			told = append(told, l.Name+"://"+l.Advertised.String())
		}
		s[0].Value, s[1].Value = strings.Join(bind, ","), strings.Join(told, ",")
		again, _, err := config.Load(config.Sources{File: s, Hostname: "box"})
		if err != nil {
			t.Fatalf("%v does not read back: %v", s, err)
		}
		for i := range b.Listeners {
			if again.Listeners[i] != b.Listeners[i] {
				t.Fatalf("%v came back as %v", b.Listeners[i], again.Listeners[i])
			}
		}
	})
}

// Any value for any topic setting is accepted or refused, never both.
func FuzzTopicSetting(f *testing.F) {
	f.Add("retention.ms", "1")
	f.Add("cleanup.policy", "compact, delete")
	f.Add("leader.replication.throttled.replicas", "1:2,*")
	f.Fuzz(func(t *testing.T, key, value string) {
		settings := map[string]string{key: value}
		err := config.ValidateTopic(settings)
		topic, err2 := config.ResolveTopic(config.Default(), settings)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("validate: %v, resolve: %v", err, err2)
		}
		if err == nil && (!topic.Compact && !topic.Delete || topic.MaxMessageBytes < 0 || topic.SegmentMs < 1) {
			t.Fatalf("%s=%q gives %+v", key, value, topic)
		}
	})
}
