package quorum

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"
	"testing"

	"holdfast/internal/controller"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/vfs"
)

// Crash at every write: a life of three starts is cut off at its k-th operation
// that changes the disk, for every k, and the disk is found again in several ways.
// Whatever was answered must be there, no producer id may come twice, and no term
// that was acted in may be forgotten. Each mutant leaves one sync out and must be
// caught.

// life is what one cluster has promised.
type life struct {
	starts  uint64
	term    uint64            // the highest term that was acted in
	topics  map[string]string // answered as created; the value is the topic id
	deleted map[string]bool   // answered as deleted, by topic id
	next    kafka.ProducerID  // end of the highest block handed out
	epoch   kafka.BrokerEpoch
}

func newLife() *life { return &life{topics: map[string]string{}, deleted: map[string]bool{}, next: -1} }

var errBroken = errors.New("promise broken")

// open starts the core and compares it with what was promised.
func (l *life) open(g *env.Test) (*core, error) {
	l.starts++
	o := testOptions(g)
	o.Transport, o.Config = NoTransport{}, defaultConfig
	// The data directory itself is its owner's to make durable.
	if err := errors.Join(g.FS.MkdirAll(o.Dir), g.FS.SyncDir(".")); err != nil {
		return nil, err
	}
	c, err := openCore(&o)
	if err != nil {
		return nil, err
	}
	if c.store.hard.term < l.term {
		return c, fmt.Errorf("%w: voted in term %d, remembers %d", errBroken, l.term, c.store.hard.term)
	}
	c.subscribers = append(c.subscribers, func(d meta.Delta, i *meta.Image) {
		if d.From().Offset() >= i.Offset() {
			panic("images out of order")
		}
	})
	if err := c.campaign(); err != nil {
		return c, err
	}
	if err := c.drain(); err != nil {
		return c, err
	}
	if !c.leading || c.tip == nil {
		return c, fmt.Errorf("%w: does not lead alone", errBroken)
	}
	l.term = max(l.term, c.node.BasicStatus().GetTerm())
	return c, l.check(c)
}

// check compares the image with what was answered, and with its own log.
func (l *life) check(c *core) error {
	for name, id := range l.topics {
		t := c.image.TopicByName(name)
		if t == nil || t.ID.String() != id {
			return fmt.Errorf("%w: topic %s was answered", errBroken, name)
		}
	}
	for _, t := range c.image.Topics() {
		if l.deleted[t.ID.String()] {
			return fmt.Errorf("%w: topic %s was answered as deleted", errBroken, t.Name)
		}
	}
	if next := c.image.ProducerIDs().Next; next < l.next {
		return fmt.Errorf("%w: producer ids up to %d were handed out, next is %d", errBroken, l.next, next)
	}
	if b := c.image.Broker(1); l.epoch > 0 && (b == nil || b.Epoch < l.epoch) {
		return fmt.Errorf("%w: registration %d was answered", errBroken, l.epoch)
	}
	return foldEqual(c)
}

// foldEqual reads snapshot and log again and adds them up.
func foldEqual(c *core) error {
	names, err := snapshotFiles(c.store.fsys, c.store.dir)
	if err != nil {
		return err
	}
	snap, err := readSnapshot(c.store.fsys, path.Join(c.store.dir, names[len(names)-1]))
	if err != nil {
		return err
	}
	entries, err := c.store.disk.readAll(max(snap.index+1, uint64(c.store.disk.l.Start())))
	if err != nil {
		return err
	}
	image := snap.image
	for _, x := range entries {
		if kafka.Offset(x.GetIndex()) > c.image.Offset() {
			break
		}
		records, err := decodeData(x)
		if err != nil {
			return err
		}
		if image, _, err = image.Apply(kafka.Offset(x.GetIndex()), records); err != nil {
			return err
		}
	}
	if image.String() != c.image.String() {
		return fmt.Errorf("%w: image\n%s\nfold of the log\n%s", errBroken, c.image, image)
	}
	return nil
}

// submit is rig.submit without a test.
func submit(c *core, commands ...controller.Command) ([]*submission, error) {
	var batch []*submission
	for _, x := range commands {
		batch = append(batch, newSubmission(x))
	}
	c.propose(batch)
	err := c.drain()
	return batch, err
}

func answered(s *submission) bool {
	select {
	case <-s.done:
		return s.err == nil
	default:
		return false
	}
}

// start is one start of the life: it registers, makes and deletes topics, takes
// producer ids and a snapshot.
func (l *life) start(g *env.Test) error {
	c, err := l.open(g)
	if err != nil {
		return err
	}
	batch, err := submit(c, register(l.starts))
	if answered(batch[0]) {
		l.epoch = batch[0].reply.BrokerEpoch
	}
	if err != nil {
		return err
	}
	names := []string{fmt.Sprintf("a%d", l.starts), fmt.Sprintf("b%d", l.starts)}
	batch, err = submit(c, create(names[0], 2), create(names[1], 1), controller.AllocateProducerIDs{Broker: 1, Epoch: l.epoch})
	for i, name := range names {
		if answered(batch[i]) {
			l.topics[name] = batch[i].reply.Topics[0].ID.String()
		}
	}
	if err := errors.Join(err, l.handOut(batch[2])); err != nil {
		return err
	}
	if err := c.takeSnapshot(); err != nil {
		return err
	}
	id := l.topics[names[0]]
	delete(l.topics, names[0]) // from here on nobody knows, until it is answered
	batch, err = submit(c, controller.DeleteTopics{Topics: []controller.TopicRef{{Name: names[0]}}})
	if answered(batch[0]) {
		l.deleted[id] = true
	}
	if err != nil {
		return err
	}
	batch, err = submit(c, controller.AllocateProducerIDs{Broker: 1, Epoch: l.epoch})
	if err := errors.Join(err, l.handOut(batch[0])); err != nil {
		return err
	}
	if err := c.store.saveWitness(); err != nil {
		return err
	}
	if l.starts%2 == 0 {
		return c.close(false)
	}
	return nil
}

func (l *life) handOut(s *submission) error {
	if !answered(s) {
		return nil
	}
	b := s.reply.ProducerIDs
	if b.First < l.next {
		return fmt.Errorf("%w: producer ids from %d handed out again, up to %d were", errBroken, b.First, l.next)
	}
	l.next = b.First + kafka.ProducerID(b.Count)
	return nil
}

// lazyFS leaves syncs of some files out.
type lazyFS struct {
	vfs.FS
	lazy func(name string) bool
}

func (f lazyFS) OpenFile(name string, flag vfs.Flag) (vfs.File, error) {
	file, err := f.FS.OpenFile(name, flag)
	if err == nil && f.lazy(name) {
		return lazyFile{file}, nil
	}
	return file, err
}

type lazyFile struct{ vfs.File }

func (lazyFile) SyncData() error { return nil }
func (lazyFile) Sync() error     { return nil }

var mutants = map[string]func(name string) bool{
	"vote not synced":                   func(name string) bool { return strings.HasSuffix(name, voteName) },
	"applied before entries are synced": func(name string) bool { return strings.HasSuffix(name, ".log") },
	"snapshot not synced":               func(name string) bool { return strings.Contains(name, snapshotSuffix) },
}

// crashes lists how the disk is found: nothing, everything, or by seed some of
// what was not synced.
func crashes(m *vfs.Mem, k int) []*vfs.Mem {
	return []*vfs.Mem{
		m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashDrop}),
		m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashKeep}),
		m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashRandom, Seed: uint64(k)}),
		m.CrashClone(vfs.CrashOptions{Kind: vfs.CrashRandom, Seed: uint64(k) + 1000}),
	}
}

// runCrashes crashes the life at every write and returns the first broken
// promise, and how many crashes there were.
func runCrashes(lazy func(string) bool) (int, error) {
	for k := 0; ; k++ {
		g := env.NewTest(uint64(k))
		if lazy != nil {
			g.FS = lazyFS{g.Disk, lazy}
		}
		g.Disk.CrashAfter(k)
		l := newLife()
		var err error
		for err == nil && l.starts < 3 {
			err = l.start(g)
		}
		if err != nil && !errors.Is(err, vfs.ErrCrashed) {
			return k, fmt.Errorf("crash at %d, before it: %w", k, err)
		}
		if !g.Disk.Crashed() {
			return k, nil
		}
		for how, disk := range crashes(g.Disk, k) {
			after := env.NewTest(uint64(k) + 7)
			after.FS, after.Disk = disk, disk
			copied := *l
			copied.topics, copied.deleted = maps.Clone(l.topics), maps.Clone(l.deleted)
			for range 2 {
				if err := copied.start(after); err != nil {
					return k, fmt.Errorf("crash at %d, disk %d: %w", k, how, err)
				}
			}
		}
	}
}

func TestCrash_NothingAnsweredIsLost(t *testing.T) {
	n, err := runCrashes(nil)
	if err != nil {
		t.Fatal(err)
	}
	if n < 50 {
		t.Errorf("only %d writes to crash at", n)
	}
	t.Logf("%d crashes, each found in 4 ways", n)
}

func TestCrash_MutantsAreCaught(t *testing.T) {
	for name, lazy := range mutants {
		n, err := runCrashes(lazy)
		if err == nil {
			t.Errorf("mutant %q survived %d crashes", name, n)
			continue
		}
		t.Logf("mutant %q: %v", name, err)
	}
}
