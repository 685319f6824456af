package wire

import (
	"reflect"
	"testing"

	"holdfast/internal/kafka"
)

// Every decoder has a fuzz target in gen_fuzz_test.go and is reached by
// FuzzDecode too. The oracles are those of fuzzOne.

// fuzzMessage is the body of the generated targets. The seeds are a default
// message and two populated ones of the lowest and the highest version.
func fuzzMessage(f *testing.F, m Message) {
	fresh := func() Message { return reflect.New(reflect.TypeOf(m).Elem()).Interface().(Message) }
	for _, version := range []int16{0, MaxVersion(m.Key())} {
		seed := fresh()
		seed.Default()
		f.Add(uint8(version), seed.Append(nil, version))
		for n := range uint64(2) {
			fillMessage(newFiller(n), seed)
			f.Add(uint8(version), seed.Append(nil, version))
		}
	}
	f.Fuzz(func(t *testing.T, version uint8, body []byte) {
		fuzzOne(t, fresh, body, int16(version)%(MaxVersion(m.Key())+1))
	})
}

// fuzzOne demands of a decoder: no panic, bounded memory and time, and whatever
// it accepts it can write and read back.
func fuzzOne(t *testing.T, fresh func() Message, body []byte, version int16) {
	m := fresh()
	if decodeCost(t, m, body, version) == nil {
		stable(t, fresh, m, version)
	}
}

// FuzzDecode chooses the message by its first argument: twice the key, plus one
// for the response.
func FuzzDecode(f *testing.F) {
	f.Add(uint8(2*KeyApiVersions), uint8(3), []byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add(uint8(2*KeyMetadata), uint8(4), make([]byte, 64))
	f.Add(uint8(2*KeyFetch), uint8(4), make([]byte, 64))
	f.Add(uint8(2*KeyFetch+1), uint8(17), make([]byte, 64))
	f.Fuzz(func(t *testing.T, kind, version uint8, body []byte) {
		key := kafka.APIKey(int(kind/2) % len(APIs()))
		fresh := func() Message { return NewRequest(key) }
		if kind%2 == 1 {
			fresh = func() Message { return NewResponse(key) }
		}
		fuzzOne(t, fresh, body, int16(version)%(MaxVersion(key)+1))
	})
}

// FuzzRequestHeader: what is accepted is written back to a header that reads the
// same.
func FuzzRequestHeader(f *testing.F) {
	id := "client"
	for _, h := range []RequestHeader{{Key: KeyProduce, Version: 13, CorrelationID: 5, ClientID: &id}, {Key: KeyMetadata, Version: 1}} {
		f.Add(h.Append(nil))
	}
	f.Add([]byte{0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, _, err := ParseRequestHeader(frame)
		if err != nil {
			return
		}
		again, body, err := ParseRequestHeader(h.Append(nil))
		if err != nil || len(body) != 0 || !reflect.DeepEqual(h, again) {
			t.Fatalf("%+v became %+v: %v", h, again, err)
		}
	})
}
