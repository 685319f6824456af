package main

import (
	"fmt"
	"strings"
)

// emitTable writes the key constants, the table of APIs and the one of
// constructors.
func emitTable(s *schema) string {
	var b strings.Builder
	b.WriteString("import \"holdfast/internal/kafka\"\n\n// The keys of the protocol.\nconst (\n")
	for _, a := range s.apis {
		fmt.Fprintf(&b, "Key%s kafka.APIKey = %d\n", a.name, a.key)
	}
	b.WriteString(")\n\n// apis is indexed by key.\nvar apis = [...]API{\n")
	for _, a := range s.apis {
		flexible := a.flexible
		if flexible == forever {
			flexible = -1
		}
		fmt.Fprintf(&b, "%d: {Key: Key%s, Name: %q, MaxVersion: %d, FlexibleSince: %d, FrameCap: %d, DecodeFactor: %d},\n",
			a.key, a.name, a.kafka, a.max, flexible, a.requestCap(), a.decodeFactor(a.request))
	}
	b.WriteString("}\n\n")
	b.WriteString("// makers is indexed by key.\nvar makers = [...]maker{\n")
	for _, a := range s.apis {
		fmt.Fprintf(&b, "%d: {freshRequest[%sRequest], freshResponse[%sResponse]},\n", a.key, a.name, a.name)
	}
	b.WriteString("}\n")
	return b.String()
}

// emitEnums writes the named numbers.
func emitEnums(s *schema) string {
	var b strings.Builder
	for _, e := range s.order {
		fmt.Fprintf(&b, "// %s is a number with these names on the wire.\ntype %s %s\n\n// The values of %s.\nconst (\n", e.name, e.name, e.kind, e.name)
		for _, v := range e.values {
			fmt.Fprintf(&b, "%s%s %s = %s\n", e.name, v[0], e.name, v[1])
		}
		b.WriteString(")\n\n")
	}
	return b.String()
}

// emitFuzz writes one fuzz target for each decoder.
func emitFuzz(s *schema) string {
	var b strings.Builder
	b.WriteString("import \"testing\"\n\n")
	for _, a := range s.apis {
		for _, kind := range []string{"Request", "Response"} {
			fmt.Fprintf(&b, "func Fuzz%s%s(f *testing.F) { fuzzMessage(f, New%s(Key%s)) }\n", a.name, kind, kind, a.name)
		}
	}
	return b.String()
}
