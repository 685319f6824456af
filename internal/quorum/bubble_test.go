package quorum

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/controller"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// TestBubble_ManySubmittersShareSyncs runs a whole quorum with its goroutine and
// twenty callers, on a disk that takes 5 ms for a sync. Every caller gets what it
// asked for, nobody waits for more than a few syncs, and no id comes twice.
func TestBubble_ManySubmittersShareSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const syncTime, callers, each = 5 * time.Millisecond, 20, 10
		g := env.NewTest(1)
		must(t, g.FS.MkdirAll("data"), g.FS.SyncDir("."))
		g.Disk.SetLatency(g.Clock, func(op vfs.Op, _ string, _ int) time.Duration {
			if op == vfs.OpSync {
				return syncTime
			}
			return 0
		})
		q, err := Open(testOptions(g))
		must(t, err)
		q.Start()
		reply, err := q.Submit(t.Context(), register(1))
		must(t, err)

		start := time.Now()
		var (
			wg     sync.WaitGroup
			mu     sync.Mutex
			blocks = map[kafka.ProducerID]bool{}
			slow   time.Duration
		)
		for n := range callers {
			wg.Go(func() {
				for i := range each {
					began := time.Now()
					r, err := q.Submit(t.Context(), controller.AllocateProducerIDs{Broker: 1, Epoch: reply.BrokerEpoch})
					if err == nil && i == 0 {
						_, err = q.Submit(t.Context(), create(fmt.Sprintf("t%d", n), 1))
					}
					mu.Lock()
					if err != nil || blocks[r.ProducerIDs.First] {
						t.Errorf("block %+v: %v", r.ProducerIDs, err)
					}
					blocks[r.ProducerIDs.First] = true
					slow = max(slow, time.Since(began))
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took > callers*each*syncTime/4 {
			t.Errorf("%d submits took %v: syncs are not shared", callers*each, took)
		}
		if slow > 10*syncTime {
			t.Errorf("one submit took %v", slow)
		}
		if q.Image().TopicCount() != callers || len(blocks) != callers*each {
			t.Errorf("%d topics, %d blocks", q.Image().TopicCount(), len(blocks))
		}
		must(t, q.Close())
	})
}

// TestBubble_ContextAndClose: a caller that gives up gets its context's error, and
// Close answers those who wait.
func TestBubble_ContextAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := env.NewTest(1)
		must(t, g.FS.MkdirAll("data"), g.FS.SyncDir("."))
		q, err := Open(testOptions(g))
		must(t, err)
		q.Start()
		if _, err := q.Submit(t.Context(), register(1)); err != nil {
			t.Fatal(err)
		}
		g.Disk.SetLatency(g.Clock, func(op vfs.Op, _ string, _ int) time.Duration {
			if op == vfs.OpSync {
				return time.Second
			}
			return 0
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := q.Submit(ctx, create("a", 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("gave up with %v", err)
		}
		var refused error
		var wg sync.WaitGroup
		wg.Go(func() { _, refused = q.Submit(t.Context(), create("b", 1)) })
		wg.Go(func() {
			synctest.Wait()
			must(t, q.Close())
		})
		wg.Wait()
		if refused != nil && !errors.Is(refused, ErrClosed) {
			t.Errorf("closed with %v", refused)
		}
		if q.Image().TopicByName("a") == nil && refused == nil {
			t.Error("b was answered before a")
		}
	})
}

// TestBubble_IdleMemberWritesDownWhatIsDurable: without a stop in order, and long
// after the last entry, rot of that entry is told from a torn write.
func TestBubble_IdleMemberWritesDownWhatIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := env.NewTest(1)
		must(t, g.FS.MkdirAll("data"), g.FS.SyncDir("."))
		q, err := Open(testOptions(g))
		must(t, err)
		q.Start()
		if _, err := q.Submit(t.Context(), register(1)); err != nil {
			t.Fatal(err)
		}
		g.Clock.Sleep(2 * witnessTicks * tickInterval)
		after := env.NewTest(2)
		after.Disk = g.Disk.CrashClone(vfs.CrashOptions{Kind: vfs.CrashDrop})
		after.FS = after.Disk
		name := "data/" + LogDirectory + "/00000000000000000002.log"
		must(t, after.Disk.FlipBit(name, sizeOf(t, after, name)-3))
		var corrupt *CorruptionError
		if _, err := Open(testOptions(after)); !errors.As(err, &corrupt) {
			t.Errorf("rot passed for a torn write: %v", err)
		}
		must(t, q.Close())
	})
}
