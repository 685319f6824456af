package quorum

import (
	"testing"

	"holdfast/internal/controller"
	"holdfast/internal/env"
	"holdfast/internal/vfs"
)

// BenchmarkSubmit is one metadata write after the other on a real disk: about one
// fdatasync each. The directory is that of the test; TMPDIR chooses the disk.
func BenchmarkSubmit(b *testing.B) {
	o := testOptions(env.NewTest(1))
	o.Env.FS, o.Dir = vfs.OS{}, b.TempDir()
	q, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	q.Start()
	reply, err := q.Submit(b.Context(), register(1))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := q.Submit(b.Context(), controller.AllocateProducerIDs{Broker: 1, Epoch: reply.BrokerEpoch}); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if err := q.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkStart opens, elects and registers in a directory with 1,000 topics of
// ten partitions.
func BenchmarkStart(b *testing.B) {
	o := testOptions(env.NewTest(1))
	o.Env.FS, o.Dir = vfs.OS{}, b.TempDir()
	starts := uint64(0)
	open := func() *Quorum {
		q, err := Open(o)
		if err != nil {
			b.Fatal(err)
		}
		q.Start()
		starts++
		if _, err := q.Submit(b.Context(), register(starts)); err != nil {
			b.Fatal(err)
		}
		return q
	}
	q := open()
	for n := range 1000 {
		if _, err := q.Submit(b.Context(), create("topic-"+string(rune('a'+n/100))+string(rune('a'+n/10%10))+string(rune('a'+n%10)), 10)); err != nil {
			b.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		q := open()
		b.StopTimer()
		if err := q.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
