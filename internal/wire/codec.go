package wire

import (
	"unsafe"

	"holdfast/internal/bin"
	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
)

// begin starts a decode whose allocations are limited to factor bytes per byte
// of body.
func begin(key kafka.APIKey, version int16, body []byte, factor int) (bin.Reader, error) {
	if version < 0 || version > rowOf(key).MaxVersion {
		return bin.Reader{}, &VersionError{Key: key, Version: version}
	}
	r := bin.NewReader(body)
	r.Limit(factor*len(body) + BudgetSlack)
	return r, nil
}

// finish demands that the whole body was consumed.
func finish(r *bin.Reader, key kafka.APIKey, version int16) error {
	if err := r.Done(); err != nil {
		return &DecodeError{Key: key, Version: version, Position: r.Position(), Cause: err}
	}
	return nil
}

// demand panics unless version has a codec.
func demand(key kafka.APIKey, version int16) {
	if version < 0 || version > rowOf(key).MaxVersion {
		invariant.Unreachable("wire: append %s version %d", Name(key), version)
	}
}

// least picks the smallest element size of the encoding in use.
func least(flex bool, compact, plain int) int {
	if flex {
		return compact
	}
	return plain
}

// list allocates n elements, charged to the budget. A negative n gives nil.
func list[T any](r *bin.Reader, n int) []T {
	var zero T
	if n < 0 || !r.OK() || !r.Charge(n, int(unsafe.Sizeof(zero))) {
		return nil
	}
	return make([]T, n)
}

// one allocates one element, charged to the budget.
func one[T any](r *bin.Reader) *T {
	var zero T
	if !r.Charge(1, int(unsafe.Sizeof(zero))) {
		return nil
	}
	return new(T)
}

// appendCount is bin.AppendCount where nil is null.
func appendCount[T any](dst []byte, v []T, flex bool) []byte {
	if v == nil {
		return bin.AppendNullCount(dst, flex)
	}
	return bin.AppendCount(dst, len(v), flex)
}

func int8List(r *bin.Reader, _ bool, n int) []int8 {
	v := list[int8](r, n)
	for i := range v {
		v[i] = r.Int8()
	}
	return v
}

func int16List(r *bin.Reader, _ bool, n int) []int16 {
	v := list[int16](r, n)
	for i := range v {
		v[i] = r.Int16()
	}
	return v
}

func int32List(r *bin.Reader, _ bool, n int) []int32 {
	v := list[int32](r, n)
	for i := range v {
		v[i] = r.Int32()
	}
	return v
}

func int64List(r *bin.Reader, _ bool, n int) []int64 {
	v := list[int64](r, n)
	for i := range v {
		v[i] = r.Int64()
	}
	return v
}

func uuidList(r *bin.Reader, _ bool, n int) [][16]byte {
	v := list[[16]byte](r, n)
	for i := range v {
		v[i] = r.UUID()
	}
	return v
}

func stringList(r *bin.Reader, flex bool, n int) []string {
	v := list[string](r, n)
	for i := range v {
		v[i] = r.String(flex)
		if !r.OK() {
			return v
		}
	}
	return v
}
