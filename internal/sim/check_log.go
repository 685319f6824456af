package sim

import (
	"fmt"

	"holdfast/internal/bin"
	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// span is one batch as it lies in a log.
type span struct {
	base, end kafka.Offset
	epoch     kafka.LeaderEpoch
	sum       uint32 // over all of its bytes
	crc       uint32
	producer  kafka.ProducerID
	sequence  kafka.Sequence
	count     int32
}

// shadow is a replica's log as it was seen last.
type shadow struct {
	spans    []span
	durable  kafka.Offset
	high     kafka.Offset // of this process
	verified int          // so many spans are those of the committed history
	rotten   bool         // the disk was damaged on purpose, and it is not made good yet
	// gone: the disk was taken away; the metadata can know of it when another
	// incarnation than this one is registered.
	gone        bool
	incarnation kafka.BrokerEpoch
}

func (s *shadow) end() kafka.Offset {
	if len(s.spans) == 0 {
		return 0
	}
	return s.spans[len(s.spans)-1].end
}

func (s *shadow) verifiedEnd() kafka.Offset {
	if s.verified == 0 {
		return 0
	}
	return s.spans[s.verified-1].end
}

// compare goes on comparing with what is committed.
func (s *shadow) compare(h *history) {
	for s.verified < len(s.spans) && s.verified < len(h.spans) && s.spans[s.verified] == h.spans[s.verified] {
		s.verified++
	}
}

// cut drops what is at or above to.
func (s *shadow) cut(to kafka.Offset) {
	for len(s.spans) > 0 && s.spans[len(s.spans)-1].end > to {
		s.spans = s.spans[:len(s.spans)-1]
	}
	s.verified = min(s.verified, len(s.spans))
}

// history is what is committed of a partition.
type history struct{ spans []span }

func (h *history) end() kafka.Offset {
	if len(h.spans) == 0 {
		return 0
	}
	return h.spans[len(h.spans)-1].end
}

// at finds the batch that holds an offset.
func (h *history) at(o kafka.Offset) (span, bool) {
	low, high := 0, len(h.spans)
	for low < high {
		if mid := (low + high) / 2; h.spans[mid].end <= o {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == len(h.spans) {
		return span{}, false
	}
	return h.spans[low], true
}

func (c *checker) historyOf(id kafka.TopicIDPartition) *history {
	h := c.committed[id]
	if h == nil {
		h = &history{}
		c.committed[id] = h
	}
	return h
}

func (c *checker) shadowOf(r *replica) *shadow {
	at := place{r.n.id, r.id}
	s := c.shadows[at]
	if s == nil {
		s = &shadow{}
		c.shadows[at] = s
	}
	return s
}

// opened looks at a log that a new process has just opened: everything that was
// durable before is there, and is what it was.
func (c *checker) opened(r *replica) {
	s := c.shadowOf(r)
	before := *s
	s.spans, s.verified, s.high, s.gone = nil, 0, 0, false
	o := r.p.Offsets()
	s.spans = c.readFrom(r, 0, o.LogEnd)
	s.durable = o.Durable
	if !before.rotten {
		for i, had := range before.spans {
			if had.end > before.durable {
				break
			}
			if i >= len(s.spans) || s.spans[i] != had {
				c.w.find("%s said that everything below %d is on stable storage; after a restart its log ends at %d, and offset %d is not what it was",
					r, before.durable, s.end(), had.base)
			}
		}
	}
	c.look(r)
}

// look follows what became of a log since the last look.
func (c *checker) look(r *replica) {
	s, h, o := c.shadowOf(r), c.historyOf(r.id), r.p.Offsets()
	switch end := s.end(); {
	case o.LogEnd < end:
		s.cut(o.LogEnd)
	case o.LogEnd > end:
		s.spans = append(s.spans, c.readFrom(r, end, o.LogEnd)...)
	}
	if s.end() != o.LogEnd || o.Durable > o.LogEnd {
		c.w.find("%s ends at %d, durable up to %d; its last batch ends at %d", r, o.LogEnd, o.Durable, s.end())
	}
	s.durable = o.Durable
	if o.HighWatermark > o.LogEnd {
		c.w.find("%s has the high watermark %d and ends at %d", r, o.HighWatermark, o.LogEnd)
	}
	if o.HighWatermark < s.high {
		c.w.find("the high watermark of %s goes from %d back to %d", r, s.high, o.HighWatermark)
	}
	s.high = o.HighWatermark
	if o.Leading {
		c.led(r, o.Epoch)
	}
	c.verify(r, s, h)
	c.commit(r, s, h)
}

// led: an epoch of a partition has one leader.
func (c *checker) led(r *replica, epoch kafka.LeaderEpoch) {
	t := term{r.id, epoch}
	if other, ok := c.leaders[t]; ok && other != r.n.id {
		c.w.find("partition %d has two leaders in epoch %d: %s and %s", r.id.Partition, epoch, c.w.node(other), r.n)
	}
	c.leaders[t] = r.n.id
}

// verify compares a log with what is committed. Below the high watermark that the
// replica claims they are one; above it the log may be of another opinion still.
func (c *checker) verify(r *replica, s *shadow, h *history) {
	s.compare(h)
	if at := s.verifiedEnd(); at < min(s.high, h.end()) {
		c.w.find("%s has the high watermark %d, and at offset %d it holds %s where %s was committed", r, s.high, at, s.next(), h.spans[s.verified])
	}
}

func (s *shadow) next() string {
	if s.verified >= len(s.spans) {
		return "nothing"
	}
	return s.spans[s.verified].String()
}

func (x span) String() string {
	return fmt.Sprintf("[%d, %d) of epoch %d, producer %d sequence %d, sum %08x", x.base, x.end, x.epoch, x.producer, x.sequence, x.sum)
}

// commit takes down what a replica now knows to be committed.
func (c *checker) commit(r *replica, s *shadow, h *history) {
	for s.high > h.end() {
		next := s.spans[len(h.spans)]
		if next.end > s.high {
			c.w.find("the high watermark of %s is %d, within the batch %s", r, s.high, next)
		}
		h.spans = append(h.spans, next)
		s.verified = len(h.spans)
		c.account(r, next)
	}
}

// readFrom reads the batches of [from, to) of a log.
func (c *checker) readFrom(r *replica, from, to kafka.Offset) (list []span) {
	for from < to {
		rng, err := r.l.Read(from, to, 1<<20, true)
		if err != nil {
			c.w.find("%s is not read at %d: %v", r, from, err)
		}
		b, err := bytesOf(rng)
		if err != nil {
			c.w.find("%s is not read at %d: %v", r, from, err)
		}
		for len(b) > 0 {
			h, err := record.ParseHeader(b)
			if err != nil || h.BaseOffset != from {
				c.w.find("%s holds no batch at %d: %+v %v", r, from, h, err)
			}
			list = append(list, spanOf(h, b[:h.Size()]))
			from, b = h.End(), b[h.Size():]
		}
	}
	return list
}

func spanOf(h record.Header, b []byte) span {
	return span{base: h.BaseOffset, end: h.End(), epoch: h.LeaderEpoch, sum: bin.CRC32C(b), crc: h.CRC,
		producer: h.ProducerID, sequence: h.BaseSequence, count: h.Count}
}

// cutting is told before a log is cut: from here on the rest of it may be gone.
func (c *checker) cutting(at place, to kafka.Offset) {
	if s := c.shadows[at]; s != nil {
		s.cut(to)
		s.durable = min(s.durable, to)
	}
}

// died notes what is left of a node's logs: all of them after the end of a process;
// what was said to be durable after a power loss.
func (c *checker) died(n *node, power bool) {
	for at, s := range c.shadows {
		if at.node != n.id {
			continue
		}
		if power {
			s.cut(s.durable)
		}
	}
}

// wiped: everything of the node is gone, and nobody may count on it.
func (c *checker) wiped(n *node, epoch kafka.BrokerEpoch) {
	for at := range c.shadows {
		if at.node == n.id {
			c.shadows[at] = &shadow{gone: true, incarnation: epoch}
		}
	}
}

// dropped and emptied: a replica was given up in order.
func (c *checker) dropped(r *replica) { delete(c.shadows, place{r.n.id, r.id}) }

func (c *checker) emptied(n *node, id kafka.TopicIDPartition) { delete(c.shadows, place{n.id, id}) }

// mayRot: damage of a log needs a cause.
func (c *checker) mayRot(n *node, err error) {
	if n.sick == 0 {
		c.w.find("%s finds damage where nothing was damaged: %v", n, err)
	}
}
