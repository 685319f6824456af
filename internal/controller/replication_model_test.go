package controller_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// The second model: one partition of three replicas (and, where it moves, a
// fourth broker), with the logs of its replicas. Brokers die, return, lose their
// disks and their tails; the leader writes, replicas fetch, sets are proposed,
// min ISR changes, the partition moves, recoveries are held. Every state that
// worlds of about replicaDepth steps can reach is visited once, breadth first.
//
// What is checked after every step: whoever leads has every acknowledged record;
// nobody cuts one off; members of ISR and ELR that are what they were have all of
// them; nobody who is fenced is in an ISR with others.
//
// Simplified: the leader knows the newest metadata (package isr has the model
// of one that does not), and a record is durable when it is in a log, except in
// the page-cache worlds, where an unclean stop loses the last one.
const replicaDepth = 5

var deeper = flag.Int("deeper", 0, "steps more than usual in the replication model")

// entry is a record as a log holds it.
type entry struct {
	epoch kafka.LeaderEpoch
	id    byte
}

const modelBrokers = 4

// replicas is what the model knows at one point of a path. What its slices point
// to is never changed.
type replicas struct {
	image  *meta.Image
	logs   [modelBrokers + 1][]entry
	up     [modelBrokers + 1]bool
	starts [modelBrokers + 1]int
	disk   [modelBrokers + 1]int               // which one of its disks the broker has
	marker [modelBrokers + 1]kafka.BrokerEpoch // of the last clean stop; -1
	acked  []entry
	flight *controller.AlterISR
	writes byte
}

// move is one step. It returns false where it makes no sense.
type move struct {
	name string
	do   func(w *replicaWorld, s *replicas) bool
}

// replicaWorld is one kind of world, and who decides in it.
type replicaWorld struct {
	t         *testing.T
	brokers   int
	pageCache bool
	depth     int
	moves     []move
	writes    byte     // at most
	before    []string // moves that lead to the first state
	decide    decider
	mutant    bool // records that no image takes are refusals
	rig       *world
	steps     int
	err       error // of a command on the way
}

func (w *replicaWorld) partition(s *replicas) meta.Partition {
	return s.image.TopicByName("a").Partitions[0]
}

// run decides and applies; what is refused changes nothing.
func (w *replicaWorld) run(s *replicas, c controller.Command) (controller.Reply, error) {
	records, reply, err := w.decide(s.image, w.rig.inputs(), c)
	if err != nil || len(records) == 0 {
		return reply, err
	}
	next, _, err := s.image.Apply(s.image.Offset()+1, records)
	if err != nil {
		if !w.mutant {
			w.err = err
		}
		return reply, err
	}
	s.image = next
	return reply, nil
}

func (w *replicaWorld) registration(s *replicas, id int) controller.RegisterBroker {
	r := registration(id, s.starts[id])
	r.Incarnation[2] = byte(s.disk[id])
	r.Directories = []kafka.DirectoryID{{0xd1, byte(id), byte(s.disk[id])}}
	r.PreviousEpoch = s.marker[id]
	return r
}

// die is an unclean stop.
func (w *replicaWorld) die(s *replicas, id int) bool {
	if !s.up[id] {
		return false
	}
	s.up[id], s.marker[id] = false, -1
	if n := len(s.logs[id]); w.pageCache && n > 0 {
		s.logs[id] = s.logs[id][:n-1]
	}
	return true
}

func (w *replicaWorld) fence(s *replicas, id int) {
	b := s.image.Broker(kafka.BrokerID(id))
	w.run(s, controller.FenceBroker{Broker: b.ID, Epoch: b.Epoch})
}

// start registers the next incarnation and unfences it. Lost: it finds on the
// way that its log ends too early.
func (w *replicaWorld) start(s *replicas, id int, lost bool) bool {
	if s.up[id] {
		return false
	}
	s.starts[id]++
	s.up[id] = true
	if _, err := w.run(s, w.registration(s, id)); err != nil {
		w.err = err
		return true
	}
	s.marker[id] = -1
	b := s.image.Broker(kafka.BrokerID(id))
	if lost {
		w.run(s, controller.ReportLost{Broker: b.ID, Epoch: b.Epoch, Replicas: []kafka.TopicIDPartition{{TopicID: w.partition(s).TopicID}}})
	}
	w.run(s, controller.Heartbeat{Broker: b.ID, Epoch: b.Epoch, Applied: s.image.Offset()})
	return true
}

// leader returns who leads and can: a process that runs.
func (w *replicaWorld) leader(s *replicas) (id int, ok bool) {
	p := w.partition(s)
	if p.Leader == kafka.NoBroker || !s.up[p.Leader] {
		return 0, false
	}
	return int(p.Leader), true
}

func (w *replicaWorld) write(s *replicas) bool {
	p := w.partition(s)
	id, ok := w.leader(s)
	if !ok || len(p.ISR) < p.MinISR || s.writes == w.writes {
		return false
	}
	s.writes++
	s.logs[id] = append(slices.Clip(s.logs[id]), entry{p.LeaderEpoch, s.writes})
	return true
}

// fetch makes a replica cut off what its leader does not have, and copy the rest.
func (w *replicaWorld) fetch(s *replicas, id int) bool {
	leader, ok := w.leader(s)
	if !ok || leader == id || !s.up[id] || !w.partition(s).HasReplica(kafka.BrokerID(id)) || slices.Equal(s.logs[id], s.logs[leader]) {
		return false
	}
	if common := commonPrefix(s.logs[id], s.logs[leader]); common < len(s.logs[id]) && hasPrefix(s.logs[id], s.acked) && common < len(s.acked) {
		w.err = fmt.Errorf("replica %d cuts off acknowledged records", id)
	}
	s.logs[id] = s.logs[leader]
	return true
}

func commonPrefix(x, y []entry) int {
	n := 0
	for n < len(x) && n < len(y) && x[n] == y[n] {
		n++
	}
	return n
}

func hasPrefix(log, prefix []entry) bool { return commonPrefix(log, prefix) == len(prefix) }

// propose builds what the leader asks for: the ISR with one replica more or less.
// It admits who has all that it has.
func (w *replicaWorld) propose(s *replicas, id int, grow bool) *controller.AlterISR {
	p := w.partition(s)
	leader, ok := w.leader(s)
	if !ok || leader == id || p.InSync(kafka.BrokerID(id)) == grow || !p.HasReplica(kafka.BrokerID(id)) {
		return nil
	}
	var isr []int
	for _, member := range p.ISR {
		if int(member) != id {
			isr = append(isr, int(member))
		}
	}
	if grow {
		if !s.up[id] || !slices.Equal(s.logs[id], s.logs[leader]) {
			return nil
		}
		isr = append(isr, id)
	}
	c := proposal(s.image, s.image.TopicByName("a"), p, isr...)
	return &c
}

func (w *replicaWorld) alter(s *replicas, id int, grow bool) bool {
	c := w.propose(s, id, grow)
	if c == nil {
		return false
	}
	w.run(s, *c)
	return true
}

// recover sends what every live replica holds.
func (w *replicaWorld) recover(s *replicas) bool {
	p := w.partition(s)
	if p.Leader != kafka.NoBroker {
		return false
	}
	var c controller.RecoverPartitions
	for _, id := range p.Replicas {
		if s.up[id] {
			c.Reports = append(c.Reports, w.report(s, id))
		}
	}
	w.run(s, c)
	return true
}

func (w *replicaWorld) report(s *replicas, id kafka.BrokerID) controller.LogReport {
	p, b := w.partition(s), s.image.Broker(id)
	r := controller.LogReport{TopicID: p.TopicID, Broker: id, BrokerEpoch: b.Epoch, Directory: b.Directories[0], LeaderEpoch: p.LeaderEpoch,
		LastEpoch: kafka.NoLeaderEpoch, End: kafka.Offset(len(s.logs[id]))}
	if n := len(s.logs[id]); n > 0 {
		r.LastEpoch = s.logs[id][n-1].epoch
	}
	return r
}

// settle acknowledges what the whole ISR has, and those whom the leader has asked
// for.
func (w *replicaWorld) settle(s *replicas) {
	p := w.partition(s)
	leader, ok := w.leader(s)
	if !ok || len(p.ISR) < p.MinISR || !hasPrefix(s.logs[leader], s.acked) {
		return
	}
	end := len(s.logs[leader])
	for _, id := range p.ISR {
		end = min(end, commonPrefix(s.logs[id], s.logs[leader]))
	}
	if f := s.flight; f != nil && f.Changes[0].PartitionEpoch == p.PartitionEpoch {
		for _, m := range f.Changes[0].ISR {
			end = min(end, commonPrefix(s.logs[m.ID], s.logs[leader]))
		}
	}
	if end > len(s.acked) {
		s.acked = s.logs[leader][:end:end]
	}
}

func (w *replicaWorld) check(s *replicas) error {
	p := w.partition(s)
	if leader, ok := w.leader(s); ok && !hasPrefix(s.logs[leader], s.acked) {
		return fmt.Errorf("replica %d leads without acknowledged records", leader)
	}
	for _, id := range p.Replicas {
		b := s.image.Broker(id)
		electable := p.InSync(id) || slices.Contains(p.ELR, id)
		if electable && s.up[id] && !hasPrefix(s.logs[id], s.acked) {
			return fmt.Errorf("replica %d is in ISR or ELR without acknowledged records", id)
		}
		if b.Fenced && p.InSync(id) && len(p.ISR) > 1 {
			return fmt.Errorf("broker %d is fenced, and the ISR %v waits for it", id, p.ISR)
		}
	}
	return nil
}

// key is the state without what does not matter to its future.
func (w *replicaWorld) key(s *replicas) string {
	p := w.partition(s)
	b := []byte{byte(p.Leader), byte(p.LeaderEpoch), byte(p.MinISR), byte(p.LowestMinISR), byte(p.TargetReplicas), s.writes}
	for _, list := range [][]kafka.BrokerID{p.Replicas, p.ISR, p.ELR, p.Lost, p.Adding, p.Removing} {
		for _, id := range list {
			b = append(b, byte(id))
		}
		b = append(b, 0xff)
	}
	log := func(entries []entry) {
		for _, e := range entries {
			b = append(b, byte(e.epoch), e.id)
		}
		b = append(b, 0xff)
	}
	log(s.acked)
	for n, id := range p.Replicas {
		b = append(b, flagOf(p.Directories[n][2] == byte(s.disk[id])))
	}
	for id := 1; id <= w.brokers; id++ {
		r := s.image.Broker(kafka.BrokerID(id))
		b = append(b, flagOf(s.up[id]), flagOf(r.Fenced), flagOf(s.marker[id] == r.Epoch), flagOf(r.Directories[0][2] == byte(s.disk[id])))
		log(s.logs[id])
	}
	if c := s.flight; c != nil {
		b = append(b, flagOf(c.Changes[0].PartitionEpoch == p.PartitionEpoch), byte(c.Broker))
		for _, m := range c.Changes[0].ISR {
			b = append(b, byte(m.ID), flagOf(m.Epoch == s.image.Broker(m.ID).Epoch))
		}
	}
	return string(b)
}

func flagOf(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (w *replicaWorld) begin() *replicas {
	w.rig = newWorld(w.t, 0)
	w.writes = max(w.writes, 4)
	s := &replicas{image: w.rig.image}
	for id := 1; id <= w.brokers; id++ {
		w.start(s, id, false)
	}
	n := controller.NewTopic{Name: "a", Partitions: -1, ReplicationFactor: -1, Assignments: []controller.Assignment{{Brokers: []kafka.BrokerID{1, 2, 3}}}}
	if w.pageCache {
		n.Configs = topic("", 0, 0, "durability", "page-cache").Configs
	}
	if reply, err := w.run(s, create(n)); err != nil || reply.Topics[0].Code != kafka.ErrNone {
		w.t.Fatal(err, reply)
	}
	w.write(s)
	w.fetch(s, 2)
	w.fetch(s, 3)
	w.settle(s)
	for _, name := range w.before {
		at := slices.IndexFunc(w.moves, func(m move) bool { return m.name == name })
		if at < 0 || !w.moves[at].do(w, s) {
			w.t.Fatalf("%q is not possible", name)
		}
		w.settle(s)
	}
	if w.err != nil || len(s.acked) == 0 {
		w.t.Fatal(w.err, s.acked)
	}
	return s
}

type path struct {
	state *replicas
	from  *path
	name  string
}

func (p *path) String() string {
	var names []string
	for at := p; at.from != nil; at = at.from {
		names = append(names, at.name)
	}
	slices.Reverse(names)
	var b strings.Builder
	for n, name := range names {
		fmt.Fprintf(&b, "\n  %d. %s", n+1, name)
	}
	return b.String()
}

// explore visits every state once and returns the first broken rule.
func (w *replicaWorld) explore() (states int, err error) {
	first := w.begin()
	seen := map[string]bool{w.key(first): true}
	level := []*path{{state: first}}
	for range w.depth + *deeper {
		var next []*path
		for _, at := range level {
			for _, m := range w.moves {
				s := *at.state
				if !m.do(w, &s) {
					continue
				}
				w.steps++
				to := &path{&s, at, m.name}
				if err = errors.Join(w.err, w.check(&s)); err == nil {
					w.settle(&s)
					err = w.check(&s)
				}
				if err != nil {
					return len(seen), fmt.Errorf("%w%s\n%s", err, to, s.image)
				}
				if k := w.key(&s); !seen[k] {
					seen[k] = true
					next = append(next, to)
				}
			}
		}
		level = next
	}
	return len(seen), nil
}

func each(name string, brokers int, do func(w *replicaWorld, s *replicas, id int) bool) (out []move) {
	for id := 1; id <= brokers; id++ {
		out = append(out, move{fmt.Sprintf(name, id), func(w *replicaWorld, s *replicas) bool { return do(w, s, id) }})
	}
	return out
}

func once(name string, do func(w *replicaWorld, s *replicas) bool) []move { return []move{{name, do}} }

func minISR(value string) []move {
	return once("min isr "+value, func(w *replicaWorld, s *replicas) bool {
		w.run(s, change(meta.TopicResource("a"), controller.ConfigSet, "min.insync.replicas", value))
		return true
	})
}

func reassign(name string, target []kafka.BrokerID) []move {
	return once(name, func(w *replicaWorld, s *replicas) bool {
		w.run(s, controller.AlterReassignments{Reassignments: []controller.Reassignment{{Topic: "a", Replicas: target}}})
		return true
	})
}

// lifeOf are the moves that every world has.
func lifeOf(brokers int) []move {
	return slices.Concat(
		once("the leader writes", (*replicaWorld).write),
		each("replica %d fetches", brokers, (*replicaWorld).fetch),
		each("broker %d dies and is fenced", brokers, func(w *replicaWorld, s *replicas, id int) bool {
			ok := w.die(s, id)
			if ok {
				w.fence(s, id)
			}
			return ok
		}),
		each("broker %d returns", brokers, func(w *replicaWorld, s *replicas, id int) bool { return w.start(s, id, false) }),
		each("the leader drops %d from the isr", brokers, func(w *replicaWorld, s *replicas, id int) bool { return w.alter(s, id, false) }),
		each("the leader adds %d to the isr", brokers, func(w *replicaWorld, s *replicas, id int) bool { return w.alter(s, id, true) }),
		once("a recovery election", (*replicaWorld).recover),
	)
}

var diskMoves = slices.Concat(
	each("broker %d gets an empty disk", 3, func(w *replicaWorld, s *replicas, id int) bool {
		if !w.die(s, id) {
			return false
		}
		w.fence(s, id)
		s.disk[id]++
		s.starts[id], s.logs[id] = 0, nil
		return w.start(s, id, false)
	}),
	each("broker %d loses its tail and says so", 3, func(w *replicaWorld, s *replicas, id int) bool {
		n := len(s.logs[id])
		if n == 0 || !w.die(s, id) {
			return false
		}
		s.logs[id] = s.logs[id][:n-1]
		return w.start(s, id, true)
	}),
)

var flightMoves = slices.Concat(
	each("the leader sends off a set with %d", 3, func(w *replicaWorld, s *replicas, id int) bool {
		c := w.propose(s, id, true)
		s.flight = c
		return c != nil
	}),
	once("the set arrives", func(w *replicaWorld, s *replicas) bool {
		if s.flight == nil {
			return false
		}
		w.run(s, *s.flight)
		s.flight = nil
		return true
	}),
	each("broker %d dies and is back at once", 3, func(w *replicaWorld, s *replicas, id int) bool { return w.die(s, id) && w.start(s, id, false) }),
)

var cleanMoves = each("broker %d stops in order and returns", 3, func(w *replicaWorld, s *replicas, id int) bool {
	if !s.up[id] {
		return false
	}
	b := s.image.Broker(kafka.BrokerID(id))
	w.run(s, controller.Heartbeat{Broker: b.ID, Epoch: b.Epoch, Applied: s.image.Offset(), WantShutdown: true})
	s.up[id], s.marker[id] = false, b.Epoch
	w.fence(s, id)
	return w.start(s, id, false)
})

var moveMoves = slices.Concat(lifeOf(4), reassign("move to 2, 3, 4", []kafka.BrokerID{2, 3, 4}), reassign("move to 3, 4", []kafka.BrokerID{3, 4}),
	reassign("cancel the move", nil))

// replicaWorlds are the kinds of worlds. Each has what it needs to go wrong.
func replicaWorlds(t *testing.T, decide decider) map[string]*replicaWorld {
	return map[string]*replicaWorld{ //lint:table
		"disks":   {t: t, decide: decide, brokers: 3, depth: replicaDepth, moves: append(lifeOf(3), diskMoves...)},
		"min isr": {t: t, decide: decide, brokers: 3, depth: replicaDepth + 2, moves: slices.Concat(lifeOf(3), minISR("1"), minISR("2"))},
		// Broker 1 comes back with a log that is longer and older than what was
		// acknowledged without it.
		"long log": {t: t, decide: decide, brokers: 3, depth: replicaDepth, moves: slices.Concat(lifeOf(3), minISR("2"), minISR("3")),
			before: []string{"the leader writes", "the leader writes", "broker 1 dies and is fenced", "the leader writes", "replica 3 fetches", "broker 1 returns"}},
		"page cache": {t: t, decide: decide, brokers: 3, depth: replicaDepth, pageCache: true, moves: slices.Concat(lifeOf(3), flightMoves, cleanMoves)},
		"moves": {t: t, decide: decide, brokers: 4, depth: replicaDepth, moves: moveMoves,
			before: []string{"the leader drops 3 from the isr", "the leader writes", "replica 2 fetches"}},
		"moves back": {t: t, decide: decide, brokers: 4, depth: replicaDepth + 1, moves: moveMoves, before: []string{"the leader drops 3 from the isr",
			"the leader writes", "replica 2 fetches", "move to 3, 4", "replica 4 fetches", "the leader adds 4 to the isr"}},
	}
}

// asIf decides on another image: what a controller would believe that forgets
// something. The epochs of the records are those of the true image.
func asIf(edit func(i *meta.Image, p meta.Partition, c controller.Command) *meta.PartitionChange) decider {
	return func(i *meta.Image, in controller.Inputs, c controller.Command) ([]meta.Record, controller.Reply, error) {
		t := i.TopicByName("a")
		if t == nil {
			return controller.Decide(i, in, c)
		}
		lie := edit(i, t.Partitions[0], c)
		if lie == nil {
			return controller.Decide(i, in, c)
		}
		lie.TopicID, lie.PartitionEpoch = t.ID, t.Partitions[0].PartitionEpoch+1
		believed, _, err := i.Apply(i.Offset()+1, []meta.Record{lie})
		if err != nil {
			return controller.Decide(i, in, c)
		}
		if a, ok := c.(controller.AlterISR); ok {
			a.Changes = slices.Clone(a.Changes)
			a.Changes[0].PartitionEpoch++
			c = a
		}
		records, reply, err := controller.Decide(believed, in, c)
		for n, r := range records {
			if change, ok := r.(*meta.PartitionChange); ok {
				copied := *change
				copied.PartitionEpoch--
				if believes := lie.Fields &^ change.Fields & (meta.SetLost | meta.SetDirectories); believes != 0 {
					copied.Fields |= believes
					copied.Lost, copied.Directories = lie.Lost, lie.Directories
				}
				records[n] = &copied
			}
		}
		return records, reply, err
	}
}

// saying decides on another command than the one that was sent.
func saying(edit func(i *meta.Image, c controller.Command) controller.Command) decider {
	return func(i *meta.Image, in controller.Inputs, c controller.Command) ([]meta.Record, controller.Reply, error) {
		return controller.Decide(i, in, edit(i, c))
	}
}

// onPartition edits the changes of the partition, knowing the image before.
func onPartition(edit func(i *meta.Image, p meta.Partition, c *meta.PartitionChange)) decider {
	return func(i *meta.Image, in controller.Inputs, command controller.Command) ([]meta.Record, controller.Reply, error) {
		records, reply, err := controller.Decide(i, in, command)
		for n, r := range records {
			if change, ok := r.(*meta.PartitionChange); ok {
				copied := *change
				edit(i, i.TopicByID(change.TopicID).Partitions[change.Index], &copied)
				records[n] = &copied
			}
		}
		return records, reply, err
	}
}

func inRecovery(edit func(p meta.Partition) *meta.PartitionChange) decider {
	return asIf(func(_ *meta.Image, p meta.Partition, c controller.Command) *meta.PartitionChange {
		if _, ok := c.(controller.RecoverPartitions); !ok {
			return nil
		}
		return edit(p)
	})
}

func currentDirectories(i *meta.Image, p meta.Partition) (out []kafka.DirectoryID) {
	for _, id := range p.Replicas {
		out = append(out, i.Broker(id).Directories[0])
	}
	return out
}

// replicaMutants are refuted in the world of that name.
var replicaMutants = []struct {
	name, world string
	decide      decider
}{
	{"elect by list order", "disks", onPartition(func(i *meta.Image, p meta.Partition, c *meta.PartitionChange) {
		if c.Fields&meta.SetLeader == 0 {
			return
		}
		for _, id := range p.Replicas {
			if b := i.Broker(id); !b.Fenced && c.Leader != p.Leader && id != p.Leader {
				c.Leader = id
				if c.Fields&meta.SetISR == 0 {
					c.Fields |= meta.SetISR
					c.ISR = p.ISR
				}
				if !slices.Contains(c.ISR, id) {
					c.ISR = []kafka.BrokerID{id}
					c.Fields |= meta.SetELR | meta.SetLost
					c.ELR, c.Lost = nil, nil
				}
				return
			}
		}
	})},
	{"recovery election with the current min isr", "min isr", inRecovery(func(p meta.Partition) *meta.PartitionChange {
		c := &meta.PartitionChange{Fields: meta.SetMinISR}
		c.MinISR, c.LowestMinISR = p.MinISR, p.MinISR
		return c
	})},
	{"recovery election with one replica too few", "min isr", inRecovery(func(p meta.Partition) *meta.PartitionChange {
		c := &meta.PartitionChange{Fields: meta.SetMinISR}
		c.MinISR, c.LowestMinISR = p.MinISR+1, p.LowestMinISR+1
		return c
	})},
	{"recovery election by length alone", "long log", saying(func(_ *meta.Image, c controller.Command) controller.Command {
		r, ok := c.(controller.RecoverPartitions)
		for n := range r.Reports {
			r.Reports[n].LastEpoch = 0
		}
		if ok {
			return r
		}
		return c
	})},
	{"counting a wiped replica", "disks", asIf(func(i *meta.Image, p meta.Partition, c controller.Command) *meta.PartitionChange {
		if _, ok := c.(controller.RecoverPartitions); !ok {
			return nil
		}
		lie := &meta.PartitionChange{Fields: meta.SetLost | meta.SetDirectories}
		lie.Directories = currentDirectories(i, p)
		return lie
	})},
	{"a wiped replica that rejoined as learner counts as back", "disks", func(i *meta.Image, in controller.Inputs, c controller.Command) ([]meta.Record, controller.Reply, error) {
		records, reply, err := controller.Decide(i, in, c)
		if _, ok := c.(controller.Heartbeat); !ok || err != nil {
			return records, reply, err
		}
		t := i.TopicByName("a")
		if t == nil || len(t.Partitions[0].Lost) == 0 || len(records) != 1 {
			return records, reply, err
		}
		p := t.Partitions[0]
		learner := &meta.PartitionChange{Fields: meta.SetLost | meta.SetDirectories}
		learner.TopicID, learner.PartitionEpoch, learner.Directories = p.TopicID, p.PartitionEpoch+1, currentDirectories(i, p)
		return append(records, learner), reply, err
	}},
	{"a replica that lost its tail says nothing", "disks", func(i *meta.Image, in controller.Inputs, c controller.Command) ([]meta.Record, controller.Reply, error) {
		if _, ok := c.(controller.ReportLost); ok {
			return nil, controller.Reply{}, nil
		}
		return controller.Decide(i, in, c)
	}},
	{"a clean marker after a partial load", "page cache", saying(func(i *meta.Image, c controller.Command) controller.Command {
		if r, ok := c.(controller.RegisterBroker); ok {
			if b := i.Broker(r.ID); b != nil {
				r.PreviousEpoch = b.Epoch
			}
			return r
		}
		return c
	})},
	{"join with a stale broker epoch", "page cache", saying(func(i *meta.Image, c controller.Command) controller.Command {
		a, ok := c.(controller.AlterISR)
		if !ok {
			return c
		}
		a.Changes = slices.Clone(a.Changes)
		a.Changes[0].ISR = slices.Clone(a.Changes[0].ISR)
		for n, m := range a.Changes[0].ISR {
			a.Changes[0].ISR[n].Epoch = i.Broker(m.ID).Epoch
		}
		return a
	})},
	{"a restart keeps its place in the isr", "page cache", changing(func(r meta.Record) meta.Record {
		if c, ok := r.(*meta.PartitionChange); ok && c.Fields&meta.SetLost != 0 && len(c.Lost) > 0 {
			return nil
		}
		return r
	})},
	{"a fenced broker keeps its place in the isr", "disks", func(i *meta.Image, in controller.Inputs, c controller.Command) ([]meta.Record, controller.Reply, error) {
		records, reply, err := controller.Decide(i, in, c)
		if _, ok := c.(controller.FenceBroker); ok && len(records) > 1 {
			records = records[:1]
		}
		return records, reply, err
	}},
	{"an elr although the isr is large enough", "min isr", onPartition(func(_ *meta.Image, p meta.Partition, c *meta.PartitionChange) {
		if c.Fields&meta.SetISR == 0 {
			return
		}
		c.Fields |= meta.SetELR
		c.ELR = nil
		for _, id := range p.ISR {
			if !slices.Contains(c.ISR, id) {
				c.ELR = append(c.ELR, id)
			}
		}
	})},
	{"the elr survives another min isr", "min isr", onPartition(func(_ *meta.Image, p meta.Partition, c *meta.PartitionChange) {
		if c.Fields&meta.SetMinISR != 0 {
			c.Fields &^= meta.SetELR
		}
	})},
	{"a reassignment completed before the whole target set is in the isr", "moves", onPartition(func(_ *meta.Image, p meta.Partition, c *meta.PartitionChange) {
		if len(p.Adding) == 0 || c.Fields&meta.SetISR == 0 || !slices.Contains(c.ISR, p.Adding[0]) || c.Fields&meta.SetReplicas != 0 {
			return
		}
		completeEarly(p, c)
	})},
	{"a cancelled reassignment forgets who leaves", "moves back", onPartition(func(_ *meta.Image, p meta.Partition, c *meta.PartitionChange) {
		if c.Fields&meta.SetReplicas != 0 && len(c.Replicas) < len(p.Replicas) {
			c.Fields &^= meta.SetMinISR
		}
	})},
}

// completeEarly takes away what a reassignment removes, whoever is in the ISR.
func completeEarly(p meta.Partition, c *meta.PartitionChange) {
	stays := func(id kafka.BrokerID) bool { return !slices.Contains(p.Removing, id) }
	c.Fields |= meta.SetReplicas | meta.SetDirectories | meta.SetReassignment | meta.SetELR | meta.SetLost | meta.SetLeader | meta.SetMinISR
	c.Replicas, c.Directories, c.ELR, c.Lost = nil, nil, nil, nil
	for n, id := range p.Replicas {
		if stays(id) {
			c.Replicas, c.Directories = append(c.Replicas, id), append(c.Directories, p.Directories[n])
		}
	}
	c.ISR = slices.DeleteFunc(slices.Clone(c.ISR), func(id kafka.BrokerID) bool { return !stays(id) })
	c.Leader, c.LeaderEpoch = c.ISR[0], p.LeaderEpoch+1
	c.MinISR, c.LowestMinISR = p.MinISR, p.MinISR
}

func TestReplicationModel_MutantsAreRefuted(t *testing.T) {
	for _, m := range replicaMutants {
		w := replicaWorlds(t, m.decide)[m.world]
		w.mutant = true
		began := time.Now()
		states, err := w.explore()
		if err == nil {
			t.Errorf("mutant %q survived %d states, %d steps of %s", m.name, states, w.steps, m.world)
			continue
		}
		t.Logf("mutant %q, refuted in %s after %d states, %d steps, %s: %v", m.name, m.world, states, w.steps, time.Since(began).Round(time.Millisecond), err)
	}
}

func TestReplicationModel(t *testing.T) {
	for name, w := range replicaWorlds(t, controller.Decide) {
		began := time.Now()
		states, err := w.explore()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%s: %d states, %d steps, %s", name, states, w.steps, time.Since(began).Round(time.Millisecond))
	}
}

// calm is what happens when nothing does: everybody returns, catches up and is
// admitted, and some records are written.
func calm(w *replicaWorld, s *replicas) bool {
	for id := 1; id <= w.brokers; id++ {
		w.start(s, id, false)
	}
	w.recover(s)
	for range 2 {
		for id := 1; id <= w.brokers; id++ {
			w.fetch(s, id)
			w.alter(s, id, true)
		}
		w.settle(s)
		w.write(s)
	}
	return true
}

// force is the operator who has waited long enough: what the chosen replica holds
// counts as acknowledged from here on.
func force(w *replicaWorld, s *replicas) bool {
	p := w.partition(s)
	if p.Leader != kafka.NoBroker || w.recover(s) && w.partition(s).Leader != kafka.NoBroker {
		return false
	}
	for _, id := range p.Replicas {
		if !s.up[id] {
			continue
		}
		c := controller.ForceRecovery{TopicID: p.TopicID, Broker: id, Reason: "walk", Reports: []controller.LogReport{w.report(s, id)}}
		if _, err := w.run(s, c); err == nil {
			s.acked = s.logs[id]
			return true
		}
	}
	return false
}

var walkSeed = flag.Uint64("walk", 1, "first seed of the random walks")

// TestReplicationModel_Walks takes long random paths through worlds that have
// every move at once: what no exhaustive search of few steps reaches. A failing
// seed is printed with its path.
func TestReplicationModel_Walks(t *testing.T) {
	const walks, length = 400, 80
	steps, acked, leaderless := 0, 0, 0
	for n := range uint64(walks) {
		seed := *walkSeed + n
		random := rand.New(rand.NewPCG(seed, 0))
		w := &replicaWorld{t: t, decide: controller.Decide, brokers: 4, writes: 200, pageCache: n%4 == 3,
			moves: slices.Concat(lifeOf(4), moveMoves, diskMoves, flightMoves, cleanMoves, minISR("1"), minISR("2"), minISR("3"))}
		for range len(w.moves) / 12 {
			w.moves = append(w.moves, move{"all is calm", calm}, move{"an operator forces a recovery", force})
		}
		at := &path{state: w.begin()}
		for range length {
			m := w.moves[random.IntN(len(w.moves))]
			s := *at.state
			if !m.do(w, &s) {
				continue
			}
			steps++
			at = &path{&s, at, m.name}
			err := errors.Join(w.err, w.check(&s))
			if err == nil {
				w.settle(&s)
				err = w.check(&s)
			}
			if err != nil {
				t.Fatalf("seed %d: %v%s\n%s", seed, err, at, s.image)
			}
			if w.partition(&s).Leader == kafka.NoBroker {
				leaderless++
			}
		}
		acked += len(at.state.acked)
	}
	t.Logf("%d walks from seed %d, %d steps, %d of them without a leader, %d records acknowledged at their ends", walks, *walkSeed, steps, leaderless, acked)
	if acked < walks || leaderless == steps {
		t.Error("nothing happens in these worlds")
	}
}
