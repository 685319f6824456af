package rig

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/internal/kafka"
	"holdfast/tests/history"
)

// Audit reads every partition of the topics from its start to its end into the
// ledger, at most for d. The writers must be paused. An error means that the
// read itself did not come to its end; what was read is judged by the ledger.
func Audit(addr string, ledger *Ledger, topics []Topic, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	cl, err := kgo.NewClient(Options(addr, kgo.ConsumePartitions(startOf(topics)),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.FetchMaxBytes(32<<20), kgo.FetchMaxPartitionBytes(8<<20),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()))...)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer cl.Close()
	ends, err := endOffsets(ctx, kadm.NewClient(cl), topics)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	a := &audit{ledger: ledger, ends: ends, next: map[kafka.TopicPartition]kafka.Offset{}, reads: map[kafka.TopicPartition]*history.FinalRead{}}
	reader := ledger.NewReader()
	ledger.Do(func(c *history.Checker) {
		for tp := range ends {
			a.reads[tp] = c.BeginFinalRead(reader, tp)
		}
	})
	err = a.read(ctx, cl)
	ledger.Do(func(*history.Checker) {
		for tp, f := range a.reads {
			f.End(ends[tp])
		}
	})
	return err
}

// audit is one complete read under way.
type audit struct {
	ledger *Ledger
	ends   map[kafka.TopicPartition]kafka.Offset
	next   map[kafka.TopicPartition]kafka.Offset
	reads  map[kafka.TopicPartition]*history.FinalRead
}

func (a *audit) read(ctx context.Context, cl *kgo.Client) error {
	var last error
	for {
		missing := a.missing()
		if missing == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("audit: %w did not come in time; last error: %v", missing, last)
		}
		fetches := cl.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			last = fmt.Errorf("%s-%d: %w", e.Topic, e.Partition, e.Err)
		}
		a.ledger.Do(func(*history.Checker) { fetches.EachRecord(a.record) })
	}
}

// missing is an error that names a partition which was not read to its end.
func (a *audit) missing() error {
	for tp, end := range a.ends {
		if a.next[tp] < end {
			return fmt.Errorf("%s from offset %d to %d", tp, a.next[tp], end)
		}
	}
	return nil
}

func (a *audit) record(r *kgo.Record) {
	tp := kafka.TopicPartition{Topic: r.Topic, Partition: kafka.PartitionIndex(r.Partition)}
	offset := kafka.Offset(r.Offset)
	if offset >= a.ends[tp] {
		return
	}
	a.next[tp] = offset.Add(1)
	if v, err := history.Decode(r.Value); err != nil {
		a.reads[tp].PollCorrupt(offset, err)
	} else {
		a.reads[tp].Poll(offset, v)
	}
}

// patienceForTopic is how long a topic may be unknown after a restart before it
// counts as gone, with all that was in it.
const patienceForTopic = 5 * time.Second

// endOffsets asks for the end of every partition until each has answered. A
// partition that stays unknown ends at 0.
func endOffsets(ctx context.Context, adm *kadm.Client, topics []Topic) (map[kafka.TopicPartition]kafka.Offset, error) {
	last := errors.New("no answer")
	gone := time.Now().Add(patienceForTopic)
	for ctx.Err() == nil {
		out := map[kafka.TopicPartition]kafka.Offset{}
		ends, err := adm.ListEndOffsets(ctx, namesOf(topics)...)
		if err == nil {
			err = ends.Error()
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) && time.Now().After(gone) {
			err = nil
		}
		if err != nil {
			last = err
			wait(ctx, 50*time.Millisecond)
			continue
		}
		for _, tp := range partitionsOf(topics) {
			out[tp] = 0
		}
		ends.Each(func(o kadm.ListedOffset) {
			if o.Err != nil {
				return
			}
			out[kafka.TopicPartition{Topic: o.Topic, Partition: kafka.PartitionIndex(o.Partition)}] = kafka.Offset(o.Offset)
		})
		return out, nil
	}
	return nil, fmt.Errorf("end offsets: %w", last)
}
