package log_test

import (
	"errors"
	"sync"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

// TestLog_EverythingAtOnce lets one writer append while everybody else does what
// they may do at any time. The race detector and the checks at the end judge.
func TestLog_EverythingAtOnce(t *testing.T) {
	o := modelOptions(newMem(1))
	o.Config.RetentionBytes = 300_000
	l := mustCreate(t, o)
	const rounds = 1500
	done := make(chan struct{})
	var wg sync.WaitGroup
	during := func(f func() error) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := f(); err != nil && !errors.Is(err, log.ErrOffsetOutOfRange) {
					t.Error(err)
					return
				}
			}
		})
	}
	during(func() error { _, err := l.Checkpoint(); return err })
	during(func() error { _, err := l.Retain(1, l.End()/2); return err })
	during(func() error { return l.SetStart(l.End() / 4) })
	during(func() error { _, _, err := l.OffsetForTimestamp(700, l.End()); return err })
	during(func() error { _, _, err := l.MaxTimestamp(l.End()); return err })
	during(func() error { _, _, err := l.Scrub(log.ScrubPlace{}, 1<<20); return err })
	for range 2 {
		next := kafka.Offset(0)
		during(func() error {
			next = max(next, l.Start())
			r, err := l.Read(next, l.End(), 20_000, true)
			if err != nil || r.Source == nil {
				return err
			}
			defer r.Source.Release()
			p := make([]byte, r.Length)
			if err := vfs.ReadFull(r.Source, p, r.Position); err != nil {
				return err
			}
			for len(p) > 0 {
				h := headerOf(p)
				if err := record.Verify(p[:h.Size()]); err != nil {
					return err
				}
				p = p[h.Size():]
			}
			next = r.End
			return nil
		})
	}
	for i := range rounds {
		span, _ := appendBatch(t, l, 1+i%3, 400, kafka.Timestamp(i))
		if i%50 == 0 {
			must(t, span.Segment.SyncData())
		}
		if i%100 == 0 {
			must(t, l.Roll())
		}
		l.ExpireProducers(kafka.Timestamp(i), 1000)
		l.EpochEnd(0)
	}
	close(done)
	wg.Wait()
}
