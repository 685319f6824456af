package wire

import "testing"

// fuzzMessage is the body of every generated fuzz target.
func fuzzMessage(f *testing.F, m Message) {
	f.Fuzz(func(t *testing.T, version uint8, body []byte) {
		v := int16(version) % (MaxVersion(m.Key()) + 1)
		if m.Decode(body, v) == nil {
			m.Append(nil, v)
		}
	})
}
