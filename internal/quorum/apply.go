package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"path"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/vfs"
)

// apply takes one committed entry into the image and tells everybody.
func (c *core) apply(x *pb.Entry) error {
	if x.GetType() != pb.EntryNormal {
		if err := c.applyMembership(x); err != nil {
			return c.damaged(x, err)
		}
	}
	o, ok := c.known(x)
	if !ok {
		var err error
		if o, err = c.workOut(x); err != nil {
			return c.damaged(x, err)
		}
	}
	c.image = o.image
	c.publish(o.image)
	for _, f := range c.subscribers {
		f(o.delta, o.image)
	}
	c.noteConf(x)
	c.applied(x.GetIndex(), x.GetTerm())
	c.moveTip(x)
	return nil
}

// workOut applies an entry as recovery and followers do.
func (c *core) workOut(x *pb.Entry) (o outcome, err error) {
	var records []meta.Record
	if x.GetType() == pb.EntryNormal {
		if records, err = decodeData(x); err != nil {
			return o, err
		}
	}
	o.image, o.delta, err = c.image.Apply(kafka.Offset(x.GetIndex()), records)
	return o, err
}

// known returns what the leader has worked out when it proposed the entry, which
// saves it from doing so twice.
func (c *core) known(x *pb.Entry) (outcome, bool) {
	if len(c.proposed) == 0 {
		return outcome{}, false
	}
	o := c.proposed[0]
	if o.delta.From() != c.image || uint64(o.image.Offset()) != x.GetIndex() || !bytes.Equal(o.data, x.GetData()) {
		return outcome{}, false
	}
	c.proposed = c.proposed[1:]
	invariant.Expensive(func() error {
		again, err := c.workOut(x)
		if err == nil && again.image.String() != o.image.String() {
			err = fmt.Errorf("entry %d means one thing when it is decided and another when it is read", x.GetIndex())
		}
		return err
	})
	return o, true
}

// decodeData reads the records of an entry. A leader's first entry has none.
func decodeData(x *pb.Entry) ([]meta.Record, error) {
	if len(x.GetData()) == 0 {
		return nil, nil
	}
	return meta.DecodeRecords(x.GetData())
}

// moveTip lets a new leader decide once the first entry of its term is applied:
// everything that earlier leaders committed is before it.
func (c *core) moveTip(x *pb.Entry) {
	switch {
	case !c.leading:
	case c.tip == nil:
		// A change of members is followed by an entry of the library's own, which no
		// decision may come before.
		if x.GetTerm() == c.node.BasicStatus().GetTerm() && c.confAt == 0 && !c.store.membership.isJoint() {
			c.tip = c.image
			c.announce(true)
		}
	case c.tip.Offset() <= c.image.Offset():
		c.tip = c.image // equal; the older one can go
	}
}

// damaged is the error of an entry that cannot be applied.
func (c *core) damaged(x *pb.Entry, err error) error {
	var newer *meta.VersionError
	if errors.As(err, &newer) {
		return fmt.Errorf("metadata entry %d: %w", x.GetIndex(), err)
	}
	return &CorruptionError{File: path.Join(c.o.Dir, LogDirectory), Cause: fmt.Errorf("entry %d: %w", x.GetIndex(), err)}
}

// applyMembership carries a change of members out.
func (c *core) applyMembership(x *pb.Entry) error {
	var change pb.ConfChangeV2
	if x.GetType() == pb.EntryConfChange {
		var old pb.ConfChange
		if err := proto.Unmarshal(x.GetData(), &old); err != nil {
			return err
		}
		proto.Merge(&change, old.AsV2())
	} else if err := proto.Unmarshal(x.GetData(), &change); err != nil {
		return err
	}
	joined, err := decodeJoining(change.GetContext())
	if err != nil {
		return err
	}
	next, err := c.store.membership.with(c.node.ApplyConfChange(&change), joined)
	if err != nil {
		return err
	}
	c.store.membership = next
	return nil
}

// snapshotEveryBytes is how much entries may hold, or snapshotEveryEntries how
// many there may be, before a snapshot is taken. A snapshot costs as much as it is
// large: with a large image it waits for as many bytes of entries.
const (
	snapshotEveryBytes   = 4 << 20
	snapshotEveryEntries = 10_000
	snapshotTicks        = 50 // after one that was prevented
)

func (c *core) maybeSnapshot() error {
	applied := uint64(c.image.Offset())
	behind := applied - c.store.snapIndex
	large := c.remember || c.store.bytes >= max(snapshotEveryBytes, len(c.store.snapBytes))
	if behind == 0 || !large && behind < snapshotEveryEntries || c.ticks < c.snapshotAt {
		return nil
	}
	return c.trySnapshot()
}

// trySnapshot is takeSnapshot, and without disk space or file descriptors
// nothing: the entries stay.
func (c *core) trySnapshot() error {
	err := c.takeSnapshot()
	if errors.Is(err, vfs.ErrNoSpace) || vfs.NoDescriptor(err) {
		c.snapshotAt = c.ticks + snapshotTicks
		c.o.Log.Warn("no metadata snapshot for the moment; the entries stay", "error", err)
		return nil
	}
	return err
}

// takeSnapshot makes the present image durable and lets go of what it covers.
func (c *core) takeSnapshot() error {
	applied := uint64(c.image.Offset())
	term, err := c.store.Term(applied)
	if err != nil {
		return fmt.Errorf("snapshot at %d: %w", applied, err)
	}
	if err := c.store.saveSnapshot(snapshot{index: applied, term: term, membership: c.store.membership, image: c.image}); err != nil {
		return err
	}
	c.remember = false
	return nil
}

// install takes the snapshot of a leader that is too far ahead for entries.
func (c *core) install(s *pb.Snapshot) error {
	snap, err := decodeSnapshot(s.GetData())
	if err != nil {
		return err
	}
	if snap.index != s.GetMetadata().GetIndex() || snap.term != s.GetMetadata().GetTerm() {
		return &CorruptionError{File: "snapshot of the leader", Cause: errValue}
	}
	if err := checkOwner(c.o, snap); err != nil {
		return err
	}
	return c.adopt(snap, s.GetData())
}

// adopt makes a snapshot of another member what is known here.
func (c *core) adopt(snap snapshot, encoded []byte) error {
	if err := c.store.install(snap, encoded); err != nil {
		return err
	}
	delta := meta.Difference(c.image, snap.image)
	c.image = snap.image
	c.publish(snap.image)
	for _, f := range c.subscribers {
		f(delta, snap.image)
	}
	return nil
}
