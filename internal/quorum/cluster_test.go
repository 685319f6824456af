package quorum

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strconv"
	"testing"
	"testing/cryptotest"

	"holdfast/internal/controller"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/vfs"
)

// Three members of the format that one voter writes, driven by one goroutine and
// one seed: messages are lost, repeated and overtaken, members crash at any write
// and come back with what their disks kept, snapshots are taken often. At the end
// the network heals, and everybody must agree on everything that was answered.
// HOLDFAST_SEEDS sets how many seeds are tried.

const clusterSize = 3

type cluster struct {
	rng     *rand.Rand
	members []*seat
	// flock: the members change, see flock_test.go. giveUp ends waiting for changes.
	flock  bool
	mutant string
	quiet  bool  // no crashes
	cut    *seat // nothing arrives there
	dead   *seat // found to be older than it was; it stays down
	giveUp []func()
	wire   []Message
	// images holds the picture of each offset that anybody applied.
	images  map[kafka.Offset]string
	leaders map[uint64]int
	topics  map[string]string // answered: name to id
	open    []*attempt
	next    kafka.ProducerID
	made    int
	faults  map[string]int
	lazy    func(name string) bool // of a mutant; nil: every sync counts
}

// seat is one member: its disk, and its core while it is up.
type seat struct {
	id     int
	starts uint64
	g      *env.Test
	core   *core
	down   int // steps until it comes back
}

// attempt is a submission that was not looked at yet.
type attempt struct {
	name string
	s    *submission
}

func seatDirectory(id int) kafka.DirectoryID { return kafka.DirectoryID{0xa0, byte(id + 1)} }

func seatMembers() membership {
	var m membership
	for id := range clusterSize {
		m.members = append(m.members, member{raftID: RaftID(seatDirectory(id)), node: kafka.BrokerID(id + 1), directory: seatDirectory(id), roles: roleVoter})
	}
	slices.SortFunc(m.members, func(a, b member) int { return int(int64(a.raftID>>1) - int64(b.raftID>>1)) })
	return m
}

func (c *cluster) Send(messages []Message) { c.wire = append(c.wire, messages...) }

func (c *cluster) options(s *seat) *Options {
	o := testOptions(s.g)
	o.Self, o.DirectoryID, o.Transport, o.Config = kafka.BrokerID(s.id+1), seatDirectory(s.id), c, defaultConfig
	o.Join = c.flock && s.id > 0
	return &o
}

// ground puts a member on a disk.
func (c *cluster) ground(s *seat, disk *vfs.Mem, seed uint64) {
	s.g = env.NewTest(seed)
	s.g.FS, s.g.Disk = disk, disk
	if c.lazy != nil {
		s.g.FS = lazyFS{disk, c.lazy}
	}
}

func newCluster(t *testing.T, seed uint64, lazy func(string) bool) *cluster {
	c := &cluster{lazy: lazy, rng: rand.New(rand.NewPCG(seed, 1)), images: map[kafka.Offset]string{}, leaders: map[uint64]int{}, topics: map[string]string{}, faults: map[string]int{}}
	for id := range clusterSize {
		s := &seat{id: id}
		c.ground(s, vfs.NewMem(seed+uint64(id)), seed+uint64(id))
		c.members = append(c.members, s)
		o := c.options(s)
		dir := path.Join(o.Dir, StateDirectory)
		must(t, s.g.FS.MkdirAll(dir), s.g.FS.SyncDir("."))
		_, err := found(o, dir, seatMembers())
		must(t, err)
		must(t, c.start(s))
	}
	return c
}

func (c *cluster) start(s *seat) error {
	s.starts++
	o := c.options(s)
	core, err := openCore(o)
	if err != nil {
		return err
	}
	core.publish = func(i *meta.Image) { c.noteImage(i) }
	s.core = core
	if err := core.campaign(); err != nil {
		return err
	}
	return core.drain()
}

// noteImage: whoever applies an offset sees the same image as everybody else.
func (c *cluster) noteImage(i *meta.Image) {
	picture := i.String()
	if seen, ok := c.images[i.Offset()]; ok && seen != picture {
		panic(fmt.Sprintf("two images at %d:\n%s\n%s", i.Offset(), seen, picture))
	}
	c.images[i.Offset()] = picture
}

// crash takes a member down; its disk keeps what the seed says.
func (c *cluster) crash(s *seat) {
	kind := vfs.CrashKind(c.rng.IntN(3))
	disk := s.g.Disk.CrashWith(vfs.CrashOptions{Kind: kind, Seed: c.rng.Uint64()})
	if c.mutant == mutantWiped && c.rng.IntN(4) == 0 {
		disk = vfs.NewMem(c.rng.Uint64())
		if err := errors.Join(disk.MkdirAll("data"), disk.SyncDir(".")); err != nil {
			panic(err)
		}
	}
	c.ground(s, disk, c.rng.Uint64())
	s.down = 1 + c.rng.IntN(60)
	s.core.failWaiting(ErrClosed)
	s.core = nil
	c.faults["crash"]++
}

// act drains a member after something happened to it; a disk that crashed takes
// it down.
func (c *cluster) act(s *seat, do func() error) error {
	err := do()
	if err == nil {
		err = s.core.settle()
	}
	if errors.Is(err, errRolledBack) && c.dead == s {
		s.core = nil
		c.faults["older copy found"]++
		return nil
	}
	if errors.Is(err, vfs.ErrCrashed) || s.g.Disk.Crashed() {
		c.crash(s)
		return nil
	}
	if err != nil {
		return fmt.Errorf("member %d: %w", s.id, err)
	}
	if s.core.leading {
		term := s.core.node.BasicStatus().GetTerm()
		if other, ok := c.leaders[term]; ok && other != s.id {
			return fmt.Errorf("members %d and %d lead in term %d", other, s.id, term)
		}
		c.leaders[term] = s.id
	}
	return nil
}

// step does one thing of those that can happen.
func (c *cluster) step(calm bool) error {
	for _, s := range c.members {
		if s.core != nil || s == c.dead {
			continue
		}
		if s.down--; s.down <= 0 || calm {
			if err := c.start(s); err != nil {
				return fmt.Errorf("member %d does not come back: %w", s.id, err)
			}
		}
	}
	s := c.members[c.rng.IntN(len(c.members))]
	what := c.rng.IntN(100)
	switch {
	case len(c.wire) > 0 && what < 70:
		return c.deliver(calm)
	case s.core == nil:
		return nil
	case c.flock && what < 80 && c.observes(s):
		return c.pull(s)
	case what < 85:
		return c.act(s, s.core.tick)
	case what < 93 && !calm:
		return c.propose(s)
	case what < 96 && !calm:
		return c.act(s, func() error {
			if uint64(s.core.image.Offset()) == s.core.store.snapIndex {
				return nil
			}
			return s.core.takeSnapshot()
		})
	case c.flock && what < 97:
		return c.regroup(s, calm)
	case c.quiet:
	case what < 98 && !calm:
		s.g.Disk.CrashAfter(c.rng.IntN(30))
	case what < 99 && !calm:
		c.crash(s)
	}
	return nil
}

// deliver takes one message off the wire.
func (c *cluster) deliver(calm bool) error {
	at := 0
	if !calm {
		at = c.rng.IntN(min(len(c.wire), 8))
	}
	m := c.wire[at]
	fate := c.rng.IntN(100)
	if calm || fate >= 5 { // otherwise it will come again
		c.wire = slices.Delete(c.wire, at, at+1)
	} else {
		c.faults["repeated"]++
	}
	to := c.members[m.To-1]
	if to.core == nil || to == c.cut || !calm && fate > 90 {
		c.faults["lost"]++
		c.report(m, false)
		return nil
	}
	decoded, err := decodeMail(m.Bytes)
	if err != nil {
		return err
	}
	if m.Snapshot {
		c.faults["snapshot sent"]++
	}
	err = c.act(to, func() error {
		if m := decoded.raft; c.mutant == mutantForgetful && to == c.dead && m != nil && m.GetCommit() > to.core.store.last() {
			return nil
		}
		to.core.take(decoded)
		return nil
	})
	c.report(m, to.core != nil)
	return err
}

// report tells whoever may have sent a snapshot how it went, as a transport does.
func (c *cluster) report(m Message, arrived bool) {
	for _, s := range c.members {
		if s.core != nil && m.Snapshot {
			s.core.step(snapshotStatus(m.raftID, arrived))
		}
	}
}

func (c *cluster) propose(s *seat) error {
	if !s.core.accepts() {
		return nil
	}
	c.made++
	var commands []controller.Command
	name := fmt.Sprintf("t%d", c.made)
	if s.core.image.Broker(1) == nil {
		commands = append(commands, register(1))
	} else {
		commands = append(commands, create(name, 1), controller.AllocateProducerIDs{Broker: 1, Epoch: s.core.image.Broker(1).Epoch})
	}
	batch := make([]*submission, len(commands))
	for i, x := range commands {
		batch[i] = newSubmission(x)
		c.open = append(c.open, &attempt{name, batch[i]})
	}
	err := c.act(s, func() error {
		s.core.propose(batch)
		return nil
	})
	return errors.Join(err, c.harvest())
}

// harvest notes what was answered since.
func (c *cluster) harvest() error {
	rest := c.open[:0]
	for _, a := range c.open {
		select {
		case <-a.s.done:
		default:
			rest = append(rest, a)
			continue
		}
		if a.s.err != nil {
			continue
		}
		for _, r := range a.s.reply.Topics {
			if r.Code == kafka.ErrNone {
				c.topics[r.Name] = r.ID.String()
			}
		}
		if b := a.s.reply.ProducerIDs; b.Count > 0 {
			if b.First < c.next {
				return fmt.Errorf("producer ids from %d were handed out twice", b.First)
			}
			c.next = b.First + kafka.ProducerID(b.Count)
		}
	}
	c.open = rest
	return nil
}

// live lets things happen, and then the network heal.
func (c *cluster) live(steps int) error {
	for range steps {
		if err := errors.Join(c.step(false), c.harvest()); err != nil {
			return err
		}
	}
	return c.agree()
}

// agree lets the network heal and compares everybody.
func (c *cluster) agree() error {
	for _, s := range c.members {
		s.g.Disk.CrashAfter(-1)
	}
	for range 20_000 {
		if err := errors.Join(c.step(true), c.harvest()); err != nil {
			return err
		}
	}
	reference := c.members[0]
	if reference == c.dead {
		reference = c.members[1]
	}
	first := reference.core.image
	for _, s := range c.members {
		if s == c.dead {
			continue
		}
		if s.core.image.Offset() != first.Offset() || s.core.image.String() != first.String() {
			return fmt.Errorf("member %d is at %d, member 0 at %d", s.id, s.core.image.Offset(), first.Offset())
		}
		if err := foldEqual(s.core); err != nil {
			return fmt.Errorf("member %d: %w", s.id, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.topics)) {
		if t := first.TopicByName(name); t == nil || t.ID.String() != c.topics[name] {
			return fmt.Errorf("topic %s was answered and is gone", name)
		}
	}
	if first.ProducerIDs().Next < c.next {
		return fmt.Errorf("producer ids up to %d were answered, next is %d", c.next, first.ProducerIDs().Next)
	}
	return nil
}

func runCluster(t *testing.T, seed uint64, lazy func(string) bool) (c *cluster, err error) {
	cryptotest.SetGlobalRandom(t, seed) // the library's election jitter
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	c = newCluster(t, seed, lazy)
	return c, c.live(4000)
}

func TestCluster_AgreesOnWhatWasAnswered(t *testing.T) {
	seeds := 15
	if text := os.Getenv("HOLDFAST_SEEDS"); text != "" {
		seeds, _ = strconv.Atoi(text)
	}
	faults, answered := map[string]int{}, 0
	for seed := range seeds {
		c, err := runCluster(t, uint64(seed), nil)
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			continue
		}
		answered += len(c.topics)
		for k, v := range c.faults {
			faults[k] += v
		}
	}
	t.Logf("%d seeds, %d topics answered, faults %v", seeds, answered, faults)
	if answered == 0 || faults["snapshot sent"] == 0 || faults["crash"] == 0 {
		t.Error("nothing was shown")
	}
}

// TestCluster_MutantsAreCaught: without a sync, some seed breaks a promise.
func TestCluster_MutantsAreCaught(t *testing.T) {
	const seeds = 30
	for name, lazy := range mutants {
		var err error
		seed := 0
		for ; seed < seeds && err == nil; seed++ {
			_, err = runCluster(t, uint64(seed), lazy)
		}
		if err == nil {
			t.Errorf("mutant %q survived %d seeds", name, seeds)
			continue
		}
		t.Logf("mutant %q, seed %d: %.200v", name, seed-1, err)
	}
}
