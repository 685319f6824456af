package fetcher

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/partition"
)

// Goal: whatever happens between a follower and its leader, a second after it is over
// the logs are the same and every record is committed, known to be so by the follower,
// and on its stable storage; and the next write is acknowledged at once.
//
// Bounds: 40 seeds with 150 steps each, four partitions; a step is a write, a loss
// of the connection, a session that is forgotten, a partition or a report that is
// refused, a slow report, an epoch that one side learns of first, a partition that is
// forgotten and comes back, and one that the follower leads for a moment, with records
// that have to be cut.
func TestChaos_ComesToRest(t *testing.T) {
	writes, cut := 0, 0
	for seed := range uint64(40) {
		inBubble(t, 4, func(r *rig) {
			c := &chaos{r: r, rand: rand.New(rand.NewPCG(seed, 1))}
			for i := range 4 {
				r.follow(i)
			}
			for range 150 {
				c.step()
				<-time.After(time.Duration(c.rand.IntN(40)) * time.Millisecond)
			}
			c.heal()
			<-time.After(time.Second)
			synctest.Wait()
			for i := range 4 {
				a, b := r.leader.partitions[i].Offsets(), r.follower.partitions[i].Offsets()
				if a.HighWatermark != a.LogEnd || b.HighWatermark != a.LogEnd || b.Durable != a.LogEnd || b.Epoch != a.Epoch {
					t.Errorf("seed %d, partition %d: the leader has %+v, the follower %+v", seed, i, a, b)
				}
				if a.LogEnd > 0 {
					r.same(i)
				}
				r.produce(i, "last").acked(50 * time.Millisecond)
				writes += int(a.LogEnd)
				cut += int(r.follower.partitions[i].Counts().OffsetsCut)
			}
			<-time.After(time.Second)
			synctest.Wait()
			if d := r.fetcher.Describe(); len(d) != 1 || d[0].InSession != 4 || d[0].Err != nil {
				t.Errorf("seed %d: %+v", seed, d)
			}
			if t.Failed() {
				t.Fatalf("seed %d: %v", seed, c.trace)
			}
		})
	}
	t.Logf("%d writes, %d offsets cut", writes, cut)
	if cut == 0 {
		t.Error("nothing was cut")
	}
}

// chaos is what happens to a rig.
type chaos struct {
	r     *rig
	rand  *rand.Rand
	trace []string
}

func (c *chaos) step() {
	r, i := c.r, c.rand.IntN(4)
	codes := []kafka.ErrorCode{kafka.ErrNotLeaderOrFollower, kafka.ErrUnknownTopicID, kafka.ErrKafkaStorageError, kafka.ErrUnknownLeaderEpoch}
	code := codes[c.rand.IntN(len(codes))]
	kind := c.rand.IntN(17)
	c.trace = append(c.trace, fmt.Sprint(kind, "/", i))
	switch kind {
	case 0:
		r.door.lose(errLost)
	case 1, 2, 3:
		r.door.back()
	case 4:
		r.door.set(func() { r.door.sessions = map[int32]*fakeSession{} })
	case 5:
		r.door.set(func() { r.door.refuse[kafka.PartitionIndex(i)] = code })
	case 6:
		r.door.set(func() { clear(r.door.refuse) })
	case 7:
		r.door.set(func() { r.door.deaf = code })
	case 8:
		r.door.set(func() { r.door.deaf, r.door.slow = kafka.ErrNone, time.Duration(c.rand.IntN(20))*time.Millisecond })
	case 9:
		r.fetcher.Forget(r.follower.partitions[i])
		r.follower.partitions[i].Resign()
		<-time.After(time.Duration(c.rand.IntN(20)) * time.Millisecond)
		r.follow(i)
	case 10, 11:
		c.elect(i, kind == 10)
	case 12:
		c.diverge(i)
	default:
		r.produce(i, fmt.Sprint(len(c.trace)))
	}
}

// elect begins another epoch of all partitions, and tells one side first.
func (c *chaos) elect(i int, leaderFirst bool) {
	r := c.r
	r.epoch++
	pause := time.Duration(c.rand.IntN(30)) * time.Millisecond
	for n := range 4 {
		n = (n + i) % 4
		if leaderFirst {
			r.lead(n)
			<-time.After(pause)
			r.follow(n)
		} else {
			r.follow(n)
			<-time.After(pause)
			r.lead(n)
		}
	}
}

// diverge has the follower lead one partition for a moment, with records that it can
// commit nothing of and the leader will never have.
func (c *chaos) diverge(i int) {
	r, p := c.r, c.r.follower.partitions[i]
	r.epoch++
	r.state++
	r.fetcher.Forget(p)
	p.Lead(partition.Leadership{Epoch: r.epoch, PartitionEpoch: r.state, Replicas: []kafka.BrokerID{leads, follows}, ISR: []kafka.BrokerID{follows}, MinISR: 2})
	for range 1 + c.rand.IntN(3) {
		p.Append(partition.AppendRequest{Records: batch(r.t, "mine"), Asked: 0, Wait: partition.WaitNone})
	}
	<-time.After(time.Duration(c.rand.IntN(20)) * time.Millisecond)
	c.elect(i, c.rand.IntN(2) == 0)
}

func (c *chaos) heal() {
	c.r.door.back()
	c.r.door.set(func() {
		clear(c.r.door.refuse)
		c.r.door.deaf, c.r.door.slow = kafka.ErrNone, 0
	})
}
