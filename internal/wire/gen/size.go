package main

import (
	"math"
	"sort"
)

// maxProduct is the most memory that the frame of one request may make the
// decoder allocate: frame cap times decode factor.
const maxProduct = 64 << 20

// maxFrame is the computed frame cap's upper bound.
const maxFrame = 16 << 20

// maxFlat is the frame cap of a request of numbers and strings only.
const maxFlat = 256 << 10

// present reports whether f is on the wire in version v, tagged fields apart.
func (f *field) present(v int) bool { return f.tag < 0 && v >= f.since && v <= f.until }

// nullable reports whether f may be null in some version.
func (f *field) nullable() bool { return f.nullSince != forever }

func (f *field) isObject() bool { return f.kind == "struct" }

// least is the smallest number of bytes that o takes in version v.
func (o *object) least(v int, flex bool) int {
	n := 0
	for _, f := range o.fields {
		if f.present(v) {
			n += f.least(v, flex)
		}
	}
	if flex {
		n++
	}
	return n
}

func (f *field) least(v int, flex bool) int {
	pick := func(compact, plain int) int {
		if flex {
			return compact
		}
		return plain
	}
	switch {
	case f.array:
		return pick(1, 4)
	case f.isObject() && f.nullable():
		return 1
	}
	return f.elementLeast(v, flex)
}

// elementLeast is the smallest size of one element of an array field, or of the
// field itself when it is no array.
func (f *field) elementLeast(v int, flex bool) int {
	switch f.kind {
	case "struct":
		return f.object.least(v, flex)
	case "string":
		if flex {
			return 1
		}
		return 2
	case "bytes":
		if flex {
			return 1
		}
		return 4
	}
	size, _ := f.memory()
	return size
}

// memory is the size and alignment of one value of f's type in Go, the array
// header and pointers apart.
func (f *field) memory() (size, align int) {
	switch f.kind {
	case "bool", "int8":
		return 1, 1
	case "enum":
		return 1, 1
	case "int16", "uint16":
		return 2, 2
	case "int32":
		return 4, 4
	case "int64", "float64":
		return 8, 8
	case "uuid":
		return 16, 1
	case "string":
		return 16, 8
	case "bytes":
		return 24, 8
	}
	return f.object.memory()
}

// layout is the size and alignment of the struct member that holds f.
func (f *field) layout() (size, align int) {
	switch {
	case f.array:
		return 24, 8
	case f.nullable() && (f.isObject() || f.kind == "string"):
		return 8, 8
	}
	return f.memory()
}

// memory is the size and alignment of o as a Go struct on a 64-bit machine.
func (o *object) memory() (size, align int) {
	align = 1
	for _, f := range o.packed() {
		s, a := f.layout()
		size = (size+a-1)/a*a + s
		align = max(align, a)
	}
	return (size + align - 1) / align * align, align
}

// packed returns the fields in the order that wastes no bytes on padding.
func (o *object) packed() []*field {
	fields := append([]*field(nil), o.fields...)
	sort.SliceStable(fields, func(i, j int) bool {
		_, a := fields[i].layout()
		_, b := fields[j].layout()
		return a > b
	})
	return fields
}

// ratio is the worst number of bytes that decoding allocates per byte of an
// object's encoding, over the versions 0 to a.max.
func (a *api) ratio(o *object) float64 {
	worst := 1.0
	for v := 0; v <= a.max; v++ {
		worst = math.Max(worst, worstOf(o, v, v >= a.flexible))
	}
	return worst
}

// worstOf is the largest ratio among the parts of o that can repeat or appear.
// The ratio of a whole is never above the largest ratio of its parts.
func worstOf(o *object, v int, flex bool) float64 {
	worst := 1.0
	for _, f := range o.fields {
		if !f.present(v) && (f.tag < 0 || !flex) {
			continue
		}
		if f.isObject() {
			worst = math.Max(worst, worstOf(f.object, v, flex))
		}
		if f.tag >= 0 && f.kind == "string" {
			worst = math.Max(worst, 24.0/4)
		}
		if f.array || f.isObject() && f.nullable() {
			worst = math.Max(worst, f.partRatio(v, flex))
		}
	}
	return worst
}

// partRatio is the ratio of one element of f, or of the structure that f points
// to: every string empty, or every string one byte long.
func (f *field) partRatio(v int, flex bool) float64 {
	size, _ := f.memory()
	bytes := f.elementLeast(v, flex)
	texts := 0
	switch {
	case f.isObject():
		pointers, all := f.object.texts(v)
		size += 16 * pointers
		texts = all
	case f.kind == "string":
		texts = 1
	}
	empty := float64(size) / float64(bytes)
	filled := float64(size+8*texts) / float64(bytes+texts)
	return math.Max(empty, filled)
}

// texts counts the strings in o itself: those behind pointers, and all.
func (o *object) texts(v int) (pointers, all int) {
	for _, f := range o.fields {
		if !f.present(v) || f.array {
			continue
		}
		switch {
		case f.kind == "string":
			all++
			if f.nullable() {
				pointers++
			}
		case f.isObject() && !f.nullable():
			p, n := f.object.texts(v)
			pointers, all = pointers+p, all+n
		}
	}
	return pointers, all
}

// decodeFactor is the declared factor of a message: the computed worst ratio
// with the quarter that the reader charges for the allocator's rounding.
func (a *api) decodeFactor(o *object) int {
	if o == a.request && a.factor != 0 {
		return a.factor
	}
	return max(2, int(math.Ceil(a.ratio(o)*1.25)))
}

// requestCap is the frame cap of a's request.
func (a *api) requestCap() int {
	if a.frameCap != 0 {
		return a.frameCap
	}
	most := min(maxProduct/a.decodeFactor(a.request), maxFrame)
	if !a.request.grows() {
		most = maxFlat
	}
	return most &^ 0xffff
}

// grows reports whether a message of this kind can be large: it has an array or
// a byte array.
func (o *object) grows() bool {
	for _, f := range o.fields {
		if f.array || f.kind == "bytes" || f.isObject() && f.object.grows() {
			return true
		}
	}
	return false
}
