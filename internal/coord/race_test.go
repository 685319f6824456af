package coord

import (
	"log/slog"
	"testing"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/group"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/purgatory"
	"holdfast/internal/wire"
)

// TestCommit_OfATopicThatHasJustGone: who looked the topic up before it was
// deleted, and comes after its offsets were, commits nothing: nobody would ever
// delete that offset. The client is told to come again, and then hears that there
// is no such topic.
func TestCommit_OfATopicThatHasJustGone(t *testing.T) {
	c := New(Options{Image: meta.Empty, Clock: clock.Real{}, Log: slog.New(slog.DiscardHandler)})
	s := &shard{c: c}
	s.mu.state, s.mu.machine, s.mu.calls = active, group.New(group.Settings{RetentionCheck: time.Minute}), map[group.CallID]*Ticket{}
	s.mu.machine.Loaded(kafka.Timestamp(time.Now().UnixMilli()))
	c.shards.Store(&shards{count: 1, byID: map[int32]*shard{0: s}})
	q := wire.NewOffsetCommitRequest()
	q.Group, q.Generation = "g", -1
	q.Topics = []wire.OffsetCommitRequestTopic{{Topic: "t", TopicID: [16]byte{1}, Partitions: []wire.OffsetCommitRequestTopicPartition{{Partition: 0, Offset: 7}, {Partition: 1, Offset: 8}}}}
	ticket := c.Commit(purgatory.New(1, func() {}), 9, &q)
	o, ok := ticket.Outcome()
	if !ok || o.Code != kafka.ErrCoordinatorLoadInProgress {
		t.Errorf("outcome %+v (%v), want COORDINATOR_LOAD_IN_PROGRESS", o, ok)
	}
	if n := len(s.mu.machine.Topics()); n != 0 {
		t.Errorf("%d topics have offsets", n)
	}
	if len(s.mu.calls) != 0 {
		t.Errorf("%d calls are owed", len(s.mu.calls))
	}
}
