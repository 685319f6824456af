package main

import (
	"fmt"
	"strconv"
	"strings"
)

// forever is the upper version of a field that no version drops.
const forever = 1 << 14

// api is one request kind: its two messages and the structures they share.
type api struct {
	name     string // Go name: the prefix of every type
	kafka    string // the protocol's own name
	key      int
	max      int
	flexible int // forever: never
	frameCap int // 0: computed
	factor   int // 0: computed
	request  *object
	response *object
	shared   []*object
}

// object is a structure on the wire.
type object struct {
	name   string
	fields []*field
}

// field is one member of an object.
type field struct {
	name      string
	kind      string // primitive, "struct", or "enum"
	typeName  string // Go name for "struct" and "enum"
	object    *object
	owned     bool // object is declared here, not shared
	array     bool
	nullSince int // forever: never null
	since     int
	until     int
	tag       int // -1: not tagged
	def       string
}

// enum is a number with named values.
type enum struct {
	name   string
	kind   string
	values [][2]string
}

// schema is everything in the schema folder.
type schema struct {
	apis   []*api
	enums  map[string]*enum
	order  []*enum
	shared map[string]*object
}

var primitives = map[string]bool{
	"bool": true, "int8": true, "int16": true, "int32": true, "int64": true, "uint16": true,
	"float64": true, "uuid": true, "string": true, "bytes": true,
}

// level is an object whose members stand at an indentation.
type level struct {
	indent int
	object *object
}

// parser reads one file.
type parser struct {
	out    *schema
	file   string
	line   int
	api    *api
	enum   *enum
	levels []level
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", p.file, p.line, fmt.Sprintf(format, args...))
}

// parse adds the text of one schema file to p.out.
func (p *parser) parse(text string) error {
	for i, line := range strings.Split(text, "\n") {
		p.line = i + 1
		body := strings.TrimSpace(line)
		if body == "" || strings.HasPrefix(body, "#") {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " "))
		var err error
		switch {
		case indent == 0:
			err = p.head(strings.Fields(body))
		case p.enum != nil:
			err = p.value(body)
		default:
			err = p.member(indent, body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) head(words []string) error {
	p.enum = nil
	switch words[0] {
	case "api":
		return p.apiHead(words)
	case "limits":
		return p.limits(words)
	case "request":
		p.api.request = &object{name: p.api.name + "Request"}
		p.levels = []level{{0, p.api.request}}
	case "response":
		p.api.response = &object{name: p.api.name + "Response"}
		p.levels = []level{{0, p.api.response}}
	case "struct":
		o := &object{name: words[1]}
		p.api.shared = append(p.api.shared, o)
		p.out.shared[o.name] = o
		p.levels = []level{{0, o}}
	case "enum":
		p.enum = &enum{name: words[1], kind: words[2]}
		p.out.enums[p.enum.name] = p.enum
		p.out.order = append(p.out.order, p.enum)
	default:
		return p.errorf("unknown word %q", words[0])
	}
	return nil
}

// apiHead reads: api NAME KEY versions 0-MAX (flexible N+ | rigid) [name X].
func (p *parser) apiHead(words []string) error {
	if len(words) < 6 || words[3] != "versions" {
		return p.errorf("want: api NAME KEY versions 0-MAX flexible N+")
	}
	a := &api{name: words[1], kafka: words[1], flexible: forever}
	var err error
	if a.key, err = strconv.Atoi(words[2]); err != nil {
		return p.errorf("key %q", words[2])
	}
	if a.max, err = strconv.Atoi(strings.TrimPrefix(words[4], "0-")); err != nil {
		return p.errorf("versions %q", words[4])
	}
	rest := words[6:]
	if words[5] == "flexible" {
		if a.flexible, err = strconv.Atoi(strings.TrimSuffix(words[6], "+")); err != nil {
			return p.errorf("flexible %q", words[6])
		}
		rest = words[7:]
	}
	if len(rest) == 2 && rest[0] == "name" {
		a.kafka = rest[1]
	}
	p.api = a
	p.out.apis = append(p.out.apis, a)
	return nil
}

// limits reads: limits cap BYTES [factor N].
func (p *parser) limits(words []string) error {
	for i := 1; i+1 < len(words); i += 2 {
		n, err := strconv.Atoi(words[i+1])
		if err != nil {
			return p.errorf("limit %q", words[i+1])
		}
		switch words[i] {
		case "cap":
			p.api.frameCap = n
		case "factor":
			p.api.factor = n
		default:
			return p.errorf("unknown limit %q", words[i])
		}
	}
	return nil
}

func (p *parser) value(body string) error {
	name, number, ok := strings.Cut(body, ": ")
	if !ok {
		return p.errorf("want NAME: NUMBER")
	}
	p.enum.values = append(p.enum.values, [2]string{name, number})
	return nil
}

func (p *parser) member(indent int, body string) error {
	for len(p.levels) > 1 && p.levels[len(p.levels)-1].indent >= indent {
		p.levels = p.levels[:len(p.levels)-1]
	}
	parent := p.levels[len(p.levels)-1].object
	name, rest, ok := strings.Cut(body, ": ")
	if !ok {
		return p.errorf("want NAME: TYPE")
	}
	f := &field{name: name, nullSince: forever, until: forever, tag: -1}
	words := strings.Fields(rest)
	if err := p.attributes(f, words[1:]); err != nil {
		return err
	}
	if f.tag >= 0 && (f.since != 0 || f.until != forever) {
		return p.errorf("a tagged field cannot have versions")
	}
	if err := p.fieldType(f, parent, words[0]); err != nil {
		return err
	}
	parent.fields = append(parent.fields, f)
	if f.object != nil {
		p.levels = append(p.levels, level{indent, f.object})
	}
	return nil
}

// attributes reads: [= DEFAULT] [@N+ | @N-M] [#TAG].
func (p *parser) attributes(f *field, words []string) error {
	for i := 0; i < len(words); i++ {
		w := words[i]
		var err error
		switch {
		case w == "=" && i+1 < len(words):
			i++
			f.def = words[i]
		case strings.HasPrefix(w, "#"):
			f.tag, err = strconv.Atoi(w[1:])
		case strings.HasPrefix(w, "@"):
			f.since, f.until, err = versions(w[1:])
		default:
			err = fmt.Errorf("unknown attribute")
		}
		if err != nil {
			return p.errorf("attribute %q: %v", w, err)
		}
	}
	return nil
}

// versions reads N+ or N-M.
func versions(s string) (since, until int, err error) {
	low, high, ranged := strings.Cut(s, "-")
	until = forever
	if ranged {
		if until, err = strconv.Atoi(high); err != nil {
			return 0, 0, err
		}
	}
	since, err = strconv.Atoi(strings.TrimSuffix(low, "+"))
	return since, until, err
}

// fieldType reads: [?[N:]] [[]] (primitive | &Shared | struct | Element).
func (p *parser) fieldType(f *field, parent *object, t string) error {
	if strings.HasPrefix(t, "?") {
		t, f.nullSince = t[1:], 0
		if n, rest, ok := strings.Cut(t, ":"); ok {
			v, err := strconv.Atoi(n)
			if err != nil {
				return p.errorf("null since %q", n)
			}
			t, f.nullSince = rest, v
		}
	}
	if strings.HasPrefix(t, "[]") {
		t, f.array = t[2:], true
	}
	switch {
	case primitives[t]:
		f.kind = t
	case strings.HasPrefix(t, "&"):
		f.kind, f.typeName = "shared", t[1:]
	case t == "struct":
		f.kind, f.typeName = "struct", parent.name+f.name
		f.object, f.owned = &object{name: f.typeName}, true
	case f.array:
		f.kind, f.typeName = "struct", parent.name+t
		f.object, f.owned = &object{name: f.typeName}, true
	default:
		return p.errorf("unknown type %q", t)
	}
	return nil
}

// link resolves the references between files.
func (s *schema) link() error {
	for _, a := range s.apis {
		for _, o := range append([]*object{a.request, a.response}, a.shared...) {
			if err := s.linkObject(o); err != nil {
				return fmt.Errorf("api %s: %w", a.name, err)
			}
		}
	}
	return nil
}

func (s *schema) linkObject(o *object) error {
	for _, f := range o.fields {
		switch {
		case f.kind == "struct":
			if err := s.linkObject(f.object); err != nil {
				return err
			}
		case f.kind != "shared":
		case s.enums[f.typeName] != nil:
			f.kind = "enum"
		case s.shared[f.typeName] != nil:
			f.kind, f.object = "struct", s.shared[f.typeName]
		default:
			return fmt.Errorf("field %s.%s: unknown type %q", o.name, f.name, f.typeName)
		}
	}
	return nil
}
