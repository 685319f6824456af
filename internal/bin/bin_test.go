package bin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
)

// TestNumbers: every number reads back what was appended, at its edges too.
func TestNumbers(t *testing.T) {
	for _, v := range []int64{0, 1, -1, 63, 64, -64, -65, 127, 128, 300, math.MaxInt16, math.MinInt16, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64} {
		var b []byte
		b = AppendInt8(b, int8(v))
		b = AppendInt16(b, int16(v))
		b = AppendUint16(b, uint16(v))
		b = AppendInt32(b, int32(v))
		b = AppendUint32(b, uint32(v))
		b = AppendInt64(b, v)
		b = AppendUint64(b, uint64(v))
		b = AppendVarint(b, int32(v))
		b = AppendVarlong(b, v)
		b = AppendUvarint(b, uint32(v))
		b = AppendUvarlong(b, uint64(v))
		b = AppendFloat64(b, float64(v))
		b = AppendBool(b, v > 0)
		r := NewReader(b)
		ok := r.Int8() == int8(v) && r.Int16() == int16(v) && r.Uint16() == uint16(v) &&
			r.Int32() == int32(v) && r.Uint32() == uint32(v) && r.Int64() == v && r.Uint64() == uint64(v) &&
			r.Varint() == int32(v) && r.Varlong() == v && r.Uvarint() == uint32(v) && r.Uvarlong() == uint64(v) &&
			r.Float64() == float64(v) && r.Bool() == (v > 0)
		if !ok || r.Done() != nil {
			t.Errorf("%d: not read back: %v", v, r.Err())
		}
		if n := UvarintSize(uint32(v)); n != len(AppendUvarint(nil, uint32(v))) {
			t.Errorf("%d: size %d", v, n)
		}
		if want := binary.AppendVarint(nil, int64(int32(v))); !bytes.Equal(AppendVarint(nil, int32(v)), want) {
			t.Errorf("%d: varint %x, want %x", v, AppendVarint(nil, int32(v)), want)
		}
	}
}

// TestBigEndian pins the byte order, which reading back cannot show.
func TestBigEndian(t *testing.T) {
	b := AppendInt32(AppendInt16(nil, 0x0102), 0x03040506)
	if !bytes.Equal(b, []byte{1, 2, 3, 4, 5, 6}) {
		t.Errorf("%x", b)
	}
	if !bytes.Equal(AppendVarint(nil, -2), []byte{3}) || !bytes.Equal(AppendUvarint(nil, 300), []byte{0xac, 2}) {
		t.Error("varints")
	}
	if CRC32C([]byte("123456789")) != 0xe3069283 || UpdateCRC32C(CRC32C([]byte("1234")), []byte("56789")) != 0xe3069283 {
		t.Error("crc32c of the check string")
	}
}

// TestVarintLimits: too long or too large a varint is refused.
func TestVarintLimits(t *testing.T) {
	cases := []struct {
		in   []byte
		want error
	}{
		{nil, ErrShort},
		{[]byte{0x80}, ErrShort},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, nil},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0x1f}, ErrVarint},
		{[]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, ErrVarint},
	}
	for _, c := range cases {
		r := NewReader(c.in)
		r.Uvarint()
		if !errors.Is(r.Err(), c.want) {
			t.Errorf("%x: %v, want %v", c.in, r.Err(), c.want)
		}
	}
	r := NewReader(bytes.Repeat([]byte{0xff}, 11))
	if r.Uvarlong(); !errors.Is(r.Err(), ErrVarint) {
		t.Errorf("uvarlong: %v", r.Err())
	}
}

// TestLengths: strings and bytes in both encodings, null and empty.
func TestLengths(t *testing.T) {
	text := "text"
	for _, compact := range []bool{false, true} {
		b := AppendString(nil, text, compact)
		b = AppendNullableString(b, nil, compact)
		b = AppendNullableString(b, &text, compact)
		b = AppendStringOrEmpty(b, nil, compact)
		b = AppendStringOrEmpty(b, &text, compact)
		b = AppendBytes(b, nil, compact)
		b = AppendNullableBytes(b, nil, compact)
		b = AppendNullableBytes(b, []byte{}, compact)
		b = AppendCount(b, 2, compact)
		b = append(b, "xx"...)
		r := NewReader(b)
		if s := r.String(compact); s != text {
			t.Errorf("string %q", s)
		}
		if s := r.NullableString(compact); s != nil {
			t.Errorf("null %q", *s)
		}
		if s := r.NullableString(compact); s == nil || *s != text {
			t.Error("nullable string")
		}
		if s := r.StringPointer(compact); s == nil || *s != "" {
			t.Error("empty string")
		}
		if s := r.StringSpan(compact); string(s) != text || cap(s) != len(s) {
			t.Errorf("span %q", s)
		}
		if v := r.Bytes(compact); v == nil || len(v) != 0 {
			t.Errorf("bytes %v", v)
		}
		if v := r.NullableBytes(compact); v != nil {
			t.Errorf("null bytes %v", v)
		}
		if v := r.NullableBytes(compact); v == nil {
			t.Error("empty bytes are null")
		}
		if n := r.Count(compact, 1); n != 2 || string(r.Span(2)) != "xx" || r.Done() != nil {
			t.Errorf("count %d %v", n, r.Err())
		}
	}
}

// TestRefusals: each malformed length has its own error and stays failed.
func TestRefusals(t *testing.T) {
	cases := []struct {
		name string
		in   []byte
		read func(r *Reader)
		want error
	}{
		{"null string", []byte{0xff, 0xff}, func(r *Reader) { r.String(false) }, ErrNull},
		{"string of -2", []byte{0xff, 0xfe}, func(r *Reader) { r.NullableString(false) }, ErrNull},
		{"null bytes", []byte{0}, func(r *Reader) { r.Bytes(true) }, ErrNull},
		{"long string", []byte{0, 9, 'x'}, func(r *Reader) { r.String(false) }, ErrShort},
		{"long bytes", []byte{0x7f, 0xff, 0xff, 0xff, 'x'}, func(r *Reader) { r.Bytes(false) }, ErrShort},
		{"null array", []byte{0xff, 0xff, 0xff, 0xff}, func(r *Reader) { r.Count(false, 1) }, ErrNull},
		{"array of -2", []byte{0xff, 0xff, 0xff, 0xfe}, func(r *Reader) { r.NullableCount(false, 1) }, ErrNull},
		{"count", []byte{0, 0, 0, 2, 1, 2, 3}, func(r *Reader) { r.Count(false, 2) }, ErrCount},
		{"compact count", []byte{3, 1, 2, 3}, func(r *Reader) { r.NullableCount(true, 2) }, ErrCount},
		{"tag count", []byte{2, 0, 0, 0}, func(r *Reader) { r.TagCount() }, ErrCount},
		{"huge tag count", []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, func(r *Reader) { r.SkipTags() }, ErrCount},
		{"tag size", []byte{1, 0, 9, 0}, func(r *Reader) { r.SkipTags() }, ErrShort},
		{"tag order", []byte{2, 1, 0, 1, 0}, func(r *Reader) { r.SkipTags() }, ErrTags},
		{"tag not consumed", []byte{1, 0, 1, 9}, func(r *Reader) {
			r.TagCount()
			_, rest := r.OpenTag(-1)
			r.CloseTag(rest)
		}, ErrTags},
		{"tag overrun", []byte{1, 0, 1, 9, 9}, func(r *Reader) {
			r.TagCount()
			_, rest := r.OpenTag(-1)
			r.Int16()
			r.CloseTag(rest)
		}, ErrShort},
		{"trailing", []byte{1}, func(r *Reader) { _ = r.Done() }, ErrTrailing},
		{"uuid", make([]byte, 15), func(r *Reader) { r.UUID() }, ErrShort},
		{"negative span", []byte{1}, func(r *Reader) { r.Span(-1) }, ErrShort},
	}
	for _, c := range cases {
		r := NewReader(c.in)
		c.read(&r)
		if !errors.Is(r.Err(), c.want) {
			t.Errorf("%s: %v, want %v", c.name, r.Err(), c.want)
		}
		at := r.Position()
		if r.Int8() != 0 || r.Uvarint() != 0 || r.Span(0) != nil || r.Position() != at || !errors.Is(r.Err(), c.want) {
			t.Errorf("%s: the reader went on", c.name)
		}
	}
}

// TestTags: known and unknown tagged fields, one inside another.
func TestTags(t *testing.T) {
	inner := AppendUvarint(nil, 1)
	inner = append(inner, 5)
	mark := len(inner)
	inner = CloseTag(AppendInt32(inner, 77), mark)
	b := AppendUvarint(nil, 2)
	b = append(b, 0)
	mark = len(b)
	b = CloseTag(append(b, inner...), mark)
	b = append(b, 9)
	mark = len(b)
	b = CloseTag(append(b, make([]byte, 200)...), mark)
	b = append(b, 'z')

	r := NewReader(b)
	if n := r.TagCount(); n != 2 {
		t.Fatalf("count %d", n)
	}
	tag, rest := r.OpenTag(-1)
	if tag != 0 || r.Left() != len(inner) || r.TagCount() != 1 {
		t.Fatalf("tag %d left %d", tag, r.Left())
	}
	tag, deeper := r.OpenTag(-1)
	if tag != 5 || r.Int32() != 77 {
		t.Fatalf("inner tag %d", tag)
	}
	r.CloseTag(deeper)
	r.CloseTag(rest)
	if at := r.Position(); at != 3+len(inner) {
		t.Fatalf("position %d", at)
	}
	tag, rest = r.OpenTag(0)
	r.SkipTag(rest)
	if tag != 9 || r.Int8() != 'z' || r.Done() != nil {
		t.Fatalf("tag %d: %v", tag, r.Err())
	}
	r = NewReader(b)
	if r.SkipTags(); string(r.Rest()) != "z" {
		t.Errorf("rest %q: %v", r.Rest(), r.Err())
	}
}

// TestCloseTagSizes: the size in front of a payload has one to three bytes.
func TestCloseTagSizes(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 16383, 16384} {
		payload := bytes.Repeat([]byte{7}, n)
		b := CloseTag(append([]byte("ab"), payload...), 2)
		want := append(binary.AppendUvarint([]byte("ab"), uint64(n)), payload...)
		if !bytes.Equal(b, want) {
			t.Errorf("%d bytes: wrong", n)
		}
	}
}

// TestBudget: memory is refused before it is allocated.
func TestBudget(t *testing.T) {
	long := AppendString(nil, strings.Repeat("x", 1000), true)
	r := NewReader(long)
	r.Limit(1000)
	if s := r.String(true); s != "" || !errors.Is(r.Err(), ErrBudget) {
		t.Errorf("%d bytes: %v", len(s), r.Err())
	}
	r = NewReader(long)
	r.Limit(1250)
	if s := r.String(true); len(s) != 1000 || r.Err() != nil {
		t.Errorf("%d bytes: %v", len(s), r.Err())
	}
	r = NewReader(bytes.Repeat([]byte{1}, 10000))
	r.Limit(1000)
	n := 0
	for r.OK() {
		if r.NullableString(true) != nil {
			n++
		}
	}
	if n*16 > 1000 || n < 16 {
		t.Errorf("%d string headers within 1000 bytes", n)
	}
	r = NewReader(nil)
	r.Limit(99)
	if r.Charge(10, 8) {
		t.Error("80 bytes and a quarter fit into 99")
	}
}

// TestStringChunks: strings that share a chunk of headers do not share values.
func TestStringChunks(t *testing.T) {
	var b []byte
	for i := range 300 {
		s := string(rune('a'+i%26)) + "x"
		b = AppendNullableString(b, &s, true)
	}
	r := NewReader(b)
	var all []*string
	for range 300 {
		all = append(all, r.NullableString(true))
	}
	for i, p := range all {
		if *p != string(rune('a'+i%26))+"x" {
			t.Fatalf("string %d is %q", i, *p)
		}
	}
}

// TestCut: a string above the old limit is cut between characters.
func TestCut(t *testing.T) {
	for _, s := range []string{strings.Repeat("é", 16384), "x" + strings.Repeat("é", 16384), strings.Repeat("\x80", 40000), strings.Repeat("x", 32767)} {
		r := NewReader(AppendString(nil, s, false))
		got := r.String(false)
		if r.Done() != nil || !strings.HasPrefix(s, got) || len(got) > math.MaxInt16 || len(got) < math.MaxInt16-3 {
			t.Errorf("%d bytes became %d: %v", len(s), len(got), r.Err())
		}
		if s[0] == 0xc3 && len(got)%2 != 0 {
			t.Errorf("cut inside a character: %d", len(got))
		}
	}
}

// FuzzReader runs a program of reads on an input: no panic, positions never go
// back, spans lie inside.
func FuzzReader(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}, make([]byte, 100))
	f.Add([]byte{17, 17, 17}, []byte{1, 0, 1, 9, 1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, program, input []byte) {
		r := NewReader(input)
		r.Limit(1 << 16)
		last := 0
		for _, op := range program {
			step(&r, op)
			at := r.Position()
			if at < last || at > len(input) || r.Left() > len(input)-at {
				t.Fatalf("op %d: position %d after %d of %d", op, at, last, len(input))
			}
			last = at
		}
	})
}

func step(r *Reader, op byte) {
	compact := op&0x80 != 0
	ops := []func(){
		func() { r.Int8() }, func() { r.Int16() }, func() { r.Int32() }, func() { r.Int64() },
		func() { r.UUID() }, func() { r.Uvarint() }, func() { r.Varint() }, func() { r.Uvarlong() },
		func() { r.Varlong() }, func() { r.String(compact) }, func() { r.NullableString(compact) },
		func() { r.StringSpan(compact) }, func() { r.Bytes(compact) }, func() { r.NullableBytes(compact) },
		func() { r.Count(compact, int(op>>4)) }, func() { r.NullableCount(compact, 2) }, func() { r.StringPointer(compact) },
		r.SkipTags, func() { r.Present() },
	}
	ops[int(op&0x7f)%len(ops)]()
}
