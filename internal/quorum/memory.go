package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/internal/bin"
	"holdfast/internal/vfs"
)

// memory is what this member recalls of others, and others of it.
type memory struct {
	of   map[uint64]recollection // by raft id
	life uint64
	// proven: a majority of the voters has compared, and none recalls more.
	proven  bool
	vouched map[uint64]bool
	// enough is the tick from which a majority had compared, 0 before.
	enough uint64
	// unsaved: of has changed since it was written down.
	unsaved bool
}

// note remembers what a message says about its sender. Entries count that are
// committed: others may be cut in order.
func (y *memory) note(m *pb.Message, now raft.BasicStatus) {
	was := y.of[m.GetFrom()]
	r := was
	switch m.GetType() {
	case pb.MsgPreVote, pb.MsgPreVoteResp: // of a term that may never be
		return
	case pb.MsgAppResp:
		// In an earlier term it may have stored others than were committed later.
		if !m.GetReject() && now.RaftState == raft.StateLeader && m.GetTerm() == now.GetTerm() {
			r.last = max(r.last, min(m.GetIndex(), now.GetCommit()))
		}
	case pb.MsgApp: // a leader has what it knows to be committed
		r.last = max(r.last, m.GetCommit())
	}
	r.term = max(r.term, m.GetTerm())
	if r != was {
		y.of[m.GetFrom()], y.unsaved = r, true
	}
}

// The memory is written down about once a second while it changes, and at every stop
// in order, so that a witness that has started since still knows. What it says stays
// true for ever: a term that was spoken of and entries that were committed are on the
// other's disk. It is replaced as a whole:
//
//	+-------+---------+---------+-------+-----------------------+--------+
//	| magic | version | raft id | count | count times:          | crc32c |
//	| u32   | u32     | u64     | u32   | raft id, term, last   | u32    |
//	+-------+---------+---------+-------+-----------------------+--------+
const (
	memoryName    = "memory"
	memoryMagic   = 0x4846726d // "HFrm"
	memoryVersion = 1
	memoryHead    = 4 + 4 + 8 + 4
	memoryEntry   = 3 * 8
	memoryBytes   = memoryHead + membersMax*memoryEntry + 4
)

func encodeMemory(self uint64, of map[uint64]recollection) []byte {
	dst := binary.BigEndian.AppendUint32(nil, memoryMagic)
	dst = binary.BigEndian.AppendUint32(dst, memoryVersion)
	dst = binary.BigEndian.AppendUint64(dst, self)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(of)))
	for _, id := range slices.Sorted(maps.Keys(of)) {
		for _, n := range [...]uint64{id, of[id].term, of[id].last} {
			dst = binary.BigEndian.AppendUint64(dst, n)
		}
	}
	return binary.BigEndian.AppendUint32(dst, bin.CRC32C(dst))
}

func decodeMemory(self uint64, b []byte) (map[uint64]recollection, error) {
	if len(b) < memoryHead+4 || len(b) > memoryBytes {
		return nil, errSize
	}
	if binary.BigEndian.Uint32(b) != memoryMagic {
		return nil, errMagic
	}
	body := b[:len(b)-4]
	if bin.CRC32C(body) != binary.BigEndian.Uint32(b[len(body):]) {
		return nil, errChecksum
	}
	if v := binary.BigEndian.Uint32(b[4:]); v > memoryVersion {
		return nil, &VersionError{Version: int(v), Known: memoryVersion}
	}
	n := int(binary.BigEndian.Uint32(b[16:]))
	if binary.BigEndian.Uint64(b[8:]) != self || len(body) != memoryHead+n*memoryEntry {
		return nil, errValue
	}
	of := make(map[uint64]recollection, n)
	for b := body[memoryHead:]; len(b) > 0; b = b[memoryEntry:] {
		of[binary.BigEndian.Uint64(b)] = recollection{term: binary.BigEndian.Uint64(b[8:]), last: binary.BigEndian.Uint64(b[16:])}
	}
	return of, nil
}

func (c *core) memoryFile() string { return path.Join(c.store.dir, memoryName) }

// loadMemory reads what was written down. A file that does not say it costs the
// memory, not the start: it is a witness's, and there are others.
func (c *core) loadMemory() error {
	b, err := vfs.ReadFile(c.o.Env.FS, c.memoryFile(), memoryBytes+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what is recalled of other members: %w", err)
	}
	of, err := decodeMemory(c.id, b)
	var newer *VersionError
	switch {
	case errors.As(err, &newer):
		newer.File = c.memoryFile()
		return newer
	case err != nil:
		c.o.Log.Warn("what this member recalls of others is lost: older copies of their directories may not be found out", "file", c.memoryFile(), "error", err)
	default:
		c.memory.of = of
	}
	return nil
}

// saveMemory writes down what has changed. For want of space or of a descriptor it is
// tried again later.
func (c *core) saveMemory() error {
	if !c.memory.unsaved || c.stalled != nil {
		return nil
	}
	for id := range c.memory.of {
		if _, member := c.store.membership.find(id); !member {
			delete(c.memory.of, id) // it left; a directory has one life
		}
	}
	err := vfs.WriteFile(c.o.Env.FS, c.memoryFile(), encodeMemory(c.id, c.memory.of))
	if errors.Is(err, vfs.ErrNoSpace) || vfs.NoDescriptor(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write what is recalled of other members: %w", err)
	}
	c.memory.unsaved = false
	return nil
}
