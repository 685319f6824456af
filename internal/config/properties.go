package config

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// PropertiesMax is the largest properties text that is read, in bytes.
const PropertiesMax = 1 << 20

// SyntaxError is a line of a properties file that cannot be read.
type SyntaxError struct {
	Line  int // from 1
	Cause string
}

// Error is line and cause.
func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Cause) }

// ParseProperties reads a text in the format of java.util.Properties as UTF-8.
// The origin of each setting is "line N"; the caller may put a file name before
// it. A key that appears twice is returned twice. The error is a *SyntaxError.
//
// Java's rules hold: # and ! begin a comment line; = or : or a blank ends a key;
// a backslash at the end of a line continues it without the next line's leading
// blanks; \t \n \r \f and \uXXXX are escapes, and a backslash before anything
// else is dropped. Blanks at the end of a value belong to it, as in Java; the
// types of settings drop them.
func ParseProperties(data []byte) ([]Setting, error) {
	if len(data) > PropertiesMax {
		return nil, &SyntaxError{Line: 1, Cause: fmt.Sprintf("the text is larger than %d bytes", PropertiesMax)}
	}
	p := propertiesParser{rest: strings.TrimPrefix(string(data), "\ufeff")}
	var list []Setting
	for p.nextLogical() {
		if !utf8.ValidString(p.logical) {
			return nil, &SyntaxError{Line: p.start, Cause: "not UTF-8; write other characters as \\uXXXX"}
		}
		key, value, err := splitProperty(p.logical)
		if err != nil {
			return nil, &SyntaxError{Line: p.start, Cause: err.Error()}
		}
		list = append(list, Setting{Key: key, Value: value, Origin: fmt.Sprintf("line %d", p.start)})
	}
	return list, nil
}

const blanks = " \t\f"

type propertiesParser struct {
	rest    string
	line    int    // natural lines read
	start   int    // first natural line of logical
	logical string // with its continuations, escapes still in it
}

// nextLogical reads the next line that is neither blank nor a comment.
func (p *propertiesParser) nextLogical() bool {
	for p.rest != "" {
		line := strings.TrimLeft(p.natural(), blanks)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		p.start = p.line
		var whole strings.Builder
		for continued(line) {
			whole.WriteString(line[:len(line)-1])
			line = ""
			if p.rest != "" {
				line = strings.TrimLeft(p.natural(), blanks)
			}
		}
		whole.WriteString(line)
		if p.logical = whole.String(); p.logical != "" {
			return true
		}
	}
	return false
}

// natural takes the next line off the rest; \n, \r and \r\n end one.
func (p *propertiesParser) natural() string {
	p.line++
	i := strings.IndexAny(p.rest, "\r\n")
	if i < 0 {
		line := p.rest
		p.rest = ""
		return line
	}
	line, after := p.rest[:i], p.rest[i+1:]
	if p.rest[i] == '\r' {
		after = strings.TrimPrefix(after, "\n")
	}
	p.rest = after
	return line
}

// continued reports whether the line ends in an odd number of backslashes.
func continued(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

func splitProperty(line string) (key, value string, err error) {
	end := 0
	for end < len(line) && !strings.ContainsRune("=:"+blanks, rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	rest := strings.TrimLeft(line[end:], blanks)
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], blanks)
	}
	if key, err = unescape(line[:end]); err != nil {
		return "", "", err
	}
	if key == "" {
		return "", "", fmt.Errorf("the key is missing")
	}
	value, err = unescape(rest)
	return key, value, err
}

// unescape resolves the escapes. \u names a UTF-16 unit, and two of them may
// make one character.
func unescape(text string) (string, error) {
	if !strings.Contains(text, `\`) {
		return text, nil
	}
	var out strings.Builder
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			out.WriteByte(text[i])
			i++
			continue
		}
		if i+1 == len(text) {
			break // a backslash that ends the text escapes nothing
		}
		if text[i+1] != 'u' {
			out.WriteByte(plainEscape(text[i+1]))
			i += 2
			continue
		}
		r, n, err := unicodeEscape(text[i:])
		if err != nil {
			return "", err
		}
		out.WriteRune(r)
		i += n
	}
	return out.String(), nil
}

func plainEscape(c byte) byte {
	switch c {
	case 't':
		return '\t'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 'f':
		return '\f'
	}
	return c
}

// unicodeEscape reads one \uXXXX, or two that are a surrogate pair, and returns
// how many bytes they take.
func unicodeEscape(text string) (rune, int, error) {
	first, err := utf16Unit(text)
	if err != nil {
		return 0, 0, err
	}
	const size = 6
	if utf16.IsSurrogate(first) {
		if second, err := utf16Unit(text[size:]); err == nil {
			if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
				return r, 2 * size, nil
			}
		}
		return 0, 0, fmt.Errorf(`%s is half of a character`, text[:size])
	}
	return first, size, nil
}

func utf16Unit(text string) (rune, error) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, fmt.Errorf(`\u wants four hexadecimal digits`)
	}
	var r rune
	for _, c := range []byte(text[2:6]) {
		digit := strings.IndexByte("0123456789abcdef", c|0x20)
		if digit < 0 || (c < 'A' && c > '9') || c < '0' {
			return 0, fmt.Errorf(`\u wants four hexadecimal digits`)
		}
		r = r<<4 | rune(digit)
	}
	return r, nil
}
