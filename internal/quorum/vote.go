package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"holdfast/internal/bin"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// The vote file has two slots with the same content, each in a block of its own:
//
//	+-------+---------+----------+---------+------+------+--------+---------+--------+-------+
//	| magic | version | sequence | raft id | term | vote | commit | durable | crc32c | zeros |
//	| u32   | u32     | u64      | u64     | u64  | u64  | u64    | i64     | u32    |       |
//	+-------+---------+----------+---------+------+------+--------+---------+--------+-------+
//
// A change is written to slot A and synced, then to slot B and synced, and only
// then does it count. So a crash tears at most one slot while the other one holds
// the old or the new state, and the rot of one slot loses nothing: whatever was
// acted upon is in both.
const (
	voteMagic    = 0x48467631 // "HFv1"
	voteVersion  = 1
	voteSlotSize = 4096
	voteFileSize = 2 * voteSlotSize
	voteBodySize = 4 + 4 + 8*6
)

// vote is what must survive of a member besides entries and snapshots.
type vote struct {
	sequence uint64 // grows with every write
	raftID   uint64
	term     uint64
	vote     uint64 // raft id voted for in term; 0: nobody
	commit   uint64 // an index known to be committed
	// durable is the end of the entries known to be synced. It is written now and
	// then and when the quorum closes; what lies behind it may be torn.
	durable kafka.Offset
}

func (v vote) appendSlot(dst []byte) []byte {
	at := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, voteMagic)
	dst = binary.BigEndian.AppendUint32(dst, voteVersion)
	for _, n := range [...]uint64{v.sequence, v.raftID, v.term, v.vote, v.commit, uint64(v.durable)} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	dst = binary.BigEndian.AppendUint32(dst, bin.CRC32C(dst[at:]))
	return append(dst, make([]byte, at+voteSlotSize-len(dst))...)
}

func (v vote) encode() []byte { return v.appendSlot(v.appendSlot(nil)) }

// decodeSlot reads one slot.
func decodeSlot(b []byte) (vote, error) {
	const size = voteBodySize
	if len(b) != voteSlotSize {
		return vote{}, errSize
	}
	if binary.BigEndian.Uint32(b) != voteMagic {
		return vote{}, errMagic
	}
	if bin.CRC32C(b[:size]) != binary.BigEndian.Uint32(b[size:]) {
		return vote{}, errChecksum
	}
	if version := binary.BigEndian.Uint32(b[4:]); version > voteVersion {
		return vote{}, &VersionError{Version: int(version), Known: voteVersion}
	}
	u := func(n int) uint64 { return binary.BigEndian.Uint64(b[8+8*n:]) }
	v := vote{sequence: u(0), raftID: u(1), term: u(2), vote: u(3), commit: u(4), durable: kafka.Offset(u(5))}
	if v.raftID == 0 || v.sequence == 0 || v.durable < 0 || uint64(v.durable) <= v.commit {
		return vote{}, fmt.Errorf("term %d, commit %d, durable end %d: %w", v.term, v.commit, v.durable, errValue)
	}
	return v, nil
}

// decodeVote reads the file. repair says that the slots differ: the caller stores
// the vote again before it acts on it.
func decodeVote(b []byte) (v vote, repair bool, err error) {
	if len(b) != voteFileSize {
		return vote{}, false, fmt.Errorf("%d bytes: %w", len(b), errSize)
	}
	first, errA := decodeSlot(b[:voteSlotSize])
	second, errB := decodeSlot(b[voteSlotSize:])
	var newer *VersionError
	switch {
	case errors.As(errA, &newer) || errors.As(errB, &newer):
		return vote{}, false, newer
	case errA != nil && errB != nil:
		return vote{}, false, fmt.Errorf("slot A: %w; slot B: %w", errA, errB)
	case errA != nil:
		return second, true, nil
	case errB != nil:
		return first, true, nil
	case first == second:
		return first, false, nil
	case first.sequence == second.sequence+1 && first.raftID == second.raftID && first.term >= second.term:
		return first, true, nil
	}
	return vote{}, false, fmt.Errorf("slots %+v and %+v: %w", first, second, errValue)
}

// voteFile is the open file.
type voteFile struct {
	file vfs.File
	last vote // what is durable
}

func openVote(fsys vfs.FS, name string) (*voteFile, error) {
	b, err := vfs.ReadFile(fsys, name, voteFileSize+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &CorruptionError{File: name, Cause: errMissing}
	}
	if err != nil {
		return nil, fmt.Errorf("read vote: %w", err)
	}
	v, repair, err := decodeVote(b)
	var newer *VersionError
	if errors.As(err, &newer) {
		newer.File = name
		return nil, newer
	}
	if err != nil {
		return nil, &CorruptionError{File: name, Cause: err}
	}
	f, err := fsys.OpenFile(name, vfs.Write)
	if err != nil {
		return nil, fmt.Errorf("open vote: %w", err)
	}
	file := &voteFile{file: f, last: v}
	// Slots that are equal may be so in the page cache only: where the sync of slot B
	// has failed, the process that found that out has ended, but its page looks clean
	// and is not on the disk. Written again, it is; otherwise slot A would be written
	// next, and a power cut then would leave slots that are two writes apart.
	slots := voteSlots[1:]
	if repair {
		slots = voteSlots
	}
	if err := file.write(v, slots); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return file, nil
}

// voteSlots are the positions of the slots, in the order in which they are written.
var voteSlots = []int64{0, voteSlotSize}

// store makes v durable, with the next sequence.
func (f *voteFile) store(v vote) error {
	v.sequence = f.last.sequence + 1
	if err := f.write(v, voteSlots); err != nil {
		return err
	}
	f.last = v
	return nil
}

func (f *voteFile) write(v vote, slots []int64) error {
	slot := v.appendSlot(nil)
	for _, at := range slots {
		if _, err := f.file.WriteAt(slot, at); err != nil {
			return fmt.Errorf("write vote: %w", err)
		}
		if err := f.file.SyncData(); err != nil {
			return fmt.Errorf("sync vote: %w", err)
		}
	}
	return nil
}
