package coord

import (
	"context"
	"fmt"
	"time"

	"holdfast/internal/group"
	"holdfast/internal/kafka"
	"holdfast/internal/purgatory"
	"holdfast/internal/record"
)

// loadChunk is how many bytes are read at a time.
const loadChunk = 1 << 20

// load replays the log into a machine. Requests are told to wait meanwhile.
func (s *shard) load(ctx context.Context) {
	began := s.c.o.Clock.Now()
	// Who had the partition before was told to stop before this began: what it has
	// written is below this end, also if it wrote it in the new epoch.
	o := s.part.Offsets()
	s.end = o.LogEnd
	m := group.New(s.settings())
	records, err := s.replay(ctx, m, o.LogStart)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.c.o.Log.Error("cannot load consumer groups; they are offline", "partition", s.part.ID().Partition, "error", err)
		s.failLoad(err)
		return
	}
	s.activate(m)
	if records > 0 {
		s.c.o.Log.Info("consumer groups loaded", "partition", s.part.ID().Partition, "records", records, "skipped", m.Skipped(),
			"from", o.LogStart, "to", s.end, "took", s.c.o.Clock.Since(began).Round(time.Millisecond))
	}
}

func (s *shard) settings() group.Settings {
	b, topic := s.c.o.Broker.Settings(), s.part.Config()
	return group.Settings{MinSession: b.MinSession, MaxSession: b.MaxSession, MaxSize: b.GroupMaxSize, InitialDelay: b.InitialRebalanceDelay,
		OffsetRetention: b.OffsetsRetention, RetentionCheck: b.OffsetsRetentionCheck, MaxMetadata: b.OffsetMetadataMax,
		MaxBatchBytes: int(min(int64(topic.MaxMessageBytes), topic.SegmentBytes))}
}

// replay feeds everything in [from, s.end) to m, once all of it is committed: a
// record that is seen must not be taken back.
func (s *shard) replay(ctx context.Context, m *group.Machine, from kafka.Offset) (records int, err error) {
	if err := s.awaitCommitted(ctx, s.end); err != nil {
		return 0, err
	}
	err = s.eachRecord(ctx, from, s.end, func(r record.Record) error {
		records++
		return m.Replay(r.Key, r.Value, r.Timestamp)
	})
	return records, err
}

// eachRecord calls fn with every record of [from, to), in order. fn may keep
// what it gets.
func (s *shard) eachRecord(ctx context.Context, from, to kafka.Offset, fn func(record.Record) error) error {
	for from < to {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		batches, end, err := s.readBatches(from, to)
		if err != nil {
			return err
		}
		for len(batches) > 0 {
			h, err := record.ParseHeader(batches)
			if err == nil && h.Size() > len(batches) {
				err = record.ErrTruncated
			}
			if err == nil {
				err = eachOf(batches[:h.Size()], h, fn)
			}
			if err != nil {
				return fmt.Errorf("read %s-%d at %d: %w", s.part.Topic(), s.part.ID().Partition, h.BaseOffset, err)
			}
			batches = batches[h.Size():]
		}
		from = end
	}
	return nil
}

func eachOf(b []byte, h record.Header, fn func(record.Record) error) error {
	if err := record.Verify(b); err != nil {
		return err
	}
	if h.Attributes.Control() {
		return nil
	}
	return record.Iterate(b, 0, fn)
}

// readBatches reads whole batches of [from, to) from one segment. The bytes are
// fresh: who gets them may keep parts.
func (s *shard) readBatches(from, to kafka.Offset) ([]byte, kafka.Offset, error) {
	rng, err := s.part.Log().Read(from, to, loadChunk, true)
	if err != nil {
		return nil, from, err
	}
	if rng.Source == nil {
		return nil, from, fmt.Errorf("load %s-%d: nothing to read at %d, the log ended at %d", s.part.Topic(), s.part.ID().Partition, from, to)
	}
	defer rng.Source.Release()
	b := make([]byte, rng.Length)
	if n, err := rng.Source.ReadAt(b, rng.Position); n < len(b) {
		return nil, from, fmt.Errorf("load %s-%d at %d: %w", s.part.Topic(), s.part.ID().Partition, from, err)
	}
	return b, rng.End, nil
}

// awaitCommitted waits until the high watermark has reached end, in this epoch.
func (s *shard) awaitCommitted(ctx context.Context, end kafka.Offset) error {
	for end > 0 {
		moved := make(chan struct{})
		w := purgatory.New(1, func() { close(moved) })
		if !s.part.AwaitData(end-1, w) {
			break
		}
		select {
		case <-moved:
		case <-ctx.Done():
			w.Finish()
			return ctx.Err()
		}
	}
	if o := s.part.Offsets(); !o.Leading || o.Epoch != s.epoch {
		return kafka.ErrNotLeaderOrFollower
	}
	return nil
}
