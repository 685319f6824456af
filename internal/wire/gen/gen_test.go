package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// TestUpToDate: the generated files are what the schema says.
func TestUpToDate(t *testing.T) {
	if err := run("..", true); err != nil {
		t.Fatal(err)
	}
}

// TestStaleFilesAreNoticed: -check fails for a changed file and for one that no
// schema makes; writing repairs both.
func TestStaleFilesAreNoticed(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "schema"), os.DirFS("../schema")); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, true); err == nil {
		t.Error("missing files were not noticed")
	}
	if err := run(dir, false); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, true); err != nil {
		t.Error(err)
	}
	stale := filepath.Join(dir, "gen_99_gone.go")
	if err := os.WriteFile(stale, []byte("package wire\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, true); err == nil {
		t.Error("a stale file was not noticed")
	}
	if err := run(dir, false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Errorf("the stale file is still there: %v", err)
	}
}

// TestMemoryOfObjects: the sizes that the decode factors are computed from are
// those of the Go structures.
func TestMemoryOfObjects(t *testing.T) {
	s, err := load("../schema")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range s.apis {
		key := kafka.APIKey(a.key)
		checkMemory(t, a.request, reflect.TypeOf(wire.NewRequest(key)).Elem())
		checkMemory(t, a.response, reflect.TypeOf(wire.NewResponse(key)).Elem())
	}
}

func checkMemory(t *testing.T, o *object, typ reflect.Type) {
	t.Helper()
	if size, _ := o.memory(); size != int(typ.Size()) {
		t.Errorf("%s: computed %d bytes, is %d", o.name, size, typ.Size())
	}
	for _, f := range o.fields {
		member, ok := typ.FieldByName(f.name)
		if !ok {
			t.Errorf("%s has no member %s", o.name, f.name)
			continue
		}
		if !f.isObject() {
			continue
		}
		inner := member.Type
		if inner.Kind() != reflect.Struct {
			inner = inner.Elem()
		}
		checkMemory(t, f.object, inner)
	}
}

// TestSchemaErrors: what is not in the notation is refused with its place.
func TestSchemaErrors(t *testing.T) {
	const head = "api A 0 versions 0-1 flexible 1+\n"
	for _, text := range []string{
		"what\n",
		"api A x versions 0-1 rigid\n",
		"api A 0 versions 0-x rigid\n",
		"api A 0\n",
		"api A 0 versions 0-1 flexible x\n",
		head + "limits cap x\n",
		head + "limits frame 5\n",
		head + "request\n  A\n",
		head + "request\n  A: int7\n",
		head + "request\n  A: int8 @x\n",
		head + "request\n  A: int8 #x\n",
		head + "request\n  A: int8 !\n",
		head + "request\n  A: ?x:int8\n",
		head + "request\n  A: int8 @1+ #0\n",
		"enum E int8\n  One 1\n",
	} {
		p := parser{out: &schema{enums: map[string]*enum{}, shared: map[string]*object{}}, file: "f.txt"}
		err := p.parse(text)
		if err == nil || !strings.HasPrefix(err.Error(), "f.txt:") {
			t.Errorf("%q: %v", text, err)
		}
	}
	p := parser{out: &schema{enums: map[string]*enum{}, shared: map[string]*object{}}, file: "f.txt"}
	if err := p.parse(head + "request\n  A: &Nowhere\nresponse\n"); err != nil {
		t.Fatal(err)
	}
	if err := p.out.link(); err == nil {
		t.Error("an unknown reference was accepted")
	}
}

// TestSnake names files.
func TestSnake(t *testing.T) {
	for in, want := range map[string]string{
		"Produce": "produce", "InitProducerID": "init_producer_id", "DescribeACLs": "describe_acls",
		"LeaderAndISR": "leader_and_isr", "SASLHandshake": "sasl_handshake", "ApiVersions": "api_versions",
		"AllocateProducerIDs": "allocate_producer_ids",
	} {
		if got := snake(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
