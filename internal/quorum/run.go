package quorum

import (
	"context"
	"errors"
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/internal/clock"
	"holdfast/internal/kafka"
)

// run is the loop that owns the core.
func (q *Quorum) run() {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(q.observed)
		if q.o.Puller != nil {
			q.observe(ctx)
		}
	}()
	err := q.loop()
	if err != nil {
		q.core.o.Log.Error("the metadata quorum has stopped", "error", err)
		q.failure.Store(&err)
	}
	cancel()
	q.closeErr = errors.Join(err, q.core.close(err != nil))
	close(q.stopped)
}

func (q *Quorum) loop() error {
	c := q.core
	if err := c.campaign(); err != nil {
		return err
	}
	timer := c.o.Env.Clock.NewTimer(tickInterval)
	defer timer.Stop()
	for {
		if err := c.settle(); err != nil {
			return err
		}
		q.look()
		submits := q.submits
		if !c.accepts() {
			submits = nil // they wait until somebody leads
		}
		select {
		case <-q.stop:
			return nil
		case <-timer.C():
			// However late it is, it is one tick: who was not running has not been
			// silent to. And who has something to read has heard of its leader.
			timer.Reset(tickInterval)
			q.readAll()
			if err := c.tick(); err != nil {
				return err
			}
		case m := <-q.messages:
			q.read(m)
		case f := <-q.calls:
			f(c)
		case s := <-submits:
			c.propose(q.batch(s))
		}
	}
}

// observeIdle is how long a member that needs no pulling waits before it looks
// again; the pauses are those after a pull that failed.
const (
	observeIdle     = 500 * time.Millisecond
	observePauseMin = 50 * time.Millisecond
	observePauseMax = time.Second
)

// sight is what an observer pulls next.
type sight struct {
	needed bool
	from   kafka.Offset
	nodes  []kafka.BrokerID // to ask, the leader first
}

// observe pulls what is committed while nobody sends it.
func (q *Quorum) observe(ctx context.Context) {
	pause := observePauseMin
	for turn := 0; ctx.Err() == nil; {
		var s sight
		if q.call(ctx, func(c *core) { s = c.sight() }) != nil {
			return
		}
		if !s.needed || len(s.nodes) == 0 {
			q.wait(ctx, observeIdle)
			continue
		}
		node := s.nodes[turn%len(s.nodes)]
		p, err := q.o.Puller.Pull(ctx, node, s.from)
		if err == nil {
			err = q.take(ctx, s.from, p)
		}
		if err == nil {
			pause = observePauseMin
			continue
		}
		turn++
		q.o.Log.Debug("metadata was not pulled", "node", node, "error", err)
		q.wait(ctx, pause)
		pause = min(2*pause, observePauseMax)
	}
}

// take hands the loop what was pulled.
func (q *Quorum) take(ctx context.Context, from kafka.Offset, p Pulled) (err error) {
	if callErr := q.call(ctx, func(c *core) {
		if err = c.takePulled(from, p); err != nil && !errors.Is(err, errPulled) {
			c.failed = err
		}
	}); callErr != nil {
		return callErr
	}
	return err
}

func (q *Quorum) wait(ctx context.Context, d time.Duration) {
	_ = clock.Wait(ctx, q.o.Env.Clock, d, nil) // the caller looks at ctx
}

// sight tells what to pull: everything behind what is applied.
func (c *core) sight() sight {
	s := sight{needed: !c.leading && c.observing(), from: c.image.Offset() + 1}
	if !s.needed {
		return s
	}
	add := func(node kafka.BrokerID) {
		if node != kafka.NoBroker && node != c.o.Self && !slices.Contains(s.nodes, node) {
			s.nodes = append(s.nodes, node)
		}
	}
	add(c.leaderNode())
	for _, x := range c.store.membership.members {
		if x.roles&(roleVoter|roleOutgoing) != 0 {
			add(x.node)
		}
	}
	if c.store.snapIndex == 0 || len(s.nodes) == 0 {
		for _, node := range c.o.Sources {
			add(node)
		}
	}
	return s
}

// readAll takes every message that has come.
func (q *Quorum) readAll() {
	for range len(q.messages) {
		q.read(<-q.messages)
	}
}

func (q *Quorum) read(m mail) {
	if m.raft != nil && m.raft.GetType() != pb.MsgSnapStatus {
		if x, ok := q.core.store.membership.find(m.raft.GetFrom()); ok {
			q.heard.Store(x.node, q.o.Env.Clock.Now())
		}
	}
	q.core.take(m)
}

// batch takes what waits beside the first submission: one sync serves them all.
func (q *Quorum) batch(first *submission) []*submission {
	list := []*submission{first}
	for len(list) < submissionsMax {
		select {
		case s := <-q.submits:
			list = append(list, s)
		default:
			return list
		}
	}
	return list
}
