package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/kafka"
)

// marks are the log start and the high watermark of partition 0.
func (r *rig) marks(c *kgo.Client, topic string) (start, end int64) {
	r.t.Helper()
	admin := kadm.NewClient(c)
	starts, err := admin.ListStartOffsets(context.Background(), topic)
	if err != nil {
		r.t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(context.Background(), topic)
	if err != nil {
		r.t.Fatal(err)
	}
	s, _ := starts.Lookup(topic, 0)
	e, _ := ends.Lookup(topic, 0)
	return s.Offset, e.Offset
}

// fetchCode is how a fetch of one offset is answered.
func (r *rig) fetchCode(c *kgo.Client, topic string, offset int64) kafka.ErrorCode {
	r.t.Helper()
	topics, err := kadm.NewClient(c).ListTopics(context.Background(), topic)
	if err != nil {
		r.t.Fatal(err)
	}
	q := kmsg.NewPtrFetchRequest()
	q.Version, q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.SessionEpoch = 11, 0, 1, 1<<20, -1
	x := kmsg.NewFetchRequestTopic()
	x.Topic, x.TopicID = topic, topics[topic].ID // the client chooses the version
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = offset, 1<<20, -1
	x.Partitions = append(x.Partitions, p)
	q.Topics = append(q.Topics, x)
	got := request[*kmsg.FetchResponse](r.t, c, q)
	return kafka.ErrorCode(got.Topics[0].Partitions[0].ErrorCode)
}

// TestRetention_UnderLoad: segments go by size and by age while records come in.
// The log start only rises and never passes what may go; below it readers are
// told OFFSET_OUT_OF_RANGE; from it on every acknowledged record is there, also
// after a power cut.
func TestRetention_UnderLoad(t *testing.T) {
	for name, settings := range map[string][]string{
		"bytes": {"retention.bytes", "4194304", "retention.ms", "-1"},
		"age":   {"retention.bytes", "-1", "retention.ms", "20000"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, 1, "log.retention.check.interval.ms", "700")
				r.slowDisk(1)
				r.mustStart()
				defer func() { _ = r.stop() }()
				c := r.client(kgo.ProducerLinger(0), kgo.MaxBufferedRecords(50))
				defer c.Close()
				admin := r.client()
				defer admin.Close()
				r.createTopic(c, "t", 1, append(settings, "segment.bytes", "1048576", "file.delete.delay.ms", "1000")...)
				h := newHistory(1)
				made, last := map[int64]time.Time{}, int64(0)
				for step := range 60 {
					for range 20 {
						h.produce(c, "t", 0, make([]byte, 20_000))
						<-time.After(50 * time.Millisecond)
					}
					start, end := r.marks(admin, "t")
					made[end] = time.Now()
					if start < last || start > end {
						t.Fatalf("step %d: log start %d after %d, end %d", step, start, last, end)
					}
					if name == "bytes" && start > last && (end-start)*20_000 < 4<<20-1<<20 {
						t.Errorf("step %d: %d bytes are left of 4 MiB", step, (end-start)*20_000)
					}
					if name == "age" {
						for offset, at := range made {
							if offset <= start-60 && time.Since(at) < 18*time.Second {
								t.Errorf("step %d: offset %d was deleted after %v", step, offset, time.Since(at))
							}
						}
					}
					if last = start; start > 0 {
						if code := r.fetchCode(admin, "t", start-1); code != kafka.ErrOffsetOutOfRange {
							t.Errorf("a fetch below the log start: %v", code)
						}
					}
					if code := r.fetchCode(admin, "t", end-1); code != kafka.ErrNone {
						t.Errorf("a fetch of the newest record: %v", code)
					}
				}
				if err := c.Flush(context.Background()); err != nil {
					t.Fatal(err)
				}
				if last == 0 {
					t.Fatal("nothing was deleted; the test shows nothing")
				}
				checkFrom := func() {
					start, end := r.marks(admin, "t")
					if start < last {
						t.Errorf("log start %d after a restart, %d before", start, last)
					}
					got, err := r.readAll("t", 0)
					if err != nil {
						t.Fatal(err)
					}
					at := map[int64]string{}
					for _, rec := range got {
						at[rec.Offset] = string(rec.Value)
					}
					for value, offset := range h.acked[0] {
						if offset >= max(start, got[0].Offset) && at[offset] != value {
							t.Errorf("offset %d holds %q, %s was acknowledged", offset, at[offset], value)
						}
					}
					if got[0].Offset > end || got[len(got)-1].Offset != end-1 {
						t.Errorf("records [%d, %d] of [%d, %d)", got[0].Offset, got[len(got)-1].Offset, start, end)
					}
				}
				checkFrom()
				r.powerCut(7)
				r.mustStart()
				checkFrom()
			})
		})
	}
}

// TestFetch_DivergingEpoch: a consumer whose last leader epoch the log does not
// know as it does is told where they part (KIP-595, KIP-320), end to end.
func TestFetch_DivergingEpoch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 3)
		r.mustStart()
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "t", 1)
		r.produceN(c, "t", 0, 5) // epoch 0
		r.kill(9)
		r.mustStart()
		r.produceN(c, "t", 5, 5) // a later epoch
		fresh := r.client()      // the other one remembers the metadata of before
		defer fresh.Close()
		topics, err := kadm.NewClient(fresh).ListTopics(context.Background(), "t")
		if err != nil {
			t.Fatal(err)
		}
		id, epoch := topics["t"].ID, topics["t"].Partitions[0].LeaderEpoch
		if epoch < 1 {
			t.Fatalf("the epoch is %d after a restart", epoch)
		}
		fetch := func(offset int64, last int32) kmsg.FetchResponseTopicPartition {
			q := kmsg.NewPtrFetchRequest()
			q.Version, q.MinBytes, q.MaxBytes, q.SessionEpoch = 15, 1, 1<<20, -1
			x := kmsg.NewFetchRequestTopic()
			x.TopicID = id
			p := kmsg.NewFetchRequestTopicPartition()
			p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch, p.LastFetchedEpoch = offset, 1<<20, epoch, last
			x.Partitions = append(x.Partitions, p)
			q.Topics = append(q.Topics, x)
			return request[*kmsg.FetchResponse](t, c, q).Topics[0].Partitions[0]
		}
		for _, x := range []struct {
			offset     int64
			last       int32
			diverges   bool
			epoch      int32
			endsBefore int64
		}{
			{3, 0, false, 0, 0},     // inside epoch 0
			{5, 0, false, 0, 0},     // at its end
			{7, 0, true, 0, 5},      // beyond it
			{7, epoch, false, 0, 0}, // the present epoch
			{10, epoch, false, 0, 0},
		} {
			got := fetch(x.offset, x.last)
			diverged := got.DivergingEpoch.Epoch >= 0
			what := fmt.Sprintf("fetch at %d after epoch %d", x.offset, x.last)
			if kafka.ErrorCode(got.ErrorCode) != kafka.ErrNone || diverged != x.diverges {
				t.Errorf("%s: %v, diverging %+v", what, kafka.ErrorCode(got.ErrorCode), got.DivergingEpoch)
			}
			if diverged && (got.DivergingEpoch.Epoch != x.epoch || got.DivergingEpoch.EndOffset != x.endsBefore) {
				t.Errorf("%s: parts at %+v, want epoch %d to %d", what, got.DivergingEpoch, x.epoch, x.endsBefore)
			}
			if diverged && len(got.RecordBatches) > 0 {
				t.Errorf("%s: records beside a divergence", what)
			}
		}
	})
}
