package sim

import (
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/partition"
)

// consumer reads one partition from its beginning, below the high watermark, now
// from the leader and now from a follower.
type consumer struct {
	l     *workload
	id    kafka.TopicIDPartition
	at    kafka.Offset
	epoch kafka.LeaderEpoch // the newest that it knows
}

const (
	pollEvery = 40 * time.Millisecond
	pollLimit = 500 * time.Millisecond
	pollBytes = 256 << 10
)

// consumed is a broker's answer.
type consumed struct {
	code    kafka.ErrorCode
	records []byte
	offsets partition.Offsets
}

func (c *consumer) poll() {
	w := c.l.w
	again := func() { w.after(w.about(pollEvery), c.poll) }
	to, epoch := c.l.believed(c.id)
	follower := w.chance(4)
	if follower {
		to = w.someNode()
	}
	if to == nil || epoch < c.epoch { // who knows less than it did before is not believed
		again()
		return
	}
	c.epoch = epoch
	at := c.at
	ask(w, rpc[consumed]{to: to, limit: pollLimit,
		handle: func(reply func(consumed)) { to.consume(c.id, at, epoch, follower, reply) },
		done: func(a consumed, ok bool) {
			if ok && len(a.records) > 0 {
				c.at = w.check.read(c, to, at, a.records)
			}
			if ok && a.code == kafka.ErrOffsetOutOfRange {
				w.find("a consumer of %d at offset %d is told by %s that it is out of range: %+v", c.id.Partition, at, to, a.offsets)
			}
			again()
		}})
}

// consume answers a consumer.
func (n *node) consume(id kafka.TopicIDPartition, from kafka.Offset, epoch kafka.LeaderEpoch, follower bool, reply func(consumed)) {
	r := n.replicas[id]
	if r == nil {
		reply(consumed{code: kafka.ErrNotLeaderOrFollower})
		return
	}
	x := r.p.Read(partition.ReadRequest{From: from, MaxBytes: pollBytes, MinOne: true, CurrentEpoch: epoch,
		LastFetchedEpoch: kafka.NoLeaderEpoch, Replica: kafka.NoBroker, FromFollower: follower})
	a := consumed{code: x.Code, offsets: x.Offsets}
	if x.Range.Source != nil {
		b, err := bytesOf(x.Range)
		if err != nil {
			a.code = kafka.ErrKafkaStorageError
		}
		a.records = b
	}
	reply(a)
}
