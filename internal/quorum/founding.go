package quorum

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/internal/controller"
	"holdfast/internal/log"
	"holdfast/internal/meta"
	"holdfast/internal/vfs"
)

// Names inside the data directory.
const (
	// StateDirectory holds vote, snapshots and reserve.
	StateDirectory = "quorum"
	// SnapshotSuffix ends the names of snapshots in it.
	SnapshotSuffix = snapshotSuffix
	voteName       = "vote"
	reserveName    = "reserve"
)

// A cluster begins with a snapshot at index 1, decided by nobody's vote: the
// cluster's id and its one voter. The log begins behind it. So whoever joins
// later needs the snapshot first and learns from it who votes, which no entry of
// the log says.
const (
	foundingIndex = 1
	foundingTerm  = 1
)

// openStorage opens what is in the directory, or founds a cluster in one where
// nothing was ever decided. It returns the newest snapshot.
func openStorage(o *Options) (*storage, snapshot, error) {
	fsys, dir := o.Env.FS, path.Join(o.Dir, StateDirectory)
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, snapshot{}, fmt.Errorf("make metadata directory: %w", err)
	}
	names, err := snapshotFiles(fsys, dir)
	if err != nil {
		return nil, snapshot{}, err
	}
	if len(names) > 0 {
		return load(o, dir, names[len(names)-1])
	}
	joining, err := readJoining(o, dir)
	if err != nil {
		return nil, snapshot{}, err
	}
	if !joining {
		if err := mayFound(o, dir); err != nil {
			return nil, snapshot{}, err
		}
	}
	switch {
	case joining:
		return load(o, dir, "")
	case o.Join:
		if err := join(o, dir); err != nil {
			return nil, snapshot{}, fmt.Errorf("join cluster %s: %w", o.ClusterID, err)
		}
		return load(o, dir, "")
	}
	name, err := found(o, dir, founders(o))
	if err != nil {
		return nil, snapshot{}, fmt.Errorf("found cluster %s: %w", o.ClusterID, err)
	}
	return load(o, dir, name)
}

// founders are the members of a new cluster.
func founders(o *Options) membership {
	var m membership
	for _, v := range o.Voters {
		m.members = append(m.members, member{raftID: RaftID(v.Directory), node: v.Node, directory: v.Directory, roles: roleVoter})
	}
	if m.members == nil {
		m.members = []member{{raftID: RaftID(o.DirectoryID), node: o.Self, directory: o.DirectoryID, roles: roleVoter}}
	}
	sortMembers(m.members)
	return m
}

// mayFound refuses a directory in which something was decided before, or which
// holds partitions of a cluster whose metadata is gone.
func mayFound(o *Options, dir string) error {
	if o.Founded {
		return &CorruptionError{File: path.Join(dir, "*"+snapshotSuffix), Cause: errWiped}
	}
	lost := func(file string) error {
		return &CorruptionError{File: path.Join(dir, "*"+snapshotSuffix), Cause: fmt.Errorf("%s is there: %w", file, errMissing)}
	}
	b, err := vfs.ReadFile(o.Env.FS, path.Join(dir, voteName), voteFileSize+1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read vote: %w", err)
	}
	if err == nil {
		// Founding was interrupted; any other vote means that a snapshot is lost.
		if v, _, err := decodeVote(b); err != nil || v != foundingVote(o) {
			return lost(voteName)
		}
	}
	entries, err := o.Env.FS.ReadDir(o.Dir)
	if err != nil {
		return fmt.Errorf("list data directory: %w", err)
	}
	for _, e := range entries {
		if e.IsDir && e.Name != LogDirectory && isPartitionName(e.Name) {
			return lost(e.Name)
		}
	}
	return nil
}

// isPartitionName reports whether a directory's name is topic-partition.
func isPartitionName(name string) bool {
	dash := strings.LastIndexByte(name, '-')
	if dash <= 0 {
		return false
	}
	_, err := strconv.ParseUint(name[dash+1:], 10, 31)
	return err == nil
}

func foundingVote(o *Options) vote {
	return vote{sequence: 1, raftID: RaftID(o.DirectoryID), term: foundingTerm, commit: foundingIndex, durable: foundingIndex + 1}
}

// found writes a cluster of these members. The snapshot comes last: it is what
// makes the directory founded.
func found(o *Options, dir string, members membership) (string, error) {
	fsys := o.Env.FS
	image, _, err := meta.Empty().Apply(foundingIndex, controller.Found(o.ClusterID))
	if err != nil {
		return "", err
	}
	if err := vfs.WriteFile(fsys, path.Join(dir, voteName), foundingVote(o).encode()); err != nil {
		return "", err
	}
	options := logOptions(fsys, o.Env.Clock, path.Join(o.Dir, LogDirectory))
	if err := removeUnfinished(fsys, options.Dir); err != nil {
		return "", err
	}
	l, err := log.Create(options)
	if err != nil {
		return "", err
	}
	if err := errors.Join(l.TruncatePrefix(foundingIndex+1), l.Close()); err != nil {
		return "", err
	}
	s := snapshot{index: foundingIndex, term: foundingTerm, membership: members, image: image}
	if err := writeSnapshot(fsys, dir, s, s.encode()); err != nil {
		return "", err
	}
	return snapshotName(s.index, s.term), fsys.SyncDir(o.Dir)
}

// removeUnfinished removes the log of a founding that a crash interrupted. A log
// that holds a single byte is not one of these.
func removeUnfinished(fsys vfs.FS, dir string) error {
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list metadata log: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name, ".log") {
			continue
		}
		name := path.Join(dir, e.Name)
		info, err := fsys.Stat(name)
		if err != nil {
			return fmt.Errorf("look at metadata log: %w", err)
		}
		if info.Size > 0 {
			return &CorruptionError{File: name, Cause: fmt.Errorf("entries without a snapshot before them: %w", errMissing)}
		}
	}
	return fsys.RemoveAll(dir)
}

// load opens a directory with the snapshot of that name; without a name it is one
// that joins.
func load(o *Options, dir, name string) (*storage, snapshot, error) {
	fsys, snap := o.Env.FS, nothingYet()
	var encoded []byte
	if name != "" {
		var err error
		if snap, err = readSnapshot(fsys, path.Join(dir, name)); err != nil {
			return nil, snapshot{}, err
		}
		if err := checkOwner(o, snap); err != nil {
			return nil, snapshot{}, err
		}
		encoded = snap.encode()
	}
	v, err := openVote(fsys, path.Join(dir, voteName))
	if err != nil {
		return nil, snapshot{}, err
	}
	s := &storage{fsys: fsys, dir: dir, vote: v, hard: v.last, membership: snap.membership,
		snapIndex: snap.index, snapTerm: snap.term, snapBytes: encoded, snapMembers: snap.membership,
		reserve: &reserve{fsys: fsys, dir: dir, name: path.Join(dir, reserveName)}}
	if v.last.raftID != RaftID(o.DirectoryID) {
		err = fmt.Errorf("vote of member %x in the directory of member %x: %w", v.last.raftID, RaftID(o.DirectoryID), ErrForeign)
	}
	if err == nil {
		err = s.openLog(o)
	}
	if err != nil {
		if s.disk != nil {
			err = errors.Join(err, s.disk.l.Close())
		}
		return nil, snapshot{}, errors.Join(err, v.file.Close())
	}
	return s, snap, nil
}

// checkOwner compares the snapshot with the identity of the data directory.
func checkOwner(o *Options, snap snapshot) error {
	if id := snap.image.ClusterID(); id != o.ClusterID {
		return fmt.Errorf("metadata of cluster %s in a directory of cluster %s: %w", id, o.ClusterID, ErrForeign)
	}
	for _, x := range snap.membership.members {
		if x.directory == o.DirectoryID && x.node != o.Self {
			return fmt.Errorf("metadata of node %d in a directory of node %d: %w", x.node, o.Self, ErrForeign)
		}
	}
	return nil
}

// openLog opens the entries and fits them to the snapshot.
func (s *storage) openLog(o *Options) error {
	options := logOptions(s.fsys, o.Env.Clock, path.Join(o.Dir, LogDirectory))
	if uint64(s.hard.durable) <= s.snapIndex {
		return s.remake(options)
	}
	l, report, err := log.Open(options, log.Replay{RecoveryPoint: s.hard.durable})
	var damage *log.CorruptionError
	switch {
	case errors.As(err, &damage):
		return &CorruptionError{File: damage.File, Position: damage.Position, Cause: err}
	case errors.Is(err, log.ErrUnfinished):
		return &CorruptionError{File: options.Dir, Cause: errors.Join(errMissing, err)}
	case err != nil:
		return fmt.Errorf("open metadata log: %w", err)
	}
	s.disk = &entryLog{l: l, clock: o.Env.Clock}
	if report.Cut > 0 || report.Dropped > 0 {
		o.Log.Info("metadata log recovered: a crash interrupted a write", "end", report.End, "cut_bytes", report.Cut)
	}
	return s.fit(options.Dir)
}

// remake finishes what a crash interrupted: the snapshot of another member was to
// replace every entry. Only then does the vote file name an end below the snapshot
// (a member's own snapshot is written after its vote file has caught up), and only
// a member whose entries do not lead to the snapshot is sent one: none of them is
// needed.
func (s *storage) remake(options log.Options) error {
	if err := s.fsys.RemoveAll(options.Dir); err != nil {
		return fmt.Errorf("replace metadata log by the snapshot: %w", err)
	}
	l, err := log.Create(options)
	if err != nil {
		return fmt.Errorf("replace metadata log by the snapshot: %w", err)
	}
	s.disk = &entryLog{l: l, clock: options.Clock}
	return s.restart(s.snapIndex+1, s.snapTerm)
}

// fit makes entries follow the snapshot.
func (s *storage) fit(name string) error {
	l := s.disk.l
	next := s.snapIndex + 1
	if start, end := uint64(l.Start()), uint64(l.End()); start > next || end < next {
		return &CorruptionError{File: name, Cause: fmt.Errorf("entries [%d, %d) do not follow the snapshot at %d: %w", start, end, s.snapIndex, errMissing)}
	}
	s.first, s.prevTerm = next, s.snapTerm
	entries, err := s.disk.readAll(uint64(l.Start()))
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		if err := s.take(entries, name); err != nil {
			return err
		}
	}
	s.durable = l.End()
	if s.hard.commit > s.last() {
		return &CorruptionError{File: name, Cause: fmt.Errorf("entries end at %d, entry %d is committed: %w", l.End(), s.hard.commit, errMissing)}
	}
	return nil
}

// take puts entries from the log into memory, without those that only serve
// members that are behind: their terms are not known in full.
func (s *storage) take(entries []*pb.Entry, name string) error {
	first := entries[0].GetIndex()
	if first <= s.snapIndex {
		at := entries[s.snapIndex-first]
		if at.GetTerm() != s.snapTerm {
			return &CorruptionError{File: name, Cause: fmt.Errorf("entry %d is of term %d, the snapshot of term %d: %w", s.snapIndex, at.GetTerm(), s.snapTerm, errValue)}
		}
		entries = entries[s.snapIndex-first+1:]
	}
	for _, x := range entries {
		s.bytes += len(x.GetData())
	}
	s.entries = entries
	if term, err := s.Term(s.last()); err != nil || s.hard.term < term {
		return &CorruptionError{File: s.voteName(), Cause: fmt.Errorf("term %d, and entry %d is of term %d: %w", s.hard.term, s.last(), term, errValue)}
	}
	return nil
}

// raftConfig is how the library runs here.
func raftConfig(id uint64, s *storage, logger raft.Logger) *raft.Config {
	return &raft.Config{
		ID: id, ElectionTick: electionTicks, HeartbeatTick: 1, Storage: s, Applied: s.snapIndex,
		MaxSizePerMsg: 1 << 20, MaxCommittedSizePerReady: 16 << 20, MaxUncommittedEntriesSize: 64 << 20,
		MaxInflightMsgs: 64, MaxInflightBytes: 16 << 20,
		CheckQuorum: true, PreVote: true, DisableProposalForwarding: true, StepDownOnRemoval: true,
		Logger: logger,
	}
}
