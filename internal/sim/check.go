package sim

import (
	"hash/fnv"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// checker looks after every step whether what was promised still holds. What it
// keeps is what it has seen; it asks the brokers for nothing that they could not
// show to anybody.
type checker struct {
	w *World
	// shadows are the logs as they were seen last, of every node that has or had one.
	shadows map[place]*shadow
	// committed is, for each partition, what somebody has known to be committed.
	committed map[kafka.TopicIDPartition]*history
	leaders   map[term]kafka.BrokerID
	producers map[kafka.ProducerID]*account

	newest *meta.Image             // of all that any node has applied
	images map[kafka.Offset]uint64 // digests of the images
	deeds  map[kafka.LeaderEpoch]kafka.BrokerID
}

// place is a replica, whether somebody runs it or not.
type place struct {
	node kafka.BrokerID
	id   kafka.TopicIDPartition
}

// term is a leadership of a partition.
type term struct {
	id    kafka.TopicIDPartition
	epoch kafka.LeaderEpoch
}

func newChecker(w *World) *checker {
	return &checker{w: w, shadows: map[place]*shadow{}, committed: map[kafka.TopicIDPartition]*history{}, leaders: map[term]kafka.BrokerID{},
		producers: map[kafka.ProducerID]*account{}, newest: meta.Empty(), images: map[kafka.Offset]uint64{}, deeds: map[kafka.LeaderEpoch]kafka.BrokerID{}}
}

// step looks at what the last event can have changed: things of one node.
func (c *checker) step(n *node) {
	if n != nil && !n.isDown() {
		for _, r := range n.order {
			c.look(r)
		}
	}
	c.everyMemberHasIt()
}

// everyMemberHasIt: whoever may be elected has, on stable storage, all that is
// committed.
func (c *checker) everyMemberHasIt() {
	for _, t := range c.newest.Topics() {
		for _, p := range t.Partitions {
			id := kafka.TopicIDPartition{TopicID: t.ID, Partition: p.Index}
			h := c.committed[id]
			if h == nil || h.end() == 0 {
				continue
			}
			for _, set := range [][]kafka.BrokerID{p.ISR, p.ELR} {
				for _, member := range set {
					c.memberHasIt(place{member, id}, p, h)
				}
			}
		}
	}
}

func (c *checker) memberHasIt(at place, p meta.Partition, h *history) {
	s := c.shadows[at]
	if s != nil {
		s.compare(h)
	}
	if s != nil && s.gone && c.newest.Broker(at.node).Epoch == s.incarnation {
		return
	}
	if s != nil && (s.rotten || min(s.verifiedEnd(), s.durable) >= h.end()) {
		return
	}
	var verified, durable kafka.Offset
	if s != nil {
		verified, durable = s.verifiedEnd(), s.durable
	}
	c.w.find("partition %d: %s may be elected (leader %d, epoch %d, ISR %v, ELR %v) and has not what is committed up to %d: it agrees up to %d, durable up to %d",
		at.id.Partition, c.w.node(at.node), p.Leader, p.LeaderEpoch, p.ISR, p.ELR, h.end(), verified, durable)
}

// applied is told of every image that a node arrives at. Nodes that have applied
// the same offset know the same; and what a start reads back from the disk is what
// was applied before.
func (c *checker) applied(n *node, image *meta.Image) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(image.String()))
	sum := h.Sum64()
	if had, ok := c.images[image.Offset()]; ok && had != sum {
		c.w.find("the metadata of %s at offset %d is not what another node, or another start, had there:\n%s", n, image.Offset(), image)
	}
	c.images[image.Offset()] = sum
	if image.Offset() > c.newest.Offset() {
		c.newest = image
		c.w.note("metadata %d, by %s", image.Offset(), n)
		if c.w.o.Trace != nil {
			for _, t := range image.Topics() {
				for _, p := range t.Partitions {
					c.w.note("   partition %d: leader %d epoch %d, ISR %v ELR %v lost %v, partition epoch %d", p.Index, p.Leader, p.LeaderEpoch, p.ISR, p.ELR, p.Lost, p.PartitionEpoch)
				}
			}
		}
	}
}

// quorumLed: a term of the quorum has one leader.
func (c *checker) quorumLed(n *node, term kafka.LeaderEpoch) {
	if other, ok := c.deeds[term]; ok && other != n.id {
		c.w.find("two nodes decide on metadata in term %d: %s and %s", term, c.w.node(other), n)
	}
	c.deeds[term] = n.id
}

// fold: the image of a node is what its log says.
func (c *checker) fold(n *node) {
	image, err := n.quorum.Fold()
	if err != nil || image.String() != n.quorum.Image().String() {
		c.w.find("the metadata of %s is not what its log says: %v\n%s\n%s", n, err, n.quorum.Image(), image)
	}
}

// reconciled is told when a node has brought its partitions to an image.
func (c *checker) reconciled(n *node) {
	if c.w.chance(20) {
		c.fold(n)
	}
}
