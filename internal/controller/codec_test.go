package controller

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"holdfast/internal/kafka"
)

// TestCodec_EveryCommandHasADecoder reads the package's source: a type with a
// method decide that the table lacks could not be forwarded.
func TestCodec_EveryCommandHasADecoder(t *testing.T) {
	fset := token.NewFileSet()
	packages, err := parser.ParseDir(fset, ".", func(i fs.FileInfo) bool { return !strings.HasSuffix(i.Name(), "_test.go") }, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range packages["controller"].Files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Name.Name != "decide" || fn.Recv == nil {
				continue
			}
			name, ok := fn.Recv.List[0].Type.(*ast.Ident)
			if !ok {
				continue
			}
			found++
			if decoders[name.Name] == nil {
				t.Errorf("%s has no decoder", name.Name)
			}
		}
	}
	if found != len(decoders) {
		t.Errorf("%d commands, %d decoders", found, len(decoders))
	}
}

// TestCodec_WhatIsEncodedComesBack fills every field of every command, and of the
// reply, with random values, and compares.
func TestCodec_WhatIsEncodedComesBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, decode := range decoders {
		empty, err := decode([]byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			v := reflect.New(reflect.TypeOf(empty)).Elem()
			fill(t, rng, v, name)
			command := v.Interface().(Command)
			b, err := EncodeCommand(command)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			again, err := DecodeCommand(b)
			if err != nil || !reflect.DeepEqual(again, command) {
				t.Fatalf("%s: %v\n%s\n%+v\n%+v", name, err, b, command, again)
			}
		}
	}
	for range 50 {
		var reply Reply
		fill(t, rng, reflect.ValueOf(&reply).Elem(), "Reply")
		b, err := EncodeReply(reply)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeReply(b)
		if err != nil || !reflect.DeepEqual(again, reply) {
			t.Fatalf("%v\n%s\n%+v\n%+v", err, b, reply, again)
		}
	}
}

// fill gives every exported field a value. A kind that it does not know, or a
// field that nobody outside could set, has no place in a command.
func fill(t *testing.T, rng *rand.Rand, v reflect.Value, at string) {
	t.Helper()
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n := rng.Int64() >> rng.IntN(64)
		if rng.IntN(8) == 0 {
			n = math.MinInt64
		}
		v.SetInt(n >> (64 - v.Type().Bits()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(rng.Uint64() >> (64 - v.Type().Bits()))
	case reflect.String:
		v.SetString([]string{"", "orders", "a\"b\\", "<ü\x00>", "[{,"}[rng.IntN(5)])
	case reflect.Slice:
		if rng.IntN(4) == 0 {
			return // nil
		}
		v.Set(reflect.MakeSlice(v.Type(), rng.IntN(3), 3))
		for i := range v.Len() {
			fill(t, rng, v.Index(i), at)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, rng, v.Index(i), at)
		}
	case reflect.Map:
		if rng.IntN(4) == 0 {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for range rng.IntN(3) {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, rng, key, at)
			fill(t, rng, value, at)
			v.SetMapIndex(key, value)
		}
	case reflect.Pointer:
		if rng.IntN(4) == 0 {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, rng, v.Elem(), at)
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				t.Fatalf("%s.%s is not exported", at, v.Type().Field(i).Name)
			}
			fill(t, rng, v.Field(i), at+"."+v.Type().Field(i).Name)
		}
	default:
		t.Fatalf("%s is a %s", at, v.Kind())
	}
}

func TestCodec_RefusesWhatItCannotTellExactly(t *testing.T) {
	for name, command := range map[string]Command{
		"no UTF-8":  DeleteTopics{Topics: []TopicRef{{Name: "a\xff"}}},
		"too large": DeleteTopics{Topics: []TopicRef{{Name: strings.Repeat("a", CommandBytesMax)}}},
	} {
		_, err := EncodeCommand(command)
		if refusal, ok := errors.AsType[*Error](err); !ok || refusal.Code == kafka.ErrNone {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCodec_RefusesWhatIsNoCommand(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		code kafka.ErrorCode
	}{
		"nothing":         {"", kafka.ErrInvalidRequest},
		"null":            {"null", kafka.ErrUnsupportedVersion},
		"no body":         {`{"version":1,"type":"DeleteTopics"}`, kafka.ErrInvalidRequest},
		"another type":    {`{"version":1,"type":"Surrender","command":{}}`, kafka.ErrUnsupportedVersion},
		"another version": {`{"version":2,"type":"DeleteTopics","command":{}}`, kafka.ErrUnsupportedVersion},
		"another field":   {`{"version":1,"type":"DeleteTopics","command":{"Force":true}}`, kafka.ErrInvalidRequest},
		"more behind":     {`{"version":1,"type":"DeleteTopics","command":{}}{}`, kafka.ErrInvalidRequest},
		"many values":     {`{"version":1,"type":"DeleteTopics","command":{"Topics":[` + strings.Repeat("{},", jsonValuesMax) + `{}]}}`, kafka.ErrInvalidRequest},
		"deep":            {strings.Repeat("[", 100_000), kafka.ErrInvalidRequest},
		"out of range":    {`{"version":1,"type":"AllocateProducerIDs","command":{"Broker":4294967296}}`, kafka.ErrInvalidRequest},
		"long":            {strings.Repeat(" ", CommandBytesMax+1), kafka.ErrInvalidRequest},
	} {
		command, err := DecodeCommand([]byte(c.text))
		if refusal, ok := errors.AsType[*Error](err); !ok || refusal.Code != c.code || len(refusal.Message) > 1000 {
			t.Errorf("%s: %v, %.200v", name, command, err)
		}
	}
	if _, err := DecodeReply([]byte(`{"Offset":5,"Later":{"a":1}}`)); err != nil {
		t.Errorf("a newer controller's reply: %v", err)
	}
}

// FuzzDecodeCommand: whatever comes in is refused or is a command that says the
// same when it is encoded again.
func FuzzDecodeCommand(f *testing.F) {
	for _, c := range []Command{AllocateProducerIDs{Broker: 1, Epoch: 2}, DeleteTopics{Topics: []TopicRef{{Name: "a"}}}, CreateTopics{}, RegisterBroker{ID: 3}} {
		b, err := EncodeCommand(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if reply, err := DecodeReply(b); err == nil {
			if _, err := EncodeReply(reply); err != nil {
				t.Error(err)
			}
		}
		command, err := DecodeCommand(b)
		if err != nil {
			return
		}
		encoded, err := EncodeCommand(command)
		if err != nil {
			t.Fatalf("%+v: %v", command, err)
		}
		if again, err := DecodeCommand(encoded); err != nil || !reflect.DeepEqual(again, command) {
			t.Fatalf("%v: %+v became %+v", err, command, again)
		}
	})
}
