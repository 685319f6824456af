package main

import (
	"fmt"
	"strings"
)

// codecs writes the decode and append methods of o.
func (e *emitter) codecs(o *object) {
	e.printf("func (v *%s) decode(r *bin.Reader, version int16, flex bool) {\n", o.name)
	if o.hasDefaults() && o != e.api.request && o != e.api.response {
		e.printf("v.Default()\n")
	}
	for _, f := range o.fields {
		if f.tag < 0 {
			e.guarded(f, e.decodeField)
		}
	}
	e.decodeTags(o)
	e.printf("}\n\n")
	e.printf("func (v *%s) append(dst []byte, version int16, flex bool) []byte {\n", o.name)
	for _, f := range o.fields {
		if f.tag < 0 {
			e.guarded(f, e.appendField)
		}
	}
	e.appendTags(o)
	e.printf("return dst\n}\n\n")
}

// guarded writes the code of f under its version condition.
func (e *emitter) guarded(f *field, write func(*field)) {
	c := f.condition()
	if c != "" {
		e.printf("if %s {\n", c)
	}
	write(f)
	if c != "" {
		e.printf("}\n")
	}
}

// nullForm writes the nullable form of some code, the strict form, or both
// under a condition when null became legal in a later version.
func (e *emitter) nullForm(f *field, nullable, strict string) {
	switch {
	case !f.nullable():
		e.printf("%s\n", strict)
	case f.nullSince <= f.since:
		e.printf("%s\n", nullable)
	default:
		e.printf("if version >= %d {\n%s\n} else {\n%s\n}\n", f.nullSince, nullable, strict)
	}
}

var readers = map[string]string{
	"bool": "Bool", "int8": "Int8", "int16": "Int16", "int32": "Int32", "int64": "Int64", "uint16": "Uint16",
	"float64": "Float64", "uuid": "UUID",
}

func (e *emitter) decodeField(f *field) {
	switch {
	case f.array:
		e.decodeArray(f)
	case f.kind == "string" && f.nullable():
		e.nullForm(f, "v."+f.name+" = r.NullableString(flex)", "v."+f.name+" = r.StringPointer(flex)")
	case f.kind == "string":
		e.printf("v.%s = r.String(flex)\n", f.name)
	case f.kind == "bytes":
		e.nullForm(f, "v."+f.name+" = r.NullableBytes(flex)", "v."+f.name+" = r.Bytes(flex)")
	case f.isObject() && f.nullable():
		e.printf("v.%s = nil\nif r.Present() {\n", f.name)
		e.printf("if v.%s = one[%s](r); v.%s == nil { return }\n", f.name, f.typeName, f.name)
		e.printf("v.%s.decode(r, version, flex)\n}\n", f.name)
	case f.isObject():
		e.printf("v.%s.decode(r, version, flex)\n", f.name)
	case f.kind == "enum":
		e.printf("v.%s = %s(r.Int8())\n", f.name, f.typeName)
	default:
		e.printf("v.%s = r.%s()\n", f.name, readers[f.kind])
	}
}

func (e *emitter) decodeArray(f *field) {
	least := e.leastExpression(f)
	list := fmt.Sprintf("list[%s](r, ", f.elementType())
	if !f.isObject() {
		list = fmt.Sprintf("%sList(r, flex, ", f.kind)
	}
	e.nullForm(f,
		fmt.Sprintf("v.%s = %sr.NullableCount(flex, %s))", f.name, list, least),
		fmt.Sprintf("v.%s = %sr.Count(flex, %s))", f.name, list, least))
	if f.isObject() {
		e.printf("for i := range v.%s {\nv.%s[i].decode(r, version, flex)\nif !r.OK() { return }\n}\n", f.name, f.name)
	}
}

// leastExpression is the smallest size of f's elements, over the versions that
// have f, in each of the two encodings.
func (e *emitter) leastExpression(f *field) string {
	plain, compact := 0, 0
	for v := 0; v <= e.api.max; v++ {
		if f.tag < 0 && !f.present(v) {
			continue
		}
		flex := v >= e.api.flexible
		n := f.elementLeast(v, flex)
		switch {
		case flex && (compact == 0 || n < compact):
			compact = n
		case !flex && f.tag < 0 && (plain == 0 || n < plain):
			plain = n
		}
	}
	switch {
	case plain == 0 || plain == compact:
		return fmt.Sprint(compact)
	case compact == 0:
		return fmt.Sprint(plain)
	}
	return fmt.Sprintf("least(flex, %d, %d)", compact, plain)
}

func (o *object) tagged() []*field {
	var out []*field
	for tag := 0; ; tag++ {
		found := false
		for _, f := range o.fields {
			if f.tag == tag {
				out = append(out, f)
				found = true
			}
		}
		if !found {
			return out
		}
	}
}

func (e *emitter) decodeTags(o *object) {
	if e.neverFlexible() {
		return
	}
	tagged := o.tagged()
	if len(tagged) == 0 {
		e.printf("if flex {\nr.SkipTags()\n}\n")
		return
	}
	e.printf("if !flex { return }\nlast := int64(-1)\nfor n := r.TagCount(); n > 0 && r.OK(); n-- {\n")
	e.printf("tag, rest := r.OpenTag(last)\nlast = tag\nswitch tag {\n")
	for _, f := range tagged {
		e.printf("case %d:\n", f.tag)
		e.decodeField(f)
		e.printf("r.CloseTag(rest)\n")
	}
	e.printf("default:\nr.SkipTag(rest)\n}\n}\n")
}

func (e *emitter) neverFlexible() bool { return e.api.flexible == forever }

var writers = map[string]string{
	"bool": "Bool", "int8": "Int8", "int16": "Int16", "int32": "Int32", "int64": "Int64", "uint16": "Uint16",
	"float64": "Float64", "uuid": "UUID",
}

func (e *emitter) appendField(f *field) {
	v := "v." + f.name
	switch {
	case f.array:
		e.appendArray(f)
	case f.kind == "string" && f.nullable():
		e.nullForm(f, "dst = bin.AppendNullableString(dst, "+v+", flex)", "dst = bin.AppendStringOrEmpty(dst, "+v+", flex)")
	case f.kind == "string":
		e.printf("dst = bin.AppendString(dst, %s, flex)\n", v)
	case f.kind == "bytes":
		e.nullForm(f, "dst = bin.AppendNullableBytes(dst, "+v+", flex)", "dst = bin.AppendBytes(dst, "+v+", flex)")
	case f.isObject() && f.nullable():
		e.printf("if %s == nil {\ndst = bin.AppendInt8(dst, -1)\n} else {\n", v)
		e.printf("dst = bin.AppendInt8(dst, 1)\ndst = %s.append(dst, version, flex)\n}\n", v)
	case f.isObject():
		e.printf("dst = %s.append(dst, version, flex)\n", v)
	case f.kind == "enum":
		e.printf("dst = bin.AppendInt8(dst, int8(%s))\n", v)
	default:
		e.printf("dst = bin.Append%s(dst, %s)\n", writers[f.kind], v)
	}
}

func (e *emitter) appendArray(f *field) {
	v := "v." + f.name
	e.nullForm(f, "dst = appendCount(dst, "+v+", flex)", "dst = bin.AppendCount(dst, len("+v+"), flex)")
	e.printf("for i := range %s {\n", v)
	switch f.kind {
	case "struct":
		e.printf("dst = %s[i].append(dst, version, flex)\n", v)
	case "string":
		e.printf("dst = bin.AppendString(dst, %s[i], flex)\n", v)
	default:
		e.printf("dst = bin.Append%s(dst, %s[i])\n", writers[f.kind], v)
	}
	e.printf("}\n")
}

// notDefault is the condition under which a tagged field is written.
func (f *field) notDefault() string {
	v := "v." + f.name
	switch {
	case f.array:
		return "len(" + v + ") > 0"
	case f.nullable():
		return v + " != nil"
	case f.kind == "bool":
		return v
	case f.kind == "uuid":
		return v + " != [16]byte{}"
	case f.kind == "string":
		return v + ` != ""`
	case f.isObject():
		return v + " != New" + f.typeName + "()"
	case f.def != "":
		return v + " != " + f.def
	}
	return v + " != 0"
}

func (e *emitter) appendTags(o *object) {
	if e.neverFlexible() {
		return
	}
	tagged := o.tagged()
	if len(tagged) == 0 {
		e.printf("if flex {\ndst = append(dst, 0)\n}\n")
		return
	}
	e.printf("if !flex { return dst }\nvar n uint32\n")
	for _, f := range tagged {
		e.printf("has%s := %s\nif has%s { n++ }\n", f.name, parenthesised(f.notDefault()), f.name)
	}
	e.printf("dst = bin.AppendUvarint(dst, n)\n")
	for _, f := range tagged {
		e.printf("if has%s {\ndst = append(dst, %d)\nmark := len(dst)\n", f.name, f.tag)
		e.appendField(f)
		e.printf("dst = bin.CloseTag(dst, mark)\n}\n")
	}
}

func parenthesised(s string) string {
	if strings.Contains(s, "{") {
		return "(" + s + ")"
	}
	return s
}
