package partition_test

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/partition"
	"holdfast/internal/purgatory"
	"holdfast/internal/record"
)

// TestConcurrent lets two replicas live with goroutines: producers, followers that
// fetch and report, flush rounds of their own, consumers, and a controller that moves
// the leadership every few milliseconds. For the race detector, and for the one thing
// that counts.
func TestConcurrent(t *testing.T) {
	c := newCluster(t, "AB", 1)
	for _, n := range c.nodes {
		n.gate.auto = true
	}
	c.elect(c.nodes[0], c.nodes...)
	var leader atomic.Pointer[node]
	leader.Store(c.nodes[0])
	var stop atomic.Bool
	heard := make(chan struct{}, 100) // an acknowledgement each
	var mu sync.Mutex
	acked := map[kafka.Offset]string{}
	var all sync.WaitGroup
	for id := range 2 {
		all.Go(func() {
			for i := 0; !stop.Load(); i++ {
				value := fmt.Sprintf("p%d-%d", id, i)
				if base, ok := produceAndWait(t, leader.Load(), value); ok {
					mu.Lock()
					if had, ok := acked[base]; ok {
						t.Errorf("offset %d was acknowledged as %s and as %s", base, had, value)
					}
					acked[base] = value
					mu.Unlock()
					select {
					case heard <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	for _, n := range c.nodes {
		all.Go(func() {
			for !stop.Load() {
				if l := leader.Load(); l != n {
					if err := followOnce(n, l); err != nil {
						t.Error(err)
						return
					}
				}
				_ = n.Describe()
				_, _, _ = n.LookUp(kafka.TimestampLatest, kafka.NoLeaderEpoch, false)
				n.Tick(c.clock.Now())
			}
		})
	}
	for i := range 40 {
		for range i % 4 { // some leaderships are too short for any
			select {
			case <-heard:
			case <-time.After(100 * time.Millisecond):
			}
		}
		next := c.nodes[(i+1)%2]
		c.elect(next)
		leader.Store(next)
	}
	stop.Store(true)
	all.Wait()
	c.acked = acked
	c.lostNothing()
	t.Logf("%d acknowledged, %d and %d offsets cut", len(acked), c.nodes[0].Counts().OffsetsCut, c.nodes[1].Counts().OffsetsCut)
	if len(acked) < 20 {
		t.Errorf("only %d acknowledged", len(acked))
	}
}

// produceAndWait appends one record and waits a little for its acknowledgement.
func produceAndWait(t *testing.T, n *node, value string) (kafka.Offset, bool) {
	b := record.NewBuilder(record.Options{})
	b.Append(1000, nil, []byte(value))
	data, err := b.Build(nil)
	if err != nil {
		t.Error(err)
		return 0, false
	}
	done := make(chan struct{})
	w := purgatory.New(1, func() { close(done) })
	r := n.Append(partition.AppendRequest{Records: data, Asked: -1, Wait: partition.WaitISR, Waiter: w})
	if r.Code != kafka.ErrNone {
		return 0, false
	}
	if r.Waiting {
		select {
		case <-done:
		case <-time.After(50 * time.Millisecond):
			w.Finish()
		}
		if n.Outcome(r.Receipt, partition.WaitISR) != kafka.ErrNone {
			return 0, false
		}
	}
	return r.Receipt.Base, true
}

// followOnce is one fetch of n from l, and one report. Errors of elections are none.
func followOnce(n, l *node) error {
	at, ok := n.FetchPosition()
	if !ok {
		return n.Err()
	}
	r := l.Read(partition.ReadRequest{From: at.From, MaxBytes: 1 << 20, MinOne: true, CurrentEpoch: at.Epoch, LastFetchedEpoch: at.LastEpoch,
		Replica: n.id, ReplicaEpoch: n.epoch})
	a := partition.Replicated{Epoch: at.Epoch, From: at.From, Diverging: r.Diverging, HighWatermark: r.Offsets.HighWatermark, LogStart: r.Offsets.LogStart, Code: r.Code}
	if r.Range.Source != nil {
		a.Records = make([]byte, r.Range.Length)
		_, err := r.Range.Source.ReadAt(a.Records, r.Range.Position)
		r.Range.Source.Release()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	if err := n.Replicate(a); err != nil && a.Code == kafka.ErrNone {
		return err
	}
	if p, ok := n.Progress(); ok {
		l.ReplicaDurable(n.id, n.epoch, p.Epoch, p.Durable)
	}
	return nil
}
