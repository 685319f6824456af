package controller_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// The model: two brokers, a topic "a" of two replicas and a topic "b" of one. All
// sequences of modelDepth of the 15 actions below are tried, in 54,240 steps.
// After every step the rules are checked on the images before and after it, with
// what the model remembers of the path. Each mutant changes what Decide returns
// in one place and must be refuted; the trace is printed.
const modelDepth = 4

type decider func(i *meta.Image, in controller.Inputs, c controller.Command) ([]meta.Record, controller.Reply, error)

// state is what the model knows at one point of a path.
type state struct {
	image  *meta.Image
	drawn  int
	starts [3]int                         // of each broker's directory
	wiped  [3]int                         // how often a broker got another directory
	lowest map[kafka.TopicIDPartition]int // see checkLowest
	ids    map[kafka.TopicID]bool         // ever used
	blocks []controller.ProducerIDBlock
}

// action is one step: a command, or something that the future replication does
// to a partition, or nothing where it makes no sense.
type action struct {
	name string
	do   func(m *model, s *state) (controller.Command, []meta.Record)
}

type model struct {
	t      *testing.T
	decide decider
	w      *world
	steps  int
}

func (s state) registration(id int) controller.RegisterBroker {
	r := registration(id, s.starts[id])
	r.Incarnation[2] = byte(s.wiped[id])
	r.Directories = []kafka.DirectoryID{{0xd1, byte(id), byte(s.wiped[id])}}
	return r
}

func always(c controller.Command) func(*model, *state) (controller.Command, []meta.Record) {
	return func(*model, *state) (controller.Command, []meta.Record) { return c, nil }
}

var modelActions = []action{
	{"create a", always(create(topic("a", 1, 2)))},
	{"create b", always(create(topic("b", 1, 1)))},
	{"delete a", always(controller.DeleteTopics{Topics: []controller.TopicRef{{Name: "a"}}})},
	{"a: min isr 1", always(change(meta.TopicResource("a"), controller.ConfigSet, "min.insync.replicas", "1"))},
	{"a: min isr 2", always(change(meta.TopicResource("a"), controller.ConfigSet, "min.insync.replicas", "2"))},
	{"a: no min isr", always(change(meta.TopicResource("a"), controller.ConfigDelete, "min.insync.replicas", ""))},
	{"cluster: min isr 1", always(change(meta.ClusterResource(), controller.ConfigSet, "min.insync.replicas", "1"))},
	{"cluster: no min isr", always(change(meta.ClusterResource(), controller.ConfigDelete, "min.insync.replicas", ""))},
	{"broker 1 restarts", func(_ *model, s *state) (controller.Command, []meta.Record) {
		s.starts[1]++
		return s.registration(1), nil
	}},
	{"broker 1 asks again", func(_ *model, s *state) (controller.Command, []meta.Record) { return s.registration(1), nil }},
	{"a clone of broker 1 starts", func(_ *model, s *state) (controller.Command, []meta.Record) {
		r := s.registration(1)
		r.Incarnation[5] = 0xcc
		return r, nil
	}},
	{"broker 2 is wiped and starts", func(_ *model, s *state) (controller.Command, []meta.Record) {
		s.wiped[2]++
		s.starts[2] = 1
		return s.registration(2), nil
	}},
	{"producer ids", func(_ *model, s *state) (controller.Command, []meta.Record) {
		return controller.AllocateProducerIDs{Broker: 1, Epoch: s.image.Broker(1).Epoch}, nil
	}},
	{"isr of a shrinks", func(_ *model, s *state) (controller.Command, []meta.Record) { return isrChange(s, false), nil }},
	{"isr of a grows", func(_ *model, s *state) (controller.Command, []meta.Record) { return isrChange(s, true), nil }},
}

// isrChange is what the leader of a proposes, if anything.
func isrChange(s *state, grow bool) controller.Command {
	t := s.image.TopicByName("a")
	if t == nil {
		return nil
	}
	p := t.Partitions[0]
	if p.Leader == kafka.NoBroker || len(p.ISR) == len(p.Replicas) == grow {
		return nil
	}
	if grow {
		return proposal(s.image, t, p, 1, 2)
	}
	return proposal(s.image, t, p, int(p.Leader))
}

// step does one action on a copy of s.
func (m *model) step(s state, a action) (state, error) {
	m.steps++
	next := s
	next.lowest, next.ids, next.blocks = map[kafka.TopicIDPartition]int{}, map[kafka.TopicID]bool{}, slices.Clone(s.blocks)
	for k, v := range s.lowest {
		next.lowest[k] = v
	}
	for k := range s.ids {
		next.ids[k] = true
	}
	command, records := a.do(m, &next)
	if command != nil {
		in := m.w.inputs()
		in.NewID = func() kafka.UUID { next.drawn++; return kafka.UUID{0x10, 15: byte(next.drawn)} }
		var err error
		var reply controller.Reply
		if a.name == "broker 2 is wiped and starts" {
			next.image = m.follow(next.image, in, controller.FenceBroker{Broker: 2, Epoch: next.image.Broker(2).Epoch})
		}
		records, reply, err = m.decide(next.image, in, command)
		if clone := a.name == "a clone of broker 1 starts"; clone != errors.Is(err, kafka.ErrDuplicateBrokerRegistration) {
			return next, fmt.Errorf("answer to %s: %v", a.name, err)
		}
		if reply.ProducerIDs.Count > 0 {
			next.blocks = append(next.blocks, reply.ProducerIDs)
		}
	}
	if len(records) == 0 {
		return next, nil
	}
	image, _, err := next.image.Apply(next.image.Offset()+1, records)
	if err != nil {
		return next, err
	}
	if r, ok := command.(controller.RegisterBroker); ok {
		image = m.follow(image, m.w.inputs(), controller.Heartbeat{Broker: r.ID, Epoch: image.Broker(r.ID).Epoch, Applied: image.Offset()})
	}
	next.image = image
	return next, m.check(&s, &next, command)
}

// follow is a command that belongs to the step before or after it.
func (m *model) follow(i *meta.Image, in controller.Inputs, c controller.Command) *meta.Image {
	records, _, err := controller.Decide(i, in, c)
	if err != nil {
		m.t.Fatal(err)
	}
	if len(records) == 0 {
		return i
	}
	next, _, err := i.Apply(i.Offset()+1, records)
	if err != nil {
		m.t.Fatal(err)
	}
	return next
}

// check holds the rules against one step.
func (m *model) check(before, after *state, command controller.Command) error {
	for n, b := range after.blocks {
		for _, other := range after.blocks[:n] {
			if b.First < other.First+kafka.ProducerID(other.Count) {
				return fmt.Errorf("producer ids from %d handed out after [%d, +%d)", b.First, other.First, other.Count)
			}
		}
	}
	for _, t := range after.image.Topics() {
		if before.image.TopicByID(t.ID) == nil && before.ids[t.ID] {
			return fmt.Errorf("topic id %s came back", t.ID)
		}
		after.ids[t.ID] = true
		for _, p := range t.Partitions {
			if err := m.checkPartition(before, after, t, p, command); err != nil {
				return fmt.Errorf("%s-%s: %w", t.Name, p, err)
			}
		}
	}
	return nil
}

func (m *model) checkPartition(before, after *state, t *meta.Topic, p meta.Partition, command controller.Command) error {
	tp := kafka.TopicIDPartition{TopicID: t.ID, Partition: p.Index}
	old, existed := before.image.Partition(tp)
	want := len(p.Replicas)/2 + 1
	if text, ok := after.image.Config(meta.ClusterResource())["min.insync.replicas"]; ok {
		want = int(text[0] - '0')
	}
	if text, ok := t.Configs["min.insync.replicas"]; ok {
		want = int(text[0] - '0')
	}
	if p.MinISR != want || p.MinISR > len(p.Replicas) {
		return fmt.Errorf("min isr %d, want %d", p.MinISR, want)
	}
	if existed && p.MinISR != old.MinISR && len(p.ELR) > 0 {
		return errors.New("min isr changed and the elr stayed")
	}
	for _, id := range p.Replicas {
		at := slices.Index(p.Replicas, id)
		gone := !after.image.Broker(id).HasDirectory(p.Directories[at])
		if gone && (p.InSync(id) || slices.Contains(p.ELR, id) || p.Leader == id || !slices.Contains(p.Lost, id)) {
			return fmt.Errorf("the directory of replica %d is gone", id)
		}
	}
	if err := checkRestart(before.image, after.image, old, p, existed, command); err != nil {
		return err
	}
	return checkLowest(after, tp, old, p, existed)
}

// checkRestart: an incarnation that comes anew and leads is a new leadership.
func checkRestart(before, after *meta.Image, old, p meta.Partition, existed bool, command controller.Command) error {
	r, is := command.(controller.RegisterBroker)
	if !is || !existed || before.Broker(r.ID).Incarnation == after.Broker(r.ID).Incarnation {
		if existed && p.Leader == old.Leader && p.LeaderEpoch != old.LeaderEpoch {
			return errors.New("a new leader epoch without a new leadership")
		}
		return nil
	}
	if old.Leader == r.ID && p.LeaderEpoch <= old.LeaderEpoch {
		return fmt.Errorf("broker %d restarted and its leader epoch is %d after %d", r.ID, p.LeaderEpoch, old.LeaderEpoch)
	}
	return nil
}

// checkLowest recomputes the lowest min ISR since the ISR last held every replica.
func checkLowest(after *state, tp kafka.TopicIDPartition, old, p meta.Partition, existed bool) error {
	full := !existed || len(old.ISR) == len(old.Replicas) || len(p.ISR) == len(p.Replicas)
	if full {
		after.lowest[tp] = p.MinISR
	}
	after.lowest[tp] = min(after.lowest[tp], p.MinISR)
	if p.LowestMinISR != after.lowest[tp] {
		return fmt.Errorf("lowest min isr %d, the path says %d", p.LowestMinISR, after.lowest[tp])
	}
	return nil
}

// explore tries every sequence and returns the first broken rule with its trace.
func (m *model) explore(s state, trace []string) error {
	if len(trace) == modelDepth {
		return nil
	}
	for _, a := range modelActions {
		path := append(trace[:len(trace):len(trace)], a.name)
		next, err := m.step(s, a)
		if err != nil {
			var b strings.Builder
			for n, name := range path {
				fmt.Fprintf(&b, "\n  %d. %s", n+1, name)
			}
			return fmt.Errorf("%w%s\n%s", err, b.String(), next.image)
		}
		if err := m.explore(next, path); err != nil {
			return err
		}
	}
	return nil
}

func runModel(t *testing.T, decide decider) (int, error) {
	m := &model{t: t, decide: decide, w: newWorld(t, 0)}
	s := state{image: m.w.image, starts: [3]int{1: 1, 2: 1}, ids: map[kafka.TopicID]bool{}}
	for id := range 2 {
		m.w.join(s.registration(id + 1))
	}
	m.w.mustDo(create(topic("a", 1, 2)))
	s.image, s.drawn, s.lowest = m.w.image, 100, map[kafka.TopicIDPartition]int{}
	for _, x := range s.image.Topics() {
		s.ids[x.ID] = true
		s.lowest[kafka.TopicIDPartition{TopicID: x.ID}] = x.Partitions[0].LowestMinISR
	}
	err := m.explore(s, nil)
	return m.steps, err
}

func TestModel(t *testing.T) {
	steps, err := runModel(t, controller.Decide)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d steps", steps)
}

// changing makes a mutant that edits every record of a decision; nil drops it.
func changing(edit func(meta.Record) meta.Record) decider {
	return func(i *meta.Image, in controller.Inputs, c controller.Command) ([]meta.Record, controller.Reply, error) {
		records, reply, err := controller.Decide(i, in, c)
		var out []meta.Record
		for _, r := range records {
			if r = edit(r); r != nil {
				out = append(out, r)
			}
		}
		return out, reply, err
	}
}

func onChange(edit func(*meta.PartitionChange)) decider {
	return changing(func(r meta.Record) meta.Record {
		c, ok := r.(*meta.PartitionChange)
		if !ok {
			return r
		}
		copied := *c
		if edit(&copied); copied.Fields == 0 {
			return nil
		}
		return &copied
	})
}

var modelMutants = map[string]decider{
	"a restart keeps the leader epoch": onChange(func(c *meta.PartitionChange) { c.Fields &^= meta.SetLeader }),
	"the lowest min isr is the present one": onChange(func(c *meta.PartitionChange) {
		if c.Fields&meta.SetMinISR != 0 {
			c.LowestMinISR = c.MinISR
		}
	}),
	"the lowest min isr never rises": onChange(func(c *meta.PartitionChange) {
		if c.Fields&meta.SetMinISR != 0 {
			c.LowestMinISR = 1
		}
	}),
	"a wiped replica stays in sync": onChange(func(c *meta.PartitionChange) {
		if c.Fields&meta.SetLost != 0 {
			c.Fields &^= meta.SetLost | meta.SetISR | meta.SetELR | meta.SetLeader
		}
	}),
	"a wiped replica is not marked": onChange(func(c *meta.PartitionChange) { c.Fields &^= meta.SetLost }),
	"the elr survives another min isr": onChange(func(c *meta.PartitionChange) {
		if c.Fields&meta.SetMinISR != 0 {
			c.Fields &^= meta.SetELR
		}
	}),
	"min isr changes without its partitions": onChange(func(c *meta.PartitionChange) { c.Fields &^= meta.SetMinISR }),
	"producer ids overlap": changing(func(r meta.Record) meta.Record {
		if p, ok := r.(*meta.ProducerIDs); ok {
			return &meta.ProducerIDs{Next: p.Next - 500, Broker: p.Broker, Epoch: p.Epoch}
		}
		return r
	}),
	"a clone is taken for a restart": func(i *meta.Image, in controller.Inputs, c controller.Command) ([]meta.Record, controller.Reply, error) {
		if r, ok := c.(controller.RegisterBroker); ok && i.Broker(r.ID).Incarnation != r.Incarnation && r.Starts == i.Broker(r.ID).Starts {
			r.Starts++
			c = r
		}
		return controller.Decide(i, in, c)
	},
	"asking again is a new incarnation": func(i *meta.Image, in controller.Inputs, c controller.Command) ([]meta.Record, controller.Reply, error) {
		records, reply, err := controller.Decide(i, in, c)
		if r, ok := c.(controller.RegisterBroker); ok && err == nil && len(records) == 0 {
			if t := i.TopicByName("a"); t != nil && t.Partitions[0].Leader == r.ID {
				p := &meta.PartitionChange{Fields: meta.SetLeader}
				p.TopicID, p.PartitionEpoch, p.Leader, p.LeaderEpoch = t.ID, t.Partitions[0].PartitionEpoch+1, r.ID, t.Partitions[0].LeaderEpoch+1
				records = append(records, p)
			}
		}
		return records, reply, err
	},
	"topic ids are used again": func(i *meta.Image, in controller.Inputs, c controller.Command) ([]meta.Record, controller.Reply, error) {
		in.NewID = func() kafka.UUID {
			for n := byte(1); ; n++ {
				if id := (kafka.UUID{0x10, 15: n}); i.TopicByID(kafka.TopicID(id)) == nil {
					return id
				}
			}
		}
		return controller.Decide(i, in, c)
	},
}

func TestModel_MutantsAreRefuted(t *testing.T) {
	for name, mutant := range modelMutants {
		steps, err := runModel(t, mutant)
		if err == nil {
			t.Errorf("mutant %q survived %d steps", name, steps)
			continue
		}
		t.Logf("mutant %q, refuted after %d steps: %v", name, steps, err)
	}
}
