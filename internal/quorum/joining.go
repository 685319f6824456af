package quorum

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/meta"
	"holdfast/internal/vfs"
)

// A directory that joins a cluster has a vote file that was never voted with and a
// log without entries, which begins at index 1: the snapshot that every cluster
// begins with comes first, from another node. Until then it knows nothing, and
// nobody counts on it.
const joiningFirst = 1

func joiningVote(o *Options) vote {
	return vote{sequence: 1, raftID: RaftID(o.DirectoryID), durable: joiningFirst}
}

// isJoining reports whether a directory without a snapshot waits for its first one.
// Nothing but the term can have moved since it began to.
func isJoining(o *Options, v vote) bool {
	return v.raftID == RaftID(o.DirectoryID) && v.commit == 0 && v.durable == joiningFirst
}

// readJoining returns the vote of a directory that joins; ok is false for any other.
func readJoining(o *Options, dir string) (ok bool, err error) {
	b, err := vfs.ReadFile(o.Env.FS, path.Join(dir, voteName), voteFileSize+1)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read vote: %w", err)
	}
	v, _, err := decodeVote(b)
	return err == nil && isJoining(o, v), nil
}

// join makes an empty directory one that joins. The vote file comes last.
func join(o *Options, dir string) error {
	fsys := o.Env.FS
	options := logOptions(fsys, o.Env.Clock, path.Join(o.Dir, LogDirectory))
	if err := removeUnfinished(fsys, options.Dir); err != nil {
		return err
	}
	l, err := log.Create(options)
	if err != nil {
		return err
	}
	if err := errors.Join(l.TruncatePrefix(joiningFirst), l.Close()); err != nil {
		return err
	}
	if err := fsys.SyncDir(o.Dir); err != nil {
		return err
	}
	return vfs.WriteFile(fsys, path.Join(dir, voteName), joiningVote(o).encode())
}

// nothingYet is the snapshot that a directory has before its first one.
func nothingYet() snapshot {
	image, _, err := meta.Empty().Apply(kafka.Offset(0), nil)
	invariant.Check(err == nil, "an empty image: %v", err)
	return snapshot{image: image}
}
