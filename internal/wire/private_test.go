package wire

import (
	"reflect"
	"testing"

	"holdfast/internal/kafka"
)

// TestPrivate_RoundTrip: our own messages mean the same after the wire, and no
// key of theirs is one of the protocol's.
func TestPrivate_RoundTrip(t *testing.T) {
	known := map[kafka.APIKey]bool{}
	for _, a := range APIs() {
		known[a.Key] = true
		if IsPrivate(a.Key) {
			t.Errorf("%s is a private key", a.Name)
		}
	}
	for _, a := range PrivateAPIs() {
		if known[a.Key] || !IsPrivate(a.Key) || a.FlexibleSince != 0 || a.MaxVersion != 0 {
			t.Errorf("%s: key %d, versions 0 to %d, flexible since %d", a.Name, a.Key, a.MaxVersion, a.FlexibleSince)
		}
		for seed := range uint64(50) {
			for _, fresh := range []func() Message{
				func() Message { return NewRequest(a.Key) },
				func() Message { return NewResponse(a.Key) },
			} {
				sent, got := fresh(), fresh()
				fillMessage(newFiller(seed), sent)
				if err := got.Decode(sent.Append(nil, 0), 0); err != nil {
					t.Fatalf("%T seed %d: %v", sent, seed, err)
				}
				normalise(reflect.ValueOf(sent).Elem())
				normalise(reflect.ValueOf(got).Elem())
				if !reflect.DeepEqual(sent, got) {
					t.Fatalf("%T seed %d:\nsent %+v\ngot  %+v", sent, seed, sent, got)
				}
			}
		}
	}
	for _, key := range []kafka.APIKey{PrivateFirst - 1, PrivateFirst + kafka.APIKey(len(PrivateAPIs()))} {
		if NewRequest(key) != nil || NewResponse(key) != nil || MaxVersion(key) != -1 {
			t.Errorf("key %d is known", key)
		}
	}
}
