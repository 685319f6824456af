package wire

import (
	"bytes"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestRequestHeader: the other codec's frames are understood, for every key and
// version, and ours are the same bytes.
func TestRequestHeader(t *testing.T) {
	for _, id := range []*string{nil, new(string), kmsg.StringPtr("a client")} {
		var options []kmsg.RequestFormatterOpt
		if id != nil {
			options = append(options, kmsg.FormatterClientID(*id))
		}
		format := kmsg.NewRequestFormatter(options...)
		for _, a := range APIs() {
			for v := int16(0); v <= a.MaxVersion; v++ {
				if a.Key == KeyControlledShutdown && v == 0 {
					continue
				}
				r := kmsg.RequestForKey(int16(a.Key))
				r.SetVersion(v)
				frame := format.AppendRequest(nil, r, 77)[4:]
				h, body, err := ParseRequestHeader(frame)
				if err != nil {
					t.Fatalf("%s version %d: %v", a.Name, v, err)
				}
				if h.Key != a.Key || h.Version != v || h.CorrelationID != 77 || (h.ClientID == nil) != (id == nil) || id != nil && *h.ClientID != *id {
					t.Fatalf("%s version %d: %+v", a.Name, v, h)
				}
				if !bytes.Equal(body, r.AppendTo(nil)) {
					t.Fatalf("%s version %d: body %x", a.Name, v, body)
				}
				if got := append(h.Append(nil), body...); !bytes.Equal(got, frame) {
					t.Fatalf("%s version %d:\nours   %x\ntheirs %x", a.Name, v, got, frame)
				}
			}
		}
	}
}

// TestRequestHeaderTags: unknown tagged fields of the header are skipped.
func TestRequestHeaderTags(t *testing.T) {
	frame := []byte{0, 18, 0, 3, 0, 0, 0, 9, 0, 1, 'x', 2, 0, 1, 'a', 5, 0, 'b'}
	h, body, err := ParseRequestHeader(frame)
	if err != nil || h.CorrelationID != 9 || *h.ClientID != "x" || string(body) != "b" {
		t.Fatalf("%+v %q %v", h, body, err)
	}
}

// TestUnsupportedHeader: the answer to an ApiVersions of a later version needs
// the correlation id, so the header survives the error.
func TestUnsupportedHeader(t *testing.T) {
	for _, frame := range [][]byte{
		{0, 18, 0, 99, 0, 0, 0, 5, 1, 2, 3},
		{0, 18, 0xff, 0xff, 0, 0, 0, 5},
		{0, 95, 0, 0, 0, 0, 0, 5},
		{0xff, 0xff, 0, 0, 0, 0, 0, 5},
		{0, 7, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1},
	} {
		h, _, err := ParseRequestHeader(frame)
		var v *VersionError
		if !errors.As(err, &v) || h.CorrelationID != 5 || v.Key != h.Key || v.Version != h.Version {
			t.Errorf("%x: %+v %v", frame, h, err)
		}
	}
}

// TestTruncatedHeader: every proper prefix is an error.
func TestTruncatedHeader(t *testing.T) {
	id := "client"
	h := RequestHeader{Key: KeyProduce, Version: 9, CorrelationID: 1, ClientID: &id}
	frame := h.Append(nil)
	for n := range frame {
		var d *DecodeError
		if _, _, err := ParseRequestHeader(frame[:n]); !errors.As(err, &d) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestHeaderReuse: parsing into the same header keeps the client id's string.
func TestHeaderReuse(t *testing.T) {
	id := "client"
	h := RequestHeader{Key: KeyProduce, Version: 9, ClientID: &id}
	frame := h.Append(nil)
	var again RequestHeader
	if n := testing.AllocsPerRun(100, func() { _, _ = again.Parse(frame) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	other := "other"
	h.ClientID = &other
	if _, err := again.Parse(h.Append(nil)); err != nil || *again.ClientID != other {
		t.Errorf("%v %v", again, err)
	}
	h.ClientID = nil
	if _, err := again.Parse(h.Append(nil)); err != nil || again.ClientID != nil {
		t.Errorf("%v %v", again, err)
	}
}

// TestResponseHeader: only ApiVersions keeps the old header in its flexible
// versions.
func TestResponseHeader(t *testing.T) {
	for _, a := range APIs() {
		for v := int16(0); v <= a.MaxVersion; v++ {
			want := []byte{0, 0, 0, 7}
			if Flexible(a.Key, v) && a.Key != KeyApiVersions {
				want = append(want, 0)
			}
			got := AppendResponseHeader(nil, a.Key, v, 7)
			if !bytes.Equal(got, want) {
				t.Errorf("%s version %d: %x", a.Name, v, got)
			}
			id, body, err := ParseResponseHeader(append(got, 'x'), a.Key, v)
			if id != 7 || string(body) != "x" || err != nil {
				t.Errorf("%s version %d: %d %q %v", a.Name, v, id, body, err)
			}
		}
	}
	if _, _, err := ParseResponseHeader([]byte{0, 0}, KeyFetch, 0); err == nil {
		t.Error("short header accepted")
	}
}
