package quorum

import (
	"errors"
	"fmt"
	"math"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"holdfast/internal/clock"
	"holdfast/internal/invariant"
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

// The metadata log is a log like any other: each entry is one record batch of one
// record at offset = index, with the term as its leader epoch. The record has no
// key; its value is
//
//	+---------+------+---------------------------------------------+
//	| version | type | data                                        |
//	| u8      | u8   | records of meta, or a configuration change  |
//	+---------+------+---------------------------------------------+
//
// Data of type normal may be empty: a leader begins its term with such an entry.
const (
	entryVersion = 1
	entryHead    = 2

	// LogDirectory is the name of the metadata log's directory, Kafka's own.
	LogDirectory = "__cluster_metadata-0"
	topicName    = "__cluster_metadata"
)

// metadataTopicID is the id that Kafka reserves for the metadata log. No topic of
// a user gets it.
var metadataTopicID = kafka.TopicID{15: 1}

// entryBytesMax bounds the data of one entry; segmentBytes leaves room for it.
const (
	entryBytesMax = 16 << 20
	segmentBytes  = 64 << 20
	appendMax     = 8 << 20 // bytes of one Append of several entries
)

func logOptions(fsys vfs.FS, c clock.Clock, dir string) log.Options {
	config := log.DefaultConfig()
	config.SegmentBytes, config.SegmentMs = segmentBytes, 0
	config.RetentionMs, config.RetentionBytes, config.FileDeleteDelay = -1, -1, 0
	return log.Options{FS: fsys, Clock: c, Dir: dir, Key: journal.Key{TopicID: metadataTopicID}, Topic: topicName, Config: config}
}

// entryLog keeps entries on disk.
type entryLog struct {
	l     *log.Log
	clock clock.Clock
}

func (e *entryLog) now() kafka.Timestamp { return kafka.Timestamp(e.clock.Now().UnixMilli()) }

// append writes entries that continue the log and makes them durable. After
// ErrNoSpace the first n of them are written and durable.
func (e *entryLog) append(entries []*pb.Entry) (n int, err error) {
	var dirty []*log.Segment
	for n < len(entries) && err == nil {
		var (
			data    []byte
			headers []record.Header
			span    log.Span
		)
		for _, x := range entries[n:] {
			if data, headers, err = appendBatch(data, headers, x, e.now()); err != nil {
				return n, err
			}
			if len(data) >= appendMax {
				break
			}
		}
		if span, err = e.l.Append(data, headers, e.now()); err == nil {
			n += len(headers)
			if k := len(dirty); k == 0 || dirty[k-1] != span.Segment {
				dirty = append(dirty, span.Segment)
			}
		}
	}
	if err != nil && !errors.Is(err, log.ErrNoSpace) {
		return 0, err
	}
	for _, s := range dirty {
		if syncErr := e.sync(s); syncErr != nil {
			return 0, syncErr
		}
	}
	return n, err
}

// How long a sync waits for a file descriptor, and how often it looks. A new
// segment's directory needs one.
const (
	descriptorPause = 20 * time.Millisecond
	descriptorTries = 3000
)

// sync makes what was written to a segment durable. The entries are in the log
// already, so that the want of a descriptor, before which nothing was synced,
// is waited out.
func (e *entryLog) sync(s *log.Segment) error {
	err := s.SyncData()
	for try := 0; vfs.NoDescriptor(err) && try < descriptorTries; try++ {
		e.clock.Sleep(descriptorPause)
		err = s.SyncData()
	}
	return err
}

func appendBatch(data []byte, headers []record.Header, x *pb.Entry, now kafka.Timestamp) ([]byte, []record.Header, error) {
	invariant.Check(x.GetTerm() <= math.MaxInt32 && x.GetIndex() <= math.MaxInt64, "entry %d of term %d", x.GetIndex(), x.GetTerm())
	b := record.NewBuilder(record.Options{BaseOffset: kafka.Offset(x.GetIndex()), LeaderEpoch: kafka.LeaderEpoch(x.GetTerm())})
	value := make([]byte, 0, entryHead+len(x.GetData()))
	value = append(append(value, entryVersion, byte(x.GetType())), x.GetData()...)
	b.Append(now, nil, value)
	at := len(data)
	data, err := b.Build(data)
	if err != nil {
		return nil, nil, fmt.Errorf("build metadata entry %d: %w", x.GetIndex(), err)
	}
	h, err := record.ParseHeader(data[at:])
	if err != nil {
		return nil, nil, fmt.Errorf("build metadata entry %d: %w", x.GetIndex(), err)
	}
	return data, append(headers, h), nil
}

// readAll returns every entry from the index on, each verified.
func (e *entryLog) readAll(from uint64) ([]*pb.Entry, error) {
	const chunk = 4 << 20
	var out []*pb.Entry
	for at := kafka.Offset(from); at < e.l.End(); {
		r, err := e.l.Read(at, e.l.End(), chunk, true)
		if err != nil {
			return nil, readFailed(err)
		}
		b := make([]byte, r.Length)
		err = vfs.ReadFull(r.Source, b, r.Position)
		name, end := r.Source.Name(), r.End
		r.Source.Release()
		if err != nil {
			return nil, readFailed(err)
		}
		if out, err = decodeEntries(out, b, at); err != nil {
			return nil, &CorruptionError{File: name, Position: r.Position, Cause: err}
		}
		at = end
	}
	return out, nil
}

// readFailed makes damage that the log has found damage of the metadata.
func readFailed(err error) error {
	if damage, ok := errors.AsType[*log.CorruptionError](err); ok {
		return &CorruptionError{File: damage.File, Position: damage.Position, Cause: err}
	}
	return fmt.Errorf("read metadata log: %w", err)
}

// decodeEntries appends the entries of the whole batches in b; the first one has
// the offset next.
func decodeEntries(out []*pb.Entry, b []byte, next kafka.Offset) ([]*pb.Entry, error) {
	for len(b) > 0 {
		h, err := record.ParseHeader(b)
		if err != nil {
			return nil, err
		}
		if h.Size() > len(b) {
			return nil, errSize
		}
		if err := record.Verify(b[:h.Size()]); err != nil {
			return nil, err
		}
		x, err := decodeEntry(b[:h.Size()], h, next)
		if err != nil {
			return nil, err
		}
		if k := len(out); k > 0 && out[k-1].GetTerm() > x.GetTerm() {
			return nil, fmt.Errorf("entry %d of term %d after term %d: %w", next, x.GetTerm(), out[k-1].GetTerm(), errValue)
		}
		out = append(out, x)
		b, next = b[h.Size():], h.End()
	}
	return out, nil
}

func decodeEntry(b []byte, h record.Header, offset kafka.Offset) (*pb.Entry, error) {
	if h.BaseOffset != offset || h.Count != 1 || h.LastOffsetDelta != 0 || h.LeaderEpoch < 0 {
		return nil, fmt.Errorf("batch of %d records at %d where entry %d must be: %w", h.Count, h.BaseOffset, offset, errValue)
	}
	var value []byte
	err := record.Iterate(b, entryBytesMax+entryHead, func(r record.Record) error {
		value = r.Value
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(value) < entryHead {
		return nil, fmt.Errorf("entry %d of %d bytes: %w", offset, len(value), errSize)
	}
	if value[0] > entryVersion {
		return nil, &VersionError{File: topicName, Version: int(value[0]), Known: entryVersion}
	}
	kind := pb.EntryType(value[1])
	if kind != pb.EntryNormal && kind != pb.EntryConfChange && kind != pb.EntryConfChangeV2 {
		return nil, fmt.Errorf("entry %d of type %d: %w", offset, kind, errValue)
	}
	x := &pb.Entry{Type: kind.Enum(), Index: proto.Uint64(uint64(offset)), Term: proto.Uint64(uint64(h.LeaderEpoch))}
	if len(value) > entryHead {
		x.Data = value[entryHead:]
	}
	return x, nil
}
