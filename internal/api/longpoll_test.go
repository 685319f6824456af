package api_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// fetchFrom asks one partition of "t", without a session.
func fetchFrom(offset int64, change func(*kmsg.FetchRequest)) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.Version, q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.SessionEpoch = 12, 10_000, 1, 1<<20, -1
	x := kmsg.NewFetchRequestTopic()
	x.Topic = "t"
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch, p.LastFetchedEpoch = offset, 1<<20, -1, -1
	x.Partitions = append(x.Partitions, p)
	q.Topics = append(q.Topics, x)
	if change != nil {
		change(q)
	}
	return q
}

// bases are the base offsets of the batches in a reply's only partition.
func bases(t *testing.T, p *kmsg.FetchResponse) (out []int64) {
	t.Helper()
	b := p.Topics[0].Partitions[0].RecordBatches
	for len(b) > 0 {
		h, err := record.ParseHeader(b)
		if err != nil || h.Size() > len(b) {
			t.Fatalf("not whole batches: %v", err)
		}
		out, b = append(out, int64(h.BaseOffset)), b[h.Size():]
	}
	return out
}

// TestFetch_WaitsWithoutPolling: what ends the wait of a fetch, and when.
func TestFetch_WaitsWithoutPolling(t *testing.T) {
	size := int32(len(batch("value")))
	cases := []struct {
		name    string
		change  func(*kmsg.FetchRequest)
		produce []time.Duration // when a batch is committed, after the fetch
		answer  time.Duration   // when the fetch is answered
		batches int
	}{
		{"data wakes", nil, []time.Duration{time.Second}, time.Second, 1},
		{"nothing comes", nil, nil, 10 * time.Second, 0},
		{"no wait asked for", func(q *kmsg.FetchRequest) { q.MaxWaitMillis = 0 }, nil, 0, 0},
		{"min bytes 0", func(q *kmsg.FetchRequest) { q.MinBytes = 0 }, nil, 0, 0},
		{"min bytes of two batches", func(q *kmsg.FetchRequest) { q.MinBytes = size + 1 }, []time.Duration{time.Second, 2 * time.Second}, 2 * time.Second, 2},
		{"min bytes never reached", func(q *kmsg.FetchRequest) { q.MinBytes = 1000 }, []time.Duration{time.Second}, 10 * time.Second, 1},
		{"min bytes above max bytes", func(q *kmsg.FetchRequest) { q.MinBytes, q.MaxBytes = 1000, 10 }, []time.Duration{time.Second}, time.Second, 1},
		{"an unknown partition", func(q *kmsg.FetchRequest) { q.Topics[0].Partitions[0].Partition = 7 }, nil, 0, 0},
		{"out of range", func(q *kmsg.FetchRequest) { q.Topics[0].Partitions[0].FetchOffset = 99 }, nil, 0, 0},
		{"a newer epoch than ours", func(q *kmsg.FetchRequest) { q.Topics[0].Partitions[0].CurrentLeaderEpoch = 99 }, nil, 0, 0},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := startLive(t)
				defer l.stop()
				c, w := l.dial(), l.dial()
				defer c.c.Close()
				defer w.c.Close()
				c.createTopic("t", 1)
				began := time.Now()
				q := fetchFrom(0, tc.change)
				c.send(q)
				done := make(chan struct{})
				go func() {
					defer close(done)
					for _, at := range tc.produce {
						<-time.After(at - time.Since(began))
						ask[*kmsg.ProduceResponse](w, produceTo(9, -1, "t", one("value")))
					}
				}()
				p, err := c.answer(q)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took != tc.answer {
					t.Errorf("answered after %v, want %v", took, tc.answer)
				}
				if got := bases(t, p.(*kmsg.FetchResponse)); len(got) != tc.batches {
					t.Errorf("batches at %v, want %d", got, tc.batches)
				}
				<-done
			})
		})
	}
}

// TestFetch_Limits: at least one whole batch, whatever the limits; after that
// they count; an offset inside a batch gets the whole batch.
func TestFetch_Limits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		c.createTopic("t", 1)
		for range 4 {
			ask[*kmsg.ProduceResponse](c, produceTo(9, -1, "t", one("a", "b", "c")))
		}
		size := int32(len(batch("a", "b", "c")))
		limit := func(total, part int32) func(*kmsg.FetchRequest) {
			return func(q *kmsg.FetchRequest) { q.MaxBytes, q.Topics[0].Partitions[0].PartitionMaxBytes = total, part }
		}
		cases := []struct {
			from   int64
			change func(*kmsg.FetchRequest)
			first  int64
			n      int
		}{
			{0, limit(1, 1), 0, 1},
			{4, limit(1<<20, 1), 3, 1},
			{3, limit(2*size, 1<<20), 3, 2},
			{0, limit(1<<20, 3*size+size/2), 0, 3},
			{5, limit(1<<20, 1<<20), 3, 3},
			{11, nil, 9, 1},
		}
		for i, tc := range cases {
			got := bases(t, ask[*kmsg.FetchResponse](c, fetchFrom(tc.from, tc.change)))
			if len(got) != tc.n || got[0] != tc.first {
				t.Errorf("case %d: batches at %v, want %d from %d", i, got, tc.n, tc.first)
			}
		}
	})
}

// TestFetch_Sessions walks through a session (KIP-227).
func TestFetch_Sessions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		c.createTopic("t", 3)
		part := func(index int32, offset int64) kmsg.FetchRequestTopicPartition {
			p := fetchFrom(offset, nil).Topics[0].Partitions[0]
			p.Partition = index
			return p
		}
		session := func(id, epoch int32, parts ...kmsg.FetchRequestTopicPartition) *kmsg.FetchResponse {
			q := fetchFrom(0, nil)
			q.SessionID, q.SessionEpoch, q.MaxWaitMillis = id, epoch, 0
			if q.Topics[0].Partitions = parts; len(parts) == 0 {
				q.Topics = nil
			}
			return ask[*kmsg.FetchResponse](c, q)
		}
		entries := func(p *kmsg.FetchResponse) (out []int32) {
			for _, x := range p.Topics {
				for _, y := range x.Partitions {
					out = append(out, y.Partition)
				}
			}
			return out
		}
		want := func(what string, p *kmsg.FetchResponse, parts ...int32) {
			t.Helper()
			got := entries(p)
			if p.ErrorCode != 0 || len(got) != len(parts) || len(got) > 0 && got[0] != parts[0] {
				t.Errorf("%s: code %d, partitions %v, want %v", what, p.ErrorCode, got, parts)
			}
		}
		opened := session(0, 0, part(0, 0), part(1, 0))
		want("a full fetch tells everything", opened, 0, 1)
		id := opened.SessionID
		if id == 0 {
			t.Fatal("no session")
		}
		want("nothing has changed", session(id, 1))
		ask[*kmsg.ProduceResponse](c, produceTo(9, -1, "t", map[int32][]byte{1: batch("v")}))
		want("only what changed", session(id, 2), 1)
		want("not consumed yet: told again", session(id, 3), 1)
		want("a position that moved", session(id, 4, part(1, 1)))
		want("a partition more", session(id, 5, part(2, 0)), 2)
		q := fetchFrom(0, nil)
		q.SessionID, q.SessionEpoch, q.MaxWaitMillis, q.Topics = id, 6, 0, nil
		q.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "t", Partitions: []int32{1}}}
		want("a partition less", ask[*kmsg.FetchResponse](c, q))
		ask[*kmsg.ProduceResponse](c, produceTo(9, -1, "t", map[int32][]byte{1: batch("v"), 2: batch("v")}))
		want("the forgotten one stays so", session(id, 7), 2)
		for epoch, code := range map[int32]kafka.ErrorCode{7: kafka.ErrInvalidFetchSessionEpoch, 12: kafka.ErrInvalidFetchSessionEpoch} {
			if p := session(id, epoch); kafka.ErrorCode(p.ErrorCode) != code {
				t.Errorf("epoch %d: %d, want %d", epoch, p.ErrorCode, code)
			}
		}
		if p := session(id+77, 3); kafka.ErrorCode(p.ErrorCode) != kafka.ErrFetchSessionIDNotFound {
			t.Errorf("an unknown session: %d", p.ErrorCode)
		}
		want("closing", session(id, -1, part(0, 0)), 0)
		if p := session(id, 8); kafka.ErrorCode(p.ErrorCode) != kafka.ErrFetchSessionIDNotFound {
			t.Errorf("a closed session: %d", p.ErrorCode)
		}
	})
}

// TestFetch_Settings: fetch.max.bytes outranks the client, and sessions end where
// the setting says: the one that was used longest ago gives way, and with no
// places a fetch is answered without one.
func TestFetch_Settings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t, config.Setting{Key: "fetch.max.bytes", Value: "1024"}, config.Setting{Key: "max.incremental.fetch.session.cache.slots", Value: "2"})
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		c.createTopic("t", 1)
		for range 4 {
			ask[*kmsg.ProduceResponse](c, produceTo(9, -1, "t", one(string(make([]byte, 400)))))
		}
		if got := bases(t, ask[*kmsg.FetchResponse](c, fetchFrom(0, nil))); len(got) != 2 {
			t.Errorf("batches at %v, want the two that 1024 bytes hold", got)
		}
		var ids []int32
		for range 3 {
			ids = append(ids, ask[*kmsg.FetchResponse](c, fetchFrom(0, func(q *kmsg.FetchRequest) { q.SessionEpoch = 0 })).SessionID)
		}
		for i, id := range ids {
			p := ask[*kmsg.FetchResponse](c, fetchFrom(0, func(q *kmsg.FetchRequest) { q.SessionID, q.SessionEpoch = id, 1 }))
			if gone := kafka.ErrorCode(p.ErrorCode) == kafka.ErrFetchSessionIDNotFound; gone != (i == 0) {
				t.Errorf("session %d of 3 with two places: %d", i, p.ErrorCode)
			}
		}
	})
	bubble(t, func(t *testing.T) {
		l := startLive(t, config.Setting{Key: "max.incremental.fetch.session.cache.slots", Value: "0"})
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		c.createTopic("t", 1)
		ask[*kmsg.ProduceResponse](c, produceTo(9, -1, "t", one("v")))
		p := ask[*kmsg.FetchResponse](c, fetchFrom(0, func(q *kmsg.FetchRequest) { q.SessionEpoch = 0 }))
		if p.SessionID != 0 || len(bases(t, p)) != 1 {
			t.Errorf("%+v", p)
		}
	})
}
