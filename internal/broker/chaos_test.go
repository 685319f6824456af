package broker_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/partition"
)

// Goal: whatever becomes of proposals and their answers, and however late metadata
// comes, the high watermark never passes the durable end of a replica that the
// controller has in the ISR: it could be elected. And when it is over, everything
// is committed.
//
// Bounds: 60 seeds with 120 steps each, one leader and two followers; a step is a
// write, a follower that takes over some of the log, a broker that is fenced, lives
// again or registers anew, an answer that is lost (before or after the decision), a
// copy of a command that is decided later, and metadata that is held back.
func TestProposals_NeverAheadOfTheISR(t *testing.T) {
	steps := 0
	for seed := range uint64(60) {
		inBubble(t, func(r *rig) {
			c := &chaos{r: r, rand: rand.New(rand.NewPCG(seed, 2)), fate: rand.New(rand.NewPCG(seed, 3)), durable: map[kafka.BrokerID]kafka.Offset{}}
			c.id = r.create("t", "1", 1, 2, 3)
			r.controller.set(c.submit)
			for range 120 {
				c.step()
				<-time.After(time.Duration(c.rand.IntN(60)) * time.Millisecond)
				c.check()
				steps++
			}
			c.rest()
			if t.Failed() {
				t.Fatalf("seed %d: %v", seed, c.trace)
			}
		})
	}
	t.Logf("%d steps", steps)
}

// chaos is what happens to the rig. durable is what the followers really have.
type chaos struct {
	r       *rig
	id      kafka.TopicIDPartition
	rand    *rand.Rand
	durable map[kafka.BrokerID]kafka.Offset
	trace   []string

	mu    sync.Mutex // what the controller's callers touch
	fate  *rand.Rand // of commands
	late  []func() (controller.Reply, error)
	quiet bool
}

// submit loses answers, and keeps copies.
func (c *chaos) submit(_ controller.Command, decide func() (controller.Reply, error)) (controller.Reply, error) {
	c.mu.Lock()
	fate := c.fate.IntN(6)
	if c.quiet {
		fate = 5
	}
	if fate == 0 || fate == 2 {
		c.late = append(c.late, decide)
	}
	c.mu.Unlock()
	if fate == 0 {
		return controller.Reply{}, errUnanswered
	}
	reply, err := decide()
	if fate == 1 {
		return controller.Reply{}, errUnanswered
	}
	return reply, err
}

// copy takes the oldest copy of a command that is still on its way.
func (c *chaos) copy() func() (controller.Reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.late) == 0 {
		return nil
	}
	oldest := c.late[0]
	c.late = c.late[1:]
	return oldest
}

func (c *chaos) step() {
	r := c.r
	kind, who := c.rand.IntN(12), kafka.BrokerID(2+c.rand.IntN(2))
	c.trace = append(c.trace, fmt.Sprint(kind, "/", who))
	switch kind {
	case 0, 1:
		r.produce(c.id, 10)
	case 2, 3, 4, 5:
		c.follow(who)
	case 6:
		r.fence(who)
	case 7, 8:
		r.heartbeat(who)
	case 9:
		r.register(who)
	case 10:
		if r.controller.held() {
			r.controller.release()
		} else {
			r.controller.holdBack()
		}
	case 11:
		if decide := c.copy(); decide != nil {
			_, _ = decide()
		}
	}
	synctest.Wait()
}

// follow has a follower fetch some of what there is, and report what is durable. The
// leader believes no incarnation that it has not heard of.
func (c *chaos) follow(who kafka.BrokerID) {
	p := c.r.partition(c.id)
	o := p.Offsets()
	end := c.durable[who] + kafka.Offset(c.rand.IntN(int(o.LogEnd-c.durable[who])+1))
	c.durable[who] = end
	epoch := c.r.controller.epochOf(who)
	res := p.Read(partition.ReadRequest{From: end, CurrentEpoch: o.Epoch, LastFetchedEpoch: p.Log().EpochAt(end-1, kafka.NoLeaderEpoch), Replica: who, ReplicaEpoch: epoch, MaxBytes: 1})
	if res.Range.Source != nil {
		res.Range.Source.Release()
	}
	if res.Code == kafka.ErrNone && res.Diverging == nil {
		p.ReplicaDurable(who, epoch, o.Epoch, end)
	}
}

func (c *chaos) check() {
	o, state := c.r.partition(c.id).Offsets(), c.r.state(c.id)
	if !o.Leading || o.Epoch != state.LeaderEpoch {
		return
	}
	for _, member := range state.ISR {
		if member != self && c.durable[member] < o.HighWatermark {
			c.r.t.Fatalf("high watermark %d, and broker %d of the ISR %v has %d on stable storage: %v", o.HighWatermark, member, state.ISR, c.durable[member], c.trace)
		}
	}
}

// rest ends it all: everybody lives and catches up.
func (c *chaos) rest() {
	r := c.r
	c.mu.Lock()
	c.quiet = true
	c.mu.Unlock()
	r.controller.release()
	synctest.Wait()
	for range 40 {
		r.heartbeat(2, 3)
		for _, who := range []kafka.BrokerID{2, 3} {
			c.durable[who] = r.partition(c.id).Offsets().LogEnd
			r.catchUp(c.id, who)
		}
		<-time.After(100 * time.Millisecond)
		synctest.Wait()
		c.check()
	}
	o := r.partition(c.id).Offsets()
	if o.HighWatermark != o.LogEnd || len(r.state(c.id).ISR) != 3 {
		r.t.Errorf("%+v with ISR %v, want all committed on all", o, r.state(c.id).ISR)
	}
}
