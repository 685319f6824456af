package isr

// The small world of model_test.go: replicas with logs and stable storage, a
// controller that compares and swaps, metadata that each replica applies in its own
// time, and messages that are late, old or lost.

import (
	"fmt"
	"slices"
	"time"

	"holdfast/internal/kafka"
)

const (
	nodesMax   = 3
	entriesMax = 3
	epochsMax  = 5
	behindMax  = 2 // nobody is more images behind
	imagesMax  = behindMax + 2
)

// Time stands still at now; "time passes" makes what was noted before ancient. So
// every time in a state is one of these, and states can be compared.
var (
	now     = time.Unix(1_000_000, 0)
	ancient = time.Unix(1, 0)
)

const lagMax = 8 * time.Second

// image is the metadata of the partition at one offset.
type image struct {
	leader, leaderEpoch, partitionEpoch int8
	isr                                 uint8 // one bit a replica
	minISR                              int8
	brokers                             [nodesMax]int8 // broker epochs
}

// node is one replica. An entry of a log is the epoch that wrote it.
type node struct {
	log       [entriesMax]int8
	end       int8
	durable   int8
	hw        int8            // the highest it has known, when it neither leads nor follows
	starts    [epochsMax]int8 // where each epoch starts, plus one; 0: not in the log
	applied   int8            // index of the image it has applied
	leading   bool
	following bool
	lead      Leader
	follow    Follower
	waits     [entriesMax]int8 // epoch of the produce that waits at each offset
	report    report           // durable progress on its way
	proposal  proposed         // an ISR change on its way
	answer    answered         // its answer on its way
	ever      [entriesMax]int8 // what it had on stable storage before its disk was replaced
}

type report struct{ epoch, broker, end int8 }

type proposed struct {
	made                        bool
	leaderEpoch, partitionEpoch int8
	number                      int64
	isr                         uint8
	brokers                     [nodesMax]int8
}

type answered struct {
	made, refused               bool
	leaderEpoch, partitionEpoch int8
	number                      int64
	isr                         uint8
}

// state is the whole world.
type state struct {
	images    [imagesMax]image
	latest    int8
	nodes     [nodesMax]node
	committed [entriesMax]int8 // ghost: the entry that was below some leader's high watermark
	crashes   int8
	wipes     int8
	fences    int8
	elections int8
	minSets   int8
}

func (s *state) clone() *state {
	c := *s
	for i := range c.nodes {
		c.nodes[i].lead.replicas = slices.Clone(c.nodes[i].lead.replicas)
	}
	return &c
}

func (s *state) image() *image { return &s.images[s.latest] }

// next appends an image and returns it for changing.
func (s *state) next() *image {
	s.images[s.latest+1] = s.images[s.latest]
	s.latest++
	return &s.images[s.latest]
}

func members(set uint8) (ids []kafka.BrokerID) {
	for i := range nodesMax {
		if set&(1<<i) != 0 {
			ids = append(ids, kafka.BrokerID(i))
		}
	}
	return ids
}

// EndOf implements History.
func (n *node) EndOf(epoch kafka.LeaderEpoch) EpochEnd {
	found, end := kafka.NoLeaderEpoch, kafka.Offset(n.end)
	for e := epochsMax - 1; e > 0; e-- {
		if n.starts[e] == 0 {
			continue
		}
		if kafka.LeaderEpoch(e) <= epoch {
			found = kafka.LeaderEpoch(e)
			break
		}
		end = kafka.Offset(n.starts[e] - 1)
	}
	return EpochEnd{found, end}
}

// Last implements History.
func (n *node) Last() EpochEnd { return n.EndOf(epochsMax) }

func (n *node) truncate(to int8) {
	for e := range n.starts {
		if n.starts[e]-1 >= to {
			n.starts[e] = 0
		}
	}
	for k := to; k < n.end; k++ {
		n.log[k] = 0
	}
	n.end = min(n.end, to)
	n.durable = min(n.durable, to)
}

func (n *node) append(entry int8) {
	if n.starts[entry] == 0 {
		n.starts[entry] = n.end + 1
	}
	n.log[n.end] = entry
	n.end++
}

// bounds say how large a world is.
type bounds struct {
	name      string
	nodes     int
	entries   int8
	isr       uint8
	minISR    int8
	elections int8 // without a failure
	fences    int8 // the controller removes a member of the ISR
	crashes   int8 // what is not on stable storage is lost, a new incarnation
	wipes     int8 // a disk is replaced while another member of the ISR has all
	minSets   int8 // min ISR goes to 2, in a record of its own
	late      bool // durable progress travels late
}

func (b *bounds) String() string {
	return fmt.Sprintf("%s (%d replicas, %d records, ISR of %d, min ISR %d, elections %d, fencings %d, crashes %d, wiped disks %d, changes of min ISR %d, late reports %v)",
		b.name, b.nodes, b.entries, len(members(b.isr)), b.minISR, b.elections, b.fences, b.crashes, b.wipes, b.minSets, b.late)
}

// variant is a set of rules; the zero one is the true one. Each mutant changes one
// place.
type variant struct {
	name  string
	world string
	// after edits a leader after each of its events.
	after      func(*Leader)
	canAppend  func(*Leader) bool
	fetch      func(*Leader, *Fetch)
	report     func(*Leader, *Report)
	answer     func(*Leader, *answered)
	lost       func(*Leader, *answered) // an answer that did not arrive
	follow     func(*node)              // when a node begins to follow
	progress   func(*Follower, kafka.Offset) (kafka.Offset, bool)
	sameBroker bool // metadata that names another incarnation resets nothing
	anyEpoch   bool // reports of any leader epoch are believed
	byOffset   bool // a waiting produce is known by its offset only
}

// world runs one variant within bounds.
type world struct {
	bounds
	rules   variant
	reached map[string]int // what happened at all
}

func (w *world) start() *state {
	s := &state{}
	s.images[0] = image{leader: 0, leaderEpoch: 1, partitionEpoch: 1, isr: w.isr, minISR: w.minISR}
	for i := range w.nodes {
		if err := w.obey(s, i); err != nil {
			panic(err)
		}
	}
	return s
}

func (w *world) replicas() uint8 { return 1<<w.nodes - 1 }

// event does one thing to a leader and looks at what came of it.
func (w *world) event(s *state, i int, do func(l *Leader) Effects) error {
	n := &s.nodes[i]
	pending, e := n.lead.pending, Effects{}
	if do != nil {
		e = do(&n.lead)
		for i := range n.lead.replicas {
			if !n.lead.replicas[i].holdUntil.IsZero() {
				w.reached["a joiner is held"]++
			}
		}
	}
	if w.rules.after != nil {
		w.rules.after(&n.lead)
	}
	if p, made := n.lead.Outstanding(); made && (e.Propose != nil || !pending) {
		n.proposal = proposed{made: true, leaderEpoch: int8(n.lead.epoch), partitionEpoch: int8(p.PartitionEpoch), number: p.Number}
		for _, c := range p.ISR {
			n.proposal.isr |= 1 << c.ID
			n.proposal.brokers[c.ID] = int8(c.Epoch)
		}
	}
	return w.observe(s, i)
}

// observe notes what the leader calls committed and answers who waits for it.
func (w *world) observe(s *state, i int) error {
	n := &s.nodes[i]
	hw := int8(n.lead.HighWatermark())
	if hw > n.end {
		return fmt.Errorf("high watermark %d above the log end %d of %d", hw, n.end, i)
	}
	for k := range hw {
		switch {
		case s.committed[k] == 0:
			if err := w.checkCopies(s, i, k); err != nil {
				return err
			}
			s.committed[k] = n.log[k]
			w.reached[fmt.Sprintf("%d records are committed", k+1)]++
		case s.committed[k] != n.log[k]:
			return fmt.Errorf("offset %d was committed as a record of epoch %d; leader %d shows one of epoch %d", k, s.committed[k], i, n.log[k])
		}
	}
	return w.acknowledge(s, i, hw)
}

// acknowledge answers the produces that wait at i for what is below hw.
func (w *world) acknowledge(s *state, i int, hw int8) error {
	n := &s.nodes[i]
	for k := range hw {
		if n.waits[k] != 0 && n.waits[k] != s.committed[k] {
			return fmt.Errorf("%d acknowledges the record of epoch %d at offset %d, where that of epoch %d is committed", i, n.waits[k], k, s.committed[k])
		}
		n.waits[k] = 0
	}
	return nil
}

// checkCopies: what becomes committed is on every member's stable storage, and
// the members are min ISR or more, according to some metadata that holds between
// what the leader has applied and the latest.
func (w *world) checkCopies(s *state, leader int, k int8) error {
	entry := s.nodes[leader].log[k]
	for at := s.nodes[leader].applied; at <= s.latest; at++ {
		im, copies := &s.images[at], int8(0)
		for _, id := range members(im.isr) {
			if n := &s.nodes[id]; n.durable > k && n.log[k] == entry || n.ever[k] == entry {
				copies++
			}
		}
		if copies == int8(len(members(im.isr))) && copies >= im.minISR {
			return nil
		}
	}
	return fmt.Errorf("leader %d commits offset %d, and in no metadata since what it has applied do all of the ISR, at least min ISR, have it on stable storage", leader, k)
}

// check holds after every step: whoever may be elected has everything committed.
func (w *world) check(s *state) error {
	for _, id := range members(s.image().isr) {
		n := &s.nodes[id]
		for k := range w.entries {
			if s.committed[k] != 0 && (n.durable <= k || n.log[k] != s.committed[k]) {
				return fmt.Errorf("%d is in the ISR and lacks the committed record of epoch %d at offset %d", id, s.committed[k], k)
			}
		}
	}
	return nil
}

// obey makes node i act on the image that it has applied.
func (w *world) obey(s *state, i int) error {
	n := &s.nodes[i]
	im := &s.images[n.applied]
	epoch := kafka.LeaderEpoch(im.leaderEpoch)
	var candidates []Candidate
	for id := range w.nodes {
		candidates = append(candidates, Candidate{kafka.BrokerID(id), kafka.BrokerEpoch(im.brokers[id])})
	}
	all, isr := members(w.replicas()), members(im.isr)
	switch {
	case n.leading && n.lead.epoch == epoch:
		c := Change{PartitionEpoch: kafka.PartitionEpoch(im.partitionEpoch), Replicas: all, ISR: isr, Candidates: candidates, MinISR: int(im.minISR)}
		if c.PartitionEpoch < n.lead.partitionEpoch {
			return nil // only a mutant is ahead of the metadata
		}
		return w.event(s, i, func(l *Leader) Effects {
			if w.rules.sameBroker {
				for k := range l.replicas {
					l.replicas[k].epoch = candidates[k].Epoch
				}
			}
			outstanding := l.pending && c.PartitionEpoch == l.partitionEpoch
			e := l.Changed(c, now)
			if outstanding && (!l.pending || e.Propose != nil) {
				w.reached["a proposal dies with an incarnation"]++
			}
			return e
		})
	case int(im.leader) == i:
		w.stop(n)
		n.starts[epoch] = n.end + 1 // on stable storage before anything is served (KAFKA-7415)
		n.leading = true
		n.lead = NewLeader(Term{Self: kafka.BrokerID(i), Epoch: epoch, PartitionEpoch: kafka.PartitionEpoch(im.partitionEpoch),
			Replicas: all, ISR: isr, Candidates: candidates, MinISR: int(im.minISR), End: kafka.Offset(n.end), Durable: kafka.Offset(n.durable),
			HighWatermark: kafka.Offset(n.hw), LagMax: lagMax, Now: now})
		return w.event(s, i, nil)
	case !n.following || n.follow.epoch != epoch:
		w.stop(n)
		if w.rules.follow != nil {
			w.rules.follow(n)
		}
		n.following, n.follow = true, NewFollower(epoch, kafka.Offset(n.hw))
	}
	return nil
}

// stop ends what n was.
func (w *world) stop(n *node) {
	if n.leading {
		n.hw = max(n.hw, int8(n.lead.HighWatermark()))
	}
	if n.following {
		n.hw = max(n.hw, int8(n.follow.HighWatermark()))
	}
	n.leading, n.following, n.lead, n.follow = false, false, Leader{}, Follower{}
	if !w.rules.byOffset {
		n.waits = [entriesMax]int8{}
	}
}
