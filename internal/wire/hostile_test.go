package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"holdfast/internal/bin"
	"holdfast/internal/kafka"
)

// TestTagBomb: a count of tagged fields that the input cannot hold is refused at
// once, wherever a tag section may stand. (A decoder that loops over the count
// without looking at its input spends two minutes on seven bytes.)
func TestTagBomb(t *testing.T) {
	bomb := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	start := time.Now()
	seven := append([]byte{1, 1}, bomb...)
	if err := new(ApiVersionsRequest).Decode(seven, 3); !errors.Is(err, bin.ErrCount) {
		t.Fatalf("the seven bytes: %v", err)
	}
	eachMessage(t, func(t *testing.T, fresh func() Message, version int16) {
		m := fresh()
		if !Flexible(m.Key(), version) {
			return
		}
		fillMessage(newFiller(9), m)
		body := m.Append(nil, version)
		// Every byte in turn is replaced by the bomb: one of them is each of the
		// message's tag sections.
		for i := range body {
			_ = fresh().Decode(append(append([]byte(nil), body[:i]...), bomb...), version)
		}
	})
	header := RequestHeader{Key: KeyApiVersions, Version: 3}
	frame := header.Append(nil)
	frame = append(frame[:len(frame)-1], bomb...)
	if _, _, err := ParseRequestHeader(frame); !errors.Is(err, bin.ErrCount) {
		t.Fatalf("header: %v", err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Fatalf("took %v", took)
	}
}

// TestZeroes: ten MiB of zeros, the body that makes a careless decoder allocate
// hundreds of megabytes, stays within the declared factor for every decoder.
func TestZeroes(t *testing.T) {
	body := make([]byte, 10<<20)
	if testing.Short() {
		body = body[:1<<20]
	}
	named := []struct {
		key     kafka.APIKey
		version int16
	}{{KeyMetadata, 4}, {KeyOffsetFetch, 5}, {KeyFetch, 4}, {KeyCreateTopics, 4}}
	for _, n := range named {
		_ = decodeCost(t, NewRequest(n.key), body, n.version)
	}
	eachMessage(t, func(t *testing.T, fresh func() Message, version int16) {
		for _, fill := range []byte{0, 1, 2, 3, 0x7f, 0xff} {
			small := bytes.Repeat([]byte{fill}, 64<<10)
			_ = decodeCost(t, fresh(), small, version)
		}
	})
}

// TestZeroBodies: the bodies named in TestZeroes with a first count that makes
// the decoder go on: as many elements as the input can hold.
func TestZeroBodies(t *testing.T) {
	const size = 10 << 20
	cases := []struct {
		key     kafka.APIKey
		version int16
		prefix  []byte // before the count
		least   int
	}{
		{KeyMetadata, 4, nil, 2},
		{KeyOffsetFetch, 5, []byte{0, 0}, 6},
		{KeyFetch, 4, make([]byte, 17), 6},
		{KeyCreateTopics, 4, nil, 16},
	}
	for _, c := range cases {
		body := make([]byte, size)
		n := (size - len(c.prefix) - 8) / c.least
		bin.AppendInt32(body[:len(c.prefix)], int32(n))
		err := decodeCost(t, NewRequest(c.key), body, c.version)
		if err == nil || !errors.Is(err, bin.ErrTrailing) {
			t.Errorf("%s: %v, want the elements decoded and bytes left", Name(c.key), err)
		}
	}
}

// TestTruncated: every proper prefix of a message is an error.
func TestTruncated(t *testing.T) {
	eachMessage(t, func(t *testing.T, fresh func() Message, version int16) {
		for seed := range uint64(3) {
			m := fresh()
			fillMessage(newFiller(seed), m)
			body := m.Append(nil, version)
			for n := range body {
				err := fresh().Decode(body[:n:n], version)
				var d *DecodeError
				if !errors.As(err, &d) {
					t.Fatalf("version %d: %d of %d bytes: %v", version, n, len(body), err)
				}
				if d.Position < 0 || d.Position > n {
					t.Fatalf("version %d: position %d in %d bytes", version, d.Position, n)
				}
			}
			if err := fresh().Decode(append(body, 0), version); !errors.Is(err, bin.ErrTrailing) {
				t.Fatalf("version %d: a byte more: %v", version, err)
			}
		}
	})
}

// TestMutated: changed bytes never panic and never cost more than promised.
func TestMutated(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	eachMessage(t, func(t *testing.T, fresh func() Message, version int16) {
		for seed := range uint64(10) {
			m := fresh()
			fillMessage(newFiller(seed), m)
			body := m.Append(nil, version)
			for range 1 + rng.IntN(4) {
				if len(body) > 0 {
					body[rng.IntN(len(body))] = byte(rng.Uint32())
				}
			}
			if decodeCost(t, m, body, version) == nil {
				stable(t, fresh, m, version)
			}
		}
	})
}

// stable demands that encoding m, decoding that and encoding it again gives the
// same bytes.
func stable(t testing.TB, fresh func() Message, m Message, version int16) {
	t.Helper()
	first := m.Append(nil, version)
	again := fresh()
	if err := again.Decode(first, version); err != nil {
		t.Fatalf("%T version %d: own encoding: %v\n%x", m, version, err, first)
	}
	if second := again.Append(nil, version); !bytes.Equal(first, second) {
		t.Fatalf("%T version %d:\nfirst  %x\nsecond %x", m, version, first, second)
	}
}

// TestDense measures the worst valid bodies: for each array of each message one
// with as many nearly empty elements as fit. The decoder must stay within its
// factor, and where the factor is computed it must accept the body.
func TestDense(t *testing.T) {
	const size = 32 << 10
	eachMessage(t, func(t *testing.T, fresh func() Message, version int16) {
		for _, text := range []string{"", "x", "four"} {
			for n := 0; ; n++ {
				m := fresh()
				b := builder{target: n, text: text, count: 8}
				b.build(reflect.ValueOf(m).Elem())
				if b.target >= 0 {
					break // fewer arrays than n
				}
				if body := m.Append(nil, version); len(body) > 0 {
					b = builder{target: n, text: text, count: min(size, 8*size/len(body))}
					b.build(reflect.ValueOf(m).Elem())
				}
				body := m.Append(nil, version)
				err := decodeCost(t, fresh(), body, version)
				if err != nil && !declared(m) {
					t.Fatalf("version %d array %d: %d bytes: %v", version, n, len(body), err)
				}
			}
		}
	})
}

// declared reports whether the decoder's factor is lower than the worst valid
// body needs.
func declared(m Message) bool {
	if _, ok := m.(Request); !ok {
		return false
	}
	switch m.Key() {
	case KeyProduce, KeyJoinGroup, KeySyncGroup, KeyRaftMessages, KeySubmitCommand:
		return true
	}
	return false
}

// builder fills one array of a message with many small elements, and the arrays
// above it with one.
type builder struct {
	target int // arrays to pass before the one to fill; negative once found
	text   string
	count  int
}

func (b *builder) build(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(b.text)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		b.build(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			b.build(v.Field(i))
		}
	case reflect.Slice:
		v.SetZero()
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		b.target--
		n := 1
		if b.target == -1 {
			n = b.count
		} else if b.target < -1 {
			n = 0
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			b.build(v.Index(i))
		}
	}
}

// TestProduceRefusesEmptyPartitions: Produce's frame cap is large, so its factor
// is low; a body of nothing but empty partitions is refused, one with a record
// batch in each is not.
func TestProduceRefusesEmptyPartitions(t *testing.T) {
	request := func(records []byte) []byte {
		v := ProduceRequest{Topics: []ProduceRequestTopic{{Partitions: make([]ProduceRequestTopicPartition, 10000)}}}
		for i := range v.Topics[0].Partitions {
			v.Topics[0].Partitions[i].Records = records
		}
		return v.Append(nil, 13)
	}
	if err := decodeCost(t, new(ProduceRequest), request(nil), 13); !errors.Is(err, bin.ErrBudget) {
		t.Errorf("empty partitions: %v", err)
	}
	if err := decodeCost(t, new(ProduceRequest), request(make([]byte, 61)), 13); err != nil {
		t.Errorf("smallest batches: %v", err)
	}
}

// TestLimits: the product of cap and factor is bounded, and Produce takes what
// Kafka's default socket.request.max.bytes allows.
func TestLimits(t *testing.T) {
	for _, a := range APIs() {
		frameCap, factor := Limits(a.Key)
		if frameCap < 64<<10 || factor < 1 {
			t.Errorf("%s: cap %d factor %d", a.Name, frameCap, factor)
		}
		if a.Key != KeyProduce && frameCap*factor > 64<<20 {
			t.Errorf("%s: cap %d times factor %d is above 64 MiB", a.Name, frameCap, factor)
		}
	}
	if frameCap, factor := Limits(KeyProduce); frameCap != 100<<20 || factor != 2 {
		t.Errorf("produce: cap %d factor %d", frameCap, factor)
	}
	for _, a := range PrivateAPIs() {
		// Only brokers get beyond the handshake, whose messages are small.
		if (a.Key == KeyBrokerHello || a.Key == KeyBrokerProof) && a.FrameCap*a.DecodeFactor > 1<<20 {
			t.Errorf("%s: cap %d factor %d for strangers", a.Name, a.FrameCap, a.DecodeFactor)
		}
		if a.FrameCap < 64<<10 || a.FrameCap > 100<<20 {
			t.Errorf("%s: cap %d", a.Name, a.FrameCap)
		}
	}
	if frameCap, factor := Limits(95); frameCap != 0 || factor != 0 {
		t.Errorf("unknown key: cap %d factor %d", frameCap, factor)
	}
}

// TestVersions: a version outside the table is an error to decode and a bug to
// encode.
func TestVersions(t *testing.T) {
	for _, a := range APIs() {
		for _, v := range []int16{-1, a.MaxVersion + 1, 32767} {
			var e *VersionError
			if err := NewRequest(a.Key).Decode(nil, v); !errors.As(err, &e) || e.Key != a.Key || e.Version != v {
				t.Errorf("%s version %d: %v", a.Name, v, err)
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("append with an unknown version did not panic")
		}
	}()
	new(ProduceRequest).Append(nil, 14)
}
