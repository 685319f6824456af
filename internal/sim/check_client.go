package sim

import (
	"holdfast/internal/kafka"
	"holdfast/internal/partition"
	"holdfast/internal/record"
)

// account is what is known of one producer: what it sent, and how much of that is
// committed.
type account struct {
	partition kafka.PartitionIndex
	sent      map[kafka.Sequence]*dispatch
	next      kafka.Sequence // everything before is committed, once
}

type dispatch struct {
	count int32
	crc   uint32
	acked kafka.Offset // NoOffset: not acknowledged
}

// sent notes what a producer means to write.
func (c *checker) sent(p *producer, b *batch) {
	a := c.producers[p.pid]
	if a == nil {
		a = &account{partition: p.partition, sent: map[kafka.Sequence]*dispatch{}}
		c.producers[p.pid] = a
	}
	a.sent[b.sequence] = &dispatch{count: b.count, crc: b.crc, acked: kafka.NoOffset}
}

// account: what is committed was sent, as it was sent, in order, without a gap and
// once.
func (c *checker) account(r *replica, x span) {
	a := c.producers[x.producer]
	if a == nil || a.partition != r.id.Partition {
		c.w.find("%s commits %s, which nobody has sent there", r, x)
	}
	d := a.sent[x.sequence]
	switch {
	case x.sequence < a.next:
		c.w.find("%s commits %s: a duplicate, the producer is at sequence %d", r, x, a.next)
	case x.sequence > a.next:
		c.w.find("%s commits %s: what the producer sent from sequence %d on is missing", r, x, a.next)
	case d == nil || d.count != x.count || d.crc != x.crc:
		c.w.find("%s commits %s, which is not what the producer sent", r, x)
	}
	a.next = x.sequence.Add(x.count)
}

// acked: what is acknowledged is committed, where the acknowledgement says.
func (c *checker) acked(p *producer, b *batch, by *node, receipt partition.Receipt) {
	c.w.note("%s acknowledges sequence %d of producer %d at %+v", by, b.sequence, p.pid, receipt)
	d := c.producers[p.pid].sent[b.sequence]
	x, ok := c.historyOf(p.id()).at(receipt.Base)
	if !ok || x.base != receipt.Base || x.producer != p.pid || x.sequence != b.sequence || x.crc != b.crc {
		c.w.find("%s acknowledges sequence %d of producer %d at offset %d, which is not committed there: %v", by, b.sequence, p.pid, receipt.Base, x)
	}
	if d.acked == kafka.NoOffset {
		c.w.result.Acknowledged += int(b.count)
	} else if d.acked != receipt.Base {
		c.w.find("sequence %d of producer %d is acknowledged at offset %d and at %d", b.sequence, p.pid, d.acked, receipt.Base)
	}
	d.acked = receipt.Base
}

// read: what a consumer gets is committed, and is what everybody gets. It returns
// where the consumer goes on.
func (c *checker) read(reader *consumer, from *node, at kafka.Offset, b []byte) kafka.Offset {
	h := c.historyOf(reader.id)
	for len(b) > 0 {
		x, err := record.ParseHeader(b)
		if err == nil {
			err = record.Verify(b[:x.Size()])
		}
		if err != nil {
			if from.sick > 0 {
				c.w.count("damaged bytes read")
				return at
			}
			c.w.find("a consumer gets damaged bytes from %s at %d: %v", from, at, err)
		}
		got := spanOf(x, b[:x.Size()])
		want, ok := h.at(got.base)
		switch {
		case !ok || want != got:
			c.w.find("a consumer gets %s from %s where %s is committed", got, from, want)
		case got.base > at || got.end <= at:
			c.w.find("a consumer asks %s for offset %d and gets %s", from, at, got)
		}
		c.w.result.Read += int(got.end - at)
		at, b = got.end, b[x.Size():]
	}
	return at
}
