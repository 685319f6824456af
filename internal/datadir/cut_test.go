package datadir

// Goal: a cut is durable when it returns, loses nothing below it, and whenever it is
// interrupted, the log is the one before or the one after.
//
// Method: a log with small and large appends is cut and goes on (or begins anew far
// ahead), on a file system that crashes at its k-th mutating operation, for k = 0,
// 1, 2, ... After each crash the directory is opened again, and every batch says
// which life it is of. Planted faults must be caught.

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
)

// cutting says how the log is cut.
type cutting func(d *Dir, l *log.Log, to kafka.Offset) error

const (
	cutOld  = 14 // batches of the life before
	cutAt   = 5  // what the cut leaves of them
	cutNew  = 6  // batches of the life after
	farAway = 40 // where Restart begins anew
)

// lives is how far the workload came.
type lives struct {
	durable    [2]kafka.Offset // reported durable in the life before and after
	began, cut bool
}

// cutWorkload appends, cuts to at (Restart begins at at), and appends again.
func cutWorkload(ground *env.Test, at kafka.Offset, how cutting) (w lives) {
	d, err := Open(Options{Env: ground.Env, Dir: "/data", NodeID: kafka.NoBroker, JournalBytes: 256 << 10, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return w
	}
	defer d.Close()
	topic, id := topicOf(0)
	l, _, err := d.OpenLog(topic, id, smallConfig())
	if err != nil {
		return w
	}
	write := func(life, n int) bool {
		r := &reported{}
		for i := range n {
			if appendLife(d, l, r, life, i) != nil {
				return false
			}
			if (i%4 == 3 || i == n-1) && d.Barrier(d.ctx) != nil {
				return false
			}
			w.durable[life] = max(w.durable[life], r.told())
		}
		return true
	}
	if !write(0, cutOld) {
		return w
	}
	w.began = true
	if how(d, l, at) != nil {
		return w
	}
	w.cut = true
	if write(1, cutNew) && d.Barrier(d.ctx) == nil {
		w.durable[1] = l.End()
	}
	return w
}

// appendLife appends one batch of one record; every third is a large one.
func appendLife(d *Dir, l *log.Log, r *reported, life, i int) error {
	size := 300
	if i%3 == 2 {
		size = 80 << 10 // larger than directPerLog
	}
	b := record.NewBuilder(record.Options{BaseOffset: l.End(), LeaderEpoch: kafka.LeaderEpoch(life)})
	b.Append(kafka.Timestamp(1000), nil, bytes.Repeat([]byte{byte(life), byte(i)}, size/2))
	data, err := b.Build(nil)
	if err != nil {
		return err
	}
	h, err := record.ParseHeader(data)
	if err != nil {
		return err
	}
	span, err := l.Append(data, []record.Header{h}, 1000)
	if err != nil {
		return err
	}
	d.Submit(r, l, span, data, 0)
	return nil
}

// checkLives opens the directory again and compares.
func checkLives(ground *env.Test, at kafka.Offset, w lives) error {
	d, err := Open(Options{Env: ground.Env, Dir: "/data", NodeID: kafka.NoBroker, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("open after the crash: %w", err)
	}
	defer d.Close()
	topic, id := topicOf(0)
	l, _, err := d.OpenLog(topic, id, smallConfig())
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	start, end := l.Start(), l.End()
	far := at > cutOld
	anew := far && start == at // the log begins anew
	// What must be there: of a log that was to be cut everything below the cut, of
	// one that is to begin anew nothing.
	least := w.durable[0]
	switch {
	case far && w.began:
		least = 0
	case w.began:
		least = min(least, at)
	}
	switch {
	case anew && !w.began, far && w.cut && !anew:
		return fmt.Errorf("log [%d, %d), cut %v: begun anew %v", start, end, w.cut, anew)
	case end < max(least, w.durable[1]):
		return fmt.Errorf("log [%d, %d), cut %v, durable %v: something is lost", start, end, w.cut, w.durable)
	}
	return eachBatch(l, func(offset kafka.Offset, life int) error {
		second := w.cut && offset >= at
		if second != (life == 1) {
			return fmt.Errorf("log [%d, %d), cut %v: offset %d is of life %d", start, end, w.cut, offset, life)
		}
		return nil
	})
}

func eachBatch(l *log.Log, f func(offset kafka.Offset, life int) error) error {
	for at := l.Start(); at < l.End(); {
		rng, err := l.Read(at, l.End(), 1, true)
		if err != nil {
			return err
		}
		b := make([]byte, rng.Length)
		_, err = rng.Source.ReadAt(b, rng.Position)
		rng.Source.Release()
		if err == nil {
			err = record.Verify(b)
		}
		if err != nil {
			return fmt.Errorf("read at %d: %w", at, err)
		}
		h, _ := record.ParseHeader(b)
		if err := f(at, int(h.LeaderEpoch)); err != nil {
			return err
		}
		at = rng.End
	}
	return nil
}

func cutEverywhere(at kafka.Offset, how cutting, stride int) (runs int, err error) {
	for k := 0; ; k += stride {
		ground := env.NewTest(1)
		ground.Disk.CrashAfter(k)
		w := cutWorkload(ground, at, how)
		crashed := ground.Disk.Crashed()
		for seed := range uint64(3) {
			if err := checkLives(ground.Crash(uint64(k)*31+seed), at, w); err != nil {
				return runs, fmt.Errorf("crash at operation %d, seed %d: %w", k, seed, err)
			}
			runs++
		}
		if !crashed {
			return runs, nil
		}
	}
}

func TestCut_CrashAtEveryWrite(t *testing.T) {
	stride := 2
	if testing.Short() {
		stride = 7
	}
	for _, at := range []kafka.Offset{0, cutAt, cutOld - 1} {
		runs, err := cutEverywhere(at, (*Dir).Cut, stride)
		if err != nil {
			t.Errorf("cut at %d: %v", at, err)
		}
		t.Logf("cut at %d: %d crashes", at, runs)
	}
	runs, err := cutEverywhere(farAway, (*Dir).Restart, stride)
	if err != nil {
		t.Errorf("begin anew at %d: %v", farAway, err)
	}
	t.Logf("begin anew at %d: %d crashes", farAway, runs)
}

// TestCut_MutantsAreCaught: each of the three steps in its order is needed.
func TestCut_MutantsAreCaught(t *testing.T) {
	for name, how := range map[string]cutting{
		"no fence": func(d *Dir, l *log.Log, to kafka.Offset) error { return l.TruncateSuffix(to) },
		"a fence without a checkpoint": func(d *Dir, l *log.Log, to kafka.Offset) error {
			if err := d.Fence(d.ctx, l.Key(), 0); err != nil {
				return err
			}
			return l.TruncateSuffix(to)
		},
		"no cut": func(d *Dir, l *log.Log, to kafka.Offset) error { return nil },
	} {
		// Below this cut, the newest batch is in the journal only.
		if _, err := cutEverywhere(cutOld-1, how, 1); err == nil {
			t.Errorf("mutant %q was not caught", name)
		} else {
			t.Logf("mutant %q: %v", name, err)
		}
	}
}
