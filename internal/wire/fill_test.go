package wire

import (
	"math/rand/v2"
	"reflect"
	"strings"
)

// filler populates structures at random, the same for equal seeds.
type filler struct {
	rng *rand.Rand
	// depth bounds the size of what is made: arrays get shorter below it.
	depth int
}

func newFiller(seed uint64) *filler { return &filler{rng: rand.New(rand.NewPCG(seed, 7))} }

// skipped names the members of the other codec's structures that have no
// counterpart on the wire.
func skipped(name string) bool { return name == "Version" || name == "UnknownTags" }

// fill sets every member of v, which is addressable.
func (f *filler) fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(f.rng.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(f.number())
	case reflect.Uint16:
		v.SetUint(uint64(f.rng.Uint32N(1 << 16)))
	case reflect.Float64:
		v.SetFloat(f.rng.NormFloat64())
	case reflect.String:
		v.SetString(f.text())
	case reflect.Pointer:
		v.SetZero()
		if f.rng.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem())
		}
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(f.rng.Uint32N(256)))
		}
	case reflect.Slice:
		f.slice(v)
	case reflect.Struct:
		for i := range v.NumField() {
			if !skipped(v.Type().Field(i).Name) {
				f.fill(v.Field(i))
			}
		}
	default:
		panic("fill: " + v.Kind().String())
	}
}

// slice makes nil, empty and short slices; bytes are somewhat longer.
func (f *filler) slice(v reflect.Value) {
	v.SetZero()
	if f.rng.IntN(5) == 0 {
		return
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		b := []byte(f.text())
		v.SetBytes(b)
		return
	}
	n := f.rng.IntN(4)
	if f.depth > 3 {
		n = f.rng.IntN(2)
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	f.depth++
	for i := range n {
		f.fill(v.Index(i))
	}
	f.depth--
}

func (f *filler) number() int64 {
	switch f.rng.IntN(4) {
	case 0:
		return 0
	case 1:
		return -1
	case 2:
		return int64(f.rng.IntN(100))
	}
	return int64(f.rng.Uint64())
}

func (f *filler) text() string {
	switch f.rng.IntN(8) {
	case 0:
		return ""
	case 1: // longer than one byte of a varint length can say
		return strings.Repeat("x", 120+f.rng.IntN(20))
	}
	b := make([]byte, f.rng.IntN(20))
	for i := range b {
		b[i] = byte('a' + f.rng.IntN(26))
	}
	return string(b)
}
