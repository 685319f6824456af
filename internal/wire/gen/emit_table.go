package main

import (
	"fmt"
	"sort"
	"strings"
)

// privateFirst is the first key that brokers speak among themselves only.
const privateFirst = 30000

// emitTable writes the key constants, the tables of APIs and those of
// constructors: one pair for the protocol's keys and one for our own.
func emitTable(s *schema) string {
	own := sort.Search(len(s.apis), func(i int) bool { return s.apis[i].key >= privateFirst })
	var b strings.Builder
	b.WriteString("import \"holdfast/internal/kafka\"\n\n")
	emitRows(&b, "The keys of the protocol.", "apis is indexed by key.", s.apis[:own])
	if own < len(s.apis) {
		fmt.Fprintf(&b, "\n// PrivateFirst is the first key that brokers speak among themselves only.\nconst PrivateFirst kafka.APIKey = %d\n\n", privateFirst)
		emitRows(&b, "The keys that brokers speak among themselves.", "private is indexed by key minus PrivateFirst.", s.apis[own:])
	}
	return b.String()
}

// emitRows writes one pair of tables. Their names are the first words of the
// comment on the rows: apis and apiMakers, private and privateMakers.
func emitRows(b *strings.Builder, keys, rows string, list []*api) {
	table, _, _ := strings.Cut(rows, " ")
	makers := strings.TrimSuffix(table, "s") + "Makers"
	base := list[0].key / privateFirst * privateFirst
	fmt.Fprintf(b, "// %s\nconst (\n", keys)
	for _, a := range list {
		fmt.Fprintf(b, "Key%s kafka.APIKey = %d\n", a.name, a.key)
	}
	fmt.Fprintf(b, ")\n\n// %s\nvar %s = [...]API{\n", rows, table)
	for _, a := range list {
		flexible := a.flexible
		if flexible == forever {
			flexible = -1
		}
		fmt.Fprintf(b, "%d: {Key: Key%s, Name: %q, MaxVersion: %d, FlexibleSince: %d, FrameCap: %d, DecodeFactor: %d},\n",
			a.key-base, a.name, a.kafka, a.max, flexible, a.requestCap(), a.decodeFactor(a.request))
	}
	fmt.Fprintf(b, "}\n\n// %s is indexed as %s.\nvar %s = [...]maker{\n", makers, table, makers)
	for _, a := range list {
		fmt.Fprintf(b, "%d: {freshRequest[%sRequest], freshResponse[%sResponse]},\n", a.key-base, a.name, a.name)
	}
	b.WriteString("}\n")
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
