package quorum

import (
	"errors"
	"fmt"
	"path"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/vfs"
)

// storage is what a member keeps: vote, snapshot and entries, on disk and, for
// the entries since the snapshot and some before it, in memory. It implements
// raft.Storage. Only the core's owner touches it.
type storage struct {
	fsys vfs.FS
	dir  string // of vote, snapshots and reserve
	disk *entryLog
	vote *voteFile

	hard       vote // as the library last told it; term and vote are durable
	witness    bool // hard or the durable end has moved since the vote file was written
	durable    kafka.Offset
	membership membership
	reserve    *reserve

	snapIndex, snapTerm uint64
	snapBytes           []byte     // the snapshot's encoding
	snapMembers         membership // at its index

	// entries are those of [first, first+len), the term before is prevTerm.
	first    uint64
	prevTerm uint64
	entries  []*pb.Entry
	bytes    int // of the entries after the snapshot
}

var _ raft.Storage = (*storage)(nil)

func (s *storage) last() uint64 { return s.first + uint64(len(s.entries)) - 1 }

// InitialState implements raft.Storage. The commit index may trail a snapshot
// that is durable; the library insists that it does not.
func (s *storage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	h := &pb.HardState{Term: proto.Uint64(s.hard.term), Vote: proto.Uint64(s.hard.vote), Commit: proto.Uint64(max(s.hard.commit, s.snapIndex))}
	return h, s.membership.confState(), nil
}

// Entries implements raft.Storage.
func (s *storage) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	if lo < s.first {
		return nil, raft.ErrCompacted
	}
	if hi > s.last()+1 {
		return nil, raft.ErrUnavailable
	}
	var out []*pb.Entry
	size := uint64(0)
	for _, x := range s.entries[lo-s.first : hi-s.first] {
		size += uint64(proto.Size(x))
		if len(out) > 0 && size > maxSize {
			break
		}
		out = append(out, x)
	}
	return out, nil
}

// Term implements raft.Storage.
func (s *storage) Term(i uint64) (uint64, error) {
	switch {
	case i == s.first-1:
		return s.prevTerm, nil
	case i < s.first-1:
		return 0, raft.ErrCompacted
	case i > s.last():
		return 0, raft.ErrUnavailable
	}
	return s.entries[i-s.first].GetTerm(), nil
}

// LastIndex implements raft.Storage.
func (s *storage) LastIndex() (uint64, error) { return s.last(), nil }

// FirstIndex implements raft.Storage.
func (s *storage) FirstIndex() (uint64, error) { return s.first, nil }

// Snapshot implements raft.Storage.
func (s *storage) Snapshot() (*pb.Snapshot, error) {
	return &pb.Snapshot{Data: s.snapBytes, Metadata: &pb.SnapshotMetadata{
		Index: proto.Uint64(s.snapIndex), Term: proto.Uint64(s.snapTerm), ConfState: s.snapMembers.confState()}}, nil
}

// saveVote makes a new term or vote durable. The commit index of the same hard
// state must wait for noteCommit: it may speak of entries that are still to be
// written, in the place of others that must not pass for committed after a crash.
func (s *storage) saveVote(h *pb.HardState) error {
	if h.GetTerm() == s.hard.term && h.GetVote() == s.hard.vote {
		return nil
	}
	s.hard.term, s.hard.vote = h.GetTerm(), h.GetVote()
	return s.saveWitness()
}

// raiseTerm makes a term durable that was learned from what others have decided. The
// vote in it is nobody's.
func (s *storage) raiseTerm(term uint64) error {
	if term <= s.hard.term {
		return nil
	}
	s.hard.term, s.hard.vote = term, 0
	return s.saveWitness()
}

// noteCommit takes the commit index, when the entries up to it are stored. It is
// made durable later: it only says what must be there.
func (s *storage) noteCommit(h *pb.HardState) {
	if commit := h.GetCommit(); commit > s.hard.commit {
		invariant.Check(commit < uint64(s.durable), "entry %d is committed and entries are stored up to %d", commit, s.durable)
		s.hard.commit, s.witness = commit, true
	}
}

// saveWitness writes the vote file: term, vote, and how far entries are known to
// be synced.
func (s *storage) saveWitness() error {
	v := s.hard
	v.durable = s.durable
	if err := s.vote.store(v); err != nil {
		return err
	}
	s.witness = false
	return nil
}

// append makes entries durable, in the place of those that they conflict with.
// After errStalled the first n of them are, and the others can be appended later.
func (s *storage) append(entries []*pb.Entry) (n int, err error) {
	from := entries[0].GetIndex()
	invariant.Check(from > s.snapIndex && from <= s.last()+1, "append entry %d to [%d, %d]", from, s.first, s.last())
	if from <= s.last() || uint64(s.disk.l.LastEpoch()) > entries[0].GetTerm() && s.disk.l.LastEpoch() != kafka.NoLeaderEpoch {
		// Without entries to cut, a crash in the middle of an earlier cut has left
		// their terms behind.
		if err := s.cut(from); err != nil {
			return 0, err
		}
	}
	for n < len(entries) {
		k, err := s.disk.append(entries[n:])
		for _, x := range entries[n : n+k] {
			s.entries = append(s.entries, x)
			s.bytes += len(x.GetData())
		}
		n += k
		if k > 0 {
			s.durable, s.witness = s.disk.l.End(), true
		}
		if errors.Is(err, log.ErrNoSpace) && s.reserve.release() == nil {
			continue
		}
		if errors.Is(err, log.ErrNoSpace) {
			return n, fmt.Errorf("append to metadata log: %w: %w", errStalled, err)
		}
		if err != nil {
			return n, fmt.Errorf("append to metadata log: %w", err)
		}
	}
	return n, nil
}

// cut takes back entries that were never committed. The vote file says first that
// they are no longer known to be there.
func (s *storage) cut(from uint64) error {
	invariant.Check(from > s.hard.commit, "cut of entry %d, committed up to %d", from, s.hard.commit)
	s.durable = kafka.Offset(from)
	if err := s.saveWitness(); err != nil {
		return err
	}
	if err := s.disk.l.TruncateSuffix(kafka.Offset(from)); err != nil {
		return fmt.Errorf("cut metadata log: %w", err)
	}
	for _, x := range s.entries[from-s.first:] {
		s.bytes -= len(x.GetData())
	}
	s.entries = s.entries[: from-s.first : from-s.first]
	return nil
}

// entriesKept is how many entries before a snapshot stay for members that are a
// little behind.
const entriesKept = 1000

// saveSnapshot makes the image of an applied index durable and lets go of the
// entries before it.
func (s *storage) saveSnapshot(snap snapshot) error {
	// The vote file never names an end below a snapshot of our own: that is how
	// remake tells one of another member.
	if err := s.saveWitness(); err != nil {
		return err
	}
	encoded := snap.encode()
	if err := s.writeSnapshot(snap, encoded); err != nil {
		return err
	}
	s.snapIndex, s.snapTerm, s.snapBytes, s.snapMembers = snap.index, snap.term, encoded, snap.membership
	keep := s.first
	if snap.index > entriesKept {
		keep = max(s.first, snap.index+1-entriesKept)
	}
	s.bytes = 0
	for _, x := range s.entries[snap.index+1-s.first:] {
		s.bytes += len(x.GetData())
	}
	if keep > s.first {
		s.prevTerm = s.entries[keep-1-s.first].GetTerm()
		s.entries = append([]*pb.Entry(nil), s.entries[keep-s.first:]...)
		s.first = keep
	}
	return s.trim(keep)
}

// trim lets segments go that hold nothing that is kept. The next snapshot finds a
// segment of its own to let go.
func (s *storage) trim(keep uint64) error {
	err := s.disk.l.Roll()
	if err == nil {
		err = s.disk.l.TruncatePrefix(kafka.Offset(keep))
	}
	if err == nil {
		_, err = s.disk.l.Checkpoint()
	}
	if err != nil && !errors.Is(err, log.ErrNoSpace) && !vfs.NoDescriptor(err) {
		return fmt.Errorf("trim metadata log: %w", err)
	}
	return nil // the next snapshot tries again
}

func (s *storage) writeSnapshot(snap snapshot, encoded []byte) error {
	err := writeSnapshot(s.fsys, s.dir, snap, encoded)
	// The reserve is for entries first: it is not given away for a snapshot that
	// does not fit even so.
	fits := s.reserve.room() >= int64(len(encoded))
	if errors.Is(err, vfs.ErrNoSpace) && fits && s.reserve.release() == nil {
		err = writeSnapshot(s.fsys, s.dir, snap, encoded)
	}
	return err
}

// install takes a snapshot of another member in the place of everything here. The
// library asks for it only where no entry here leads to the snapshot. Until the
// vote file says that it is done, the next start does it again (see remake).
func (s *storage) install(snap snapshot, encoded []byte) error {
	invariant.Check(snap.index > s.hard.commit, "a snapshot at %d, committed up to %d", snap.index, s.hard.commit)
	s.durable = min(s.durable, kafka.Offset(snap.index))
	if err := s.saveWitness(); err != nil {
		return err
	}
	if err := s.writeSnapshot(snap, encoded); err != nil {
		return err
	}
	s.snapIndex, s.snapTerm, s.snapBytes, s.snapMembers = snap.index, snap.term, encoded, snap.membership
	s.membership = snap.membership
	return s.restart(snap.index+1, snap.term)
}

// restart drops every entry; the next one is first.
func (s *storage) restart(first, prevTerm uint64) error {
	err := s.disk.l.TruncateSuffix(min(s.disk.l.End(), kafka.Offset(first)))
	if err == nil {
		err = s.disk.l.TruncatePrefix(kafka.Offset(first))
	}
	if err != nil {
		return fmt.Errorf("replace metadata log by the snapshot: %w", err)
	}
	s.first, s.prevTerm, s.entries, s.bytes = first, prevTerm, nil, 0
	s.durable = s.disk.l.End()
	s.hard.commit = max(s.hard.commit, first-1)
	return s.saveWitness()
}

// close writes down how far the entries go and ends the log.
func (s *storage) close(failed bool) error {
	var err error
	if s.witness && !failed {
		err = s.saveWitness()
	}
	return errors.Join(err, s.disk.l.Close(), s.vote.file.Close())
}

func (s *storage) voteName() string { return path.Join(s.dir, voteName) }
