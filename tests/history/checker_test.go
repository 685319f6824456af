package history_test

import (
	"errors"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/tests/history"
)

var tp = kafka.TopicPartition{Topic: "t", Partition: 0}

// world is one history in the making: writer w is idempotent, u is not.
type world struct {
	*history.Checker
	w, u history.Writer
}

// send invokes and acknowledges n values of w at the offsets from first.
func (x world) send(n int, first kafka.Offset) []history.Value {
	var out []history.Value
	for i := range n {
		v := x.Invoke(x.w, tp)
		x.Ack(v, first.Add(int64(i)))
		out = append(out, v)
	}
	return out
}

// final reads the values as the whole log, from offset 0.
func (x world) final(r history.Reader, vs ...history.Value) {
	f := x.BeginFinalRead(r, tp)
	for i, v := range vs {
		f.Poll(kafka.Offset(i), v)
	}
	f.End(kafka.Offset(len(vs)))
}

// TestGoldenHistories plants each anomaly in an otherwise sound history and
// demands that exactly it is found; the sound ones demand that nothing is.
func TestGoldenHistories(t *testing.T) {
	tests := []struct {
		name string
		run  func(world)
		want map[history.Kind]int64
	}{
		{"empty", func(x world) { x.final(1) }, nil},
		{"acknowledged and read", func(x world) { x.final(1, x.send(3, 0)...) }, nil},
		{"two complete reads", func(x world) { v := x.send(2, 0); x.final(1, v...); x.final(2, v...) }, nil},
		{"unknown and absent", func(x world) { v := x.send(1, 0); x.Invoke(x.w, tp); x.final(1, v...) }, nil},
		{"unknown and present", func(x world) { v := x.send(1, 0); x.final(1, v[0], x.Invoke(x.w, tp)) }, nil},
		{"refused and absent", func(x world) { x.Fail(x.Invoke(x.w, tp)); x.final(1) }, nil},
		{"repeat without idempotence", func(x world) {
			v := x.Invoke(x.u, tp)
			x.Ack(v, 1)
			x.final(1, v, v)
		}, nil},
		{"acknowledged without an offset", func(x world) {
			v := x.Invoke(x.w, tp)
			x.Ack(v, kafka.NoOffset)
			x.final(1, v)
		}, nil},
		{"hole of a control record", func(x world) {
			a, b := x.Invoke(x.w, tp), x.Invoke(x.w, tp)
			x.Poll(1, tp, 0, a)
			x.Poll(1, tp, 2, b)
		}, nil},
		{"lost at the end", func(x world) { v := x.send(3, 0); x.final(1, v[:2]...) },
			map[history.Kind]int64{history.LostWrite: 1, history.StaleEndOffset: 1}},
		{"lost from the middle", func(x world) {
			v := x.send(3, 0)
			f := x.BeginFinalRead(1, tp)
			f.Poll(0, v[0])
			f.Poll(2, v[2])
			f.End(3)
		}, map[history.Kind]int64{history.LostWrite: 1, history.PollSkip: 1}},
		{"lost without an offset", func(x world) {
			x.Ack(x.Invoke(x.w, tp), kafka.NoOffset)
			x.final(1)
		}, map[history.Kind]int64{history.LostWrite: 1}},
		{"lost in the second life only", func(x world) { v := x.send(2, 0); x.final(1, v...); x.final(2, v[0]) },
			map[history.Kind]int64{history.LostWrite: 1, history.StaleEndOffset: 1}},
		{"lost in two reads is lost once", func(x world) { x.send(1, 0); x.final(1); x.final(2) },
			map[history.Kind]int64{history.LostWrite: 1, history.StaleEndOffset: 2}},
		{"read and then gone", func(x world) {
			x.Poll(1, tp, 0, x.Invoke(x.w, tp))
			x.final(2)
		}, map[history.Kind]int64{history.LostWrite: 1, history.StaleEndOffset: 1}},
		{"acknowledgement without idempotence lost", func(x world) {
			x.Ack(x.Invoke(x.u, tp), 0)
			x.final(1)
		}, map[history.Kind]int64{history.LostWrite: 1, history.StaleEndOffset: 1}},
		{"duplicate of an acknowledged value", func(x world) { v := x.send(1, 0); x.final(1, v[0], v[0]) },
			map[history.Kind]int64{history.Duplicate: 1}},
		{"duplicate of an unknown value", func(x world) { v := x.Invoke(x.w, tp); x.final(1, v, v) },
			map[history.Kind]int64{history.Duplicate: 1}},
		{"elsewhere than acknowledged", func(x world) {
			v := x.Invoke(x.w, tp)
			x.Ack(v, 7)
			x.Poll(1, tp, 3, v)
		}, map[history.Kind]int64{history.Duplicate: 1}},
		{"acknowledged elsewhere than read", func(x world) {
			v := x.Invoke(x.w, tp)
			x.Poll(1, tp, 3, v)
			x.Ack(v, 7)
		}, map[history.Kind]int64{history.Duplicate: 1}},
		{"one offset acknowledged twice", func(x world) {
			x.Ack(x.Invoke(x.w, tp), 0)
			x.Ack(x.Invoke(x.w, tp), 0)
		}, map[history.Kind]int64{history.InconsistentOffsets: 1}},
		{"offset reused after a cut", func(x world) {
			x.Poll(1, tp, 0, x.Invoke(x.w, tp))
			x.Poll(2, tp, 0, x.Invoke(x.w, tp))
		}, map[history.Kind]int64{history.InconsistentOffsets: 1}},
		{"never sent", func(x world) { x.final(1, history.Value{Writer: x.w, Counter: 9}) },
			map[history.Kind]int64{history.Phantom: 1}},
		{"unknown writer", func(x world) { x.final(1, history.Value{Writer: 99}) },
			map[history.Kind]int64{history.Phantom: 1}},
		{"in another partition", func(x world) {
			x.final(1, x.Invoke(x.w, kafka.TopicPartition{Topic: "t", Partition: 1}))
		}, map[history.Kind]int64{history.Phantom: 1}},
		{"corrupt", func(x world) {
			f := x.BeginFinalRead(1, tp)
			f.PollCorrupt(0, errors.New("checksum"))
			f.End(1)
		}, map[history.Kind]int64{history.Corrupt: 1}},
		{"reordered", func(x world) {
			a, b := x.Invoke(x.w, tp), x.Invoke(x.w, tp)
			x.final(1, b, a)
		}, map[history.Kind]int64{history.Reorder: 1}},
		{"reader goes back", func(x world) { v := x.send(2, 0); x.Poll(1, tp, 1, v[1]); x.Poll(1, tp, 0, v[0]) },
			map[history.Kind]int64{history.NonmonotonicPoll: 1}},
		{"reader is given a record twice", func(x world) { v := x.send(1, 0); x.Poll(1, tp, 0, v[0]); x.Poll(1, tp, 0, v[0]) },
			map[history.Kind]int64{history.NonmonotonicPoll: 1}},
		{"reader is led past a record that shows later", func(x world) {
			v := []history.Value{x.Invoke(x.w, tp), x.Invoke(x.w, tp), x.Invoke(x.w, tp)}
			x.Poll(1, tp, 0, v[0])
			x.Poll(1, tp, 2, v[2])
			x.Poll(2, tp, 1, v[1])
		}, map[history.Kind]int64{history.PollSkip: 1}},
		{"end offset behind an acknowledgement", func(x world) { x.send(3, 0); x.EndOffset(tp, 2, x.Acknowledged(tp)) },
			map[history.Kind]int64{history.StaleEndOffset: 1}},
		{"refused and present", func(x world) {
			v := x.Invoke(x.w, tp)
			x.Fail(v)
			x.final(1, v)
		}, map[history.Kind]int64{history.FailedButPresent: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := history.New()
			x := world{Checker: c, w: c.AddWriter(true), u: c.AddWriter(false)}
			tt.run(x)
			r := c.Report()
			if len(r.Counts) != len(tt.want) {
				t.Errorf("found %v, want %v\n%s", r.Counts, tt.want, r)
			}
			for k, n := range tt.want {
				if r.Count(k) != n {
					t.Errorf("%s found %d times, want %d\n%s", k, r.Count(k), n, r)
				}
			}
			if r.OK() != (len(tt.want) == 0) {
				t.Errorf("OK is %v with %v", r.OK(), r.Counts)
			}
		})
	}
}

func TestRepeatsAreCountedWithoutIdempotence(t *testing.T) {
	c := history.New()
	u := c.AddWriter(false)
	v := c.Invoke(u, tp)
	c.Ack(v, 1)
	f := c.BeginFinalRead(1, tp)
	f.Poll(0, v)
	f.Poll(1, v)
	f.End(2)
	if r := c.Report(); r.Repeats != 1 || !r.OK() {
		t.Fatalf("repeats %d, OK %v, want 1, true", r.Repeats, r.OK())
	}
}

func TestValueSurvivesNoBitFlip(t *testing.T) {
	for _, size := range []int{history.ValueSizeMin, 17, 100, 1000} {
		want := history.Value{Writer: 3, Counter: 77}
		buf := make([]byte, size)
		want.Encode(buf)
		if got, err := history.Decode(buf); err != nil || got != want {
			t.Fatalf("decode %d bytes: %v, %v", size, got, err)
		}
		for bit := range size * 8 {
			buf[bit/8] ^= 1 << (bit % 8)
			if _, err := history.Decode(buf); err == nil {
				t.Fatalf("bit %d of %d bytes flipped and not seen", bit, size)
			}
			buf[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// BenchmarkCheck is the promise that a long history stays checkable: ten
// million sends, acknowledgements and reads within a minute.
func BenchmarkCheck(b *testing.B) {
	c := history.New()
	w := c.AddWriter(true)
	f := c.BeginFinalRead(1, tp)
	for i := range b.N {
		v := c.Invoke(w, tp)
		c.Ack(v, kafka.Offset(i))
		f.Poll(kafka.Offset(i), v)
	}
	f.End(kafka.Offset(b.N))
	if r := c.Report(); !r.OK() {
		b.Fatal(r)
	}
}
