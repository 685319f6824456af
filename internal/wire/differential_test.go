package wire

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/kafka"
)

// The other codec is the oracle for the layout of every message. It has one more
// version of some; only ours are compared.

// theirs is what both kinds of messages of the other codec can do.
type theirs interface {
	SetVersion(int16)
	AppendTo([]byte) []byte
	ReadFrom([]byte) error
}

func oracle(m Message) theirs {
	if _, ok := m.(Request); ok {
		return kmsg.RequestForKey(int16(m.Key()))
	}
	return kmsg.ResponseForKey(int16(m.Key()))
}

// eachMessage calls f with every message kind and version as a subtest per kind,
// our own messages included.
func eachMessage(t *testing.T, f func(t *testing.T, fresh func() Message, version int16)) {
	for _, a := range append(APIs(), PrivateAPIs()...) {
		kinds := map[string]func() Message{
			"request":  func() Message { return NewRequest(a.Key) },
			"response": func() Message { return NewResponse(a.Key) },
		}
		for kind, fresh := range kinds {
			t.Run(a.Name+"/"+kind, func(t *testing.T) {
				for v := int16(0); v <= a.MaxVersion; v++ {
					f(t, fresh, v)
				}
			})
		}
	}
}

// renamed maps members whose names differ in the other codec.
var renamed = map[string]string{
	"StreamsGroupHeartbeatResponse.AcceptableRecoveryLag": "AcceptableRecoveryLagLegacy",
}

// translate copies src, a structure of the other codec, into dst, the one of the
// same name of ours, member by member.
func translate(dst, src reflect.Value) {
	switch dst.Kind() {
	case reflect.Struct:
		if dst.Type().Name() != src.Type().Name() {
			panic(fmt.Sprintf("type %s is %s there", dst.Type().Name(), src.Type().Name()))
		}
		for i := range dst.NumField() {
			name := dst.Type().Field(i).Name
			if other, ok := renamed[dst.Type().Name()+"."+name]; ok {
				name = other
			}
			from := src.FieldByName(name)
			if !from.IsValid() {
				panic(fmt.Sprintf("%s has no member %s there", dst.Type().Name(), name))
			}
			translate(dst.Field(i), from)
		}
	case reflect.Pointer:
		dst.SetZero()
		if !src.IsNil() {
			dst.Set(reflect.New(dst.Type().Elem()))
			translate(dst.Elem(), src.Elem())
		}
	case reflect.Slice:
		dst.SetZero()
		if src.IsNil() {
			return
		}
		dst.Set(reflect.MakeSlice(dst.Type(), src.Len(), src.Len()))
		for i := range src.Len() {
			translate(dst.Index(i), src.Index(i))
		}
	default:
		dst.Set(src.Convert(dst.Type()))
	}
}

func translated(fresh func() Message, src theirs) Message {
	m := fresh()
	translate(reflect.ValueOf(m).Elem(), reflect.ValueOf(src).Elem())
	return m
}

func fillMessage(f *filler, m any) { f.fill(reflect.ValueOf(m).Elem()) }

// fillTheirs populates o in the members that m, our counterpart, has too.
func fillTheirs(f *filler, o theirs, m Message) {
	fillMessage(f, o)
	prune(reflect.ValueOf(o).Elem(), reflect.TypeOf(m).Elem())
}

// prune clears the members of v, a root of the other codec, that belong to
// versions which ours does not have.
func prune(v reflect.Value, ours reflect.Type) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		_, known := ours.FieldByName(name)
		if !known && !skipped(name) && renamed[ours.Name()+".AcceptableRecoveryLag"] != name {
			v.Field(i).SetZero()
		}
	}
}

const rounds = 20

// TestOursToTheirs: what we encode, the other codec reads with the same meaning.
func TestOursToTheirs(t *testing.T) {
	eachMessage(t, func(t *testing.T, fresh func() Message, version int16) {
		if IsPrivate(fresh().Key()) {
			return // nobody else knows these
		}
		for seed := range uint64(rounds) {
			m := fresh()
			fillMessage(newFiller(seed), m)
			body := m.Append(nil, version)
			o := oracle(m)
			o.SetVersion(version)
			if err := o.ReadFrom(body); err != nil {
				t.Fatalf("version %d seed %d: the other codec cannot read it: %v\n%x", version, seed, err, body)
			}
			if got := o.AppendTo(nil); !bytes.Equal(got, body) {
				t.Fatalf("version %d seed %d:\nours   %x\ntheirs %x", version, seed, body, got)
			}
			if got := translated(fresh, o).Append(nil, version); !bytes.Equal(got, body) {
				t.Fatalf("version %d seed %d: members mean different things:\nours   %x\ntheirs %x", version, seed, body, got)
			}
			compareDecoded(t, fresh, o, body, version)
		}
	})
}

// compareDecoded demands that decoding body gives, member for member, what the
// other codec got: absent members hold the same defaults.
func compareDecoded(t *testing.T, fresh func() Message, o theirs, body []byte, version int16) {
	t.Helper()
	ours := fresh()
	if err := ours.Decode(body, version); err != nil {
		t.Fatalf("version %d: decode: %v\n%x", version, err, body)
	}
	if got := ours.Append(nil, version); !bytes.Equal(got, body) {
		t.Fatalf("version %d: decode and append:\nwas %x\nis  %x", version, body, got)
	}
	want := translated(fresh, o)
	normalise(reflect.ValueOf(ours).Elem())
	normalise(reflect.ValueOf(want).Elem())
	if !reflect.DeepEqual(ours, want) {
		t.Fatalf("version %d:\nours   %+v\ntheirs %+v", version, ours, want)
	}
}

// normalise turns empty slices into nil ones: the two codecs differ there for
// arrays that cannot be null. Null and empty are compared as bytes.
func normalise(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			normalise(v.Field(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			normalise(v.Elem())
		}
	case reflect.Slice:
		if v.Len() == 0 {
			v.SetZero()
		}
		for i := range v.Len() {
			normalise(v.Index(i))
		}
	}
}

// TestTheirsToOurs: what the other codec encodes, we read with the same meaning.
func TestTheirsToOurs(t *testing.T) {
	eachMessage(t, func(t *testing.T, fresh func() Message, version int16) {
		if IsPrivate(fresh().Key()) {
			return // nobody else knows these
		}
		for seed := range uint64(rounds) {
			o := oracle(fresh())
			fillTheirs(newFiller(seed+1000), o, fresh())
			o.SetVersion(version)
			body := o.AppendTo(nil)
			m := fresh()
			if err := m.Decode(body, version); err != nil {
				t.Fatalf("version %d seed %d: %v\n%x", version, seed, err, body)
			}
			if got := m.Append(nil, version); !bytes.Equal(got, body) {
				t.Fatalf("version %d seed %d:\ntheirs %x\nours   %x", version, seed, body, got)
			}
			if got := translated(fresh, o).Append(nil, version); !bytes.Equal(got, body) {
				t.Fatalf("version %d seed %d: members mean different things:\ntheirs %x\nours   %x", version, seed, body, got)
			}
			o = oracle(fresh())
			o.SetVersion(version)
			if err := o.ReadFrom(body); err != nil {
				t.Fatal(err)
			}
			compareDecoded(t, fresh, o, body, version)
		}
	})
}

// TestUnknownTagsAreSkipped: tagged fields of a later protocol, in every
// structure of the message, change nothing.
func TestUnknownTagsAreSkipped(t *testing.T) {
	eachMessage(t, func(t *testing.T, fresh func() Message, version int16) {
		if !Flexible(fresh().Key(), version) || IsPrivate(fresh().Key()) {
			return
		}
		o := oracle(fresh())
		fillTheirs(newFiller(42), o, fresh())
		o.SetVersion(version)
		plain := o.AppendTo(nil)
		addTags(reflect.ValueOf(o).Elem())
		tagged := o.AppendTo(nil)
		if bytes.Equal(plain, tagged) {
			t.Fatalf("version %d: no tag was added", version)
		}
		m := fresh()
		if err := m.Decode(tagged, version); err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if got := m.Append(nil, version); !bytes.Equal(got, plain) {
			t.Fatalf("version %d:\nwant %x\ngot  %x", version, plain, got)
		}
	})
}

// addTags sets two unknown tags in every structure below v.
func addTags(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "UnknownTags" {
				tags := v.Field(i).Addr().Interface().(*kmsg.Tags)
				tags.Set(100, []byte("later"))
				tags.Set(3000, nil)
				continue
			}
			addTags(v.Field(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			addTags(v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			addTags(v.Index(i))
		}
	}
}

// TestDefaults: a new message holds the defaults of the protocol. The other
// codec adds timeouts of its own taste, as a help to clients.
func TestDefaults(t *testing.T) {
	for _, a := range APIs() {
		for _, fresh := range []func() Message{
			func() Message { return NewRequest(a.Key) },
			func() Message { return NewResponse(a.Key) },
		} {
			o := oracle(fresh())
			reflect.ValueOf(o).MethodByName("Default").Call(nil)
			want := translated(fresh, o)
			if f := reflect.ValueOf(want).Elem().FieldByName("TimeoutMillis"); f.IsValid() && a.Key != KeyListOffsets {
				f.SetInt(0)
			}
			if got := fresh(); !reflect.DeepEqual(got, want) {
				t.Errorf("%T:\ngot  %+v\nwant %+v", got, got, want)
			}
		}
	}
}

// TestTable: the table agrees with the other codec on every key.
func TestTable(t *testing.T) {
	if n := len(APIs()); n != 95 {
		t.Fatalf("%d keys, want 95", n)
	}
	for _, a := range APIs() {
		r := kmsg.RequestForKey(int16(a.Key))
		if NewRequest(a.Key).Key() != a.Key || NewResponse(a.Key).Key() != a.Key {
			t.Errorf("%s: constructor of another key", a.Name)
		}
		if a.MaxVersion > r.MaxVersion() {
			t.Errorf("%s: version %d, the other codec ends at %d", a.Name, a.MaxVersion, r.MaxVersion())
		}
		for v := int16(0); v <= a.MaxVersion; v++ {
			r.SetVersion(v)
			if Flexible(a.Key, v) != r.IsFlexible() {
				t.Errorf("%s version %d: flexible %v", a.Name, v, Flexible(a.Key, v))
			}
		}
	}
	for _, key := range []kafka.APIKey{-1, 95, 1000} {
		if NewRequest(key) != nil || NewResponse(key) != nil || MaxVersion(key) != -1 || FlexibleSince(key) != -1 || Name(key) != "" {
			t.Errorf("key %d is known", key)
		}
	}
}
