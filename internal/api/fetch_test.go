package api

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/partition"
	"holdfast/internal/wire"
)

// The reply of Fetch is encoded by hand, because records leave as file ranges.
// Goal: for every version it is what the generated decoder reads back.
func TestFetch_HandEncodingIsWhatTheCodecReads(t *testing.T) {
	marks := partition.Offsets{LogStart: 3, LastStable: 9, HighWatermark: 10, Epoch: 4, Leading: true}
	type one struct {
		name string
		id   byte
		part int32
		res  partition.ReadResult
	}
	cases := map[string][]one{
		"no partition":       nil,
		"one partition":      {{"a", 1, 0, partition.ReadResult{Offsets: marks}}},
		"an error":           {{"a", 1, 2, partition.ReadResult{Code: kafka.ErrUnknownTopicOrPartition}}},
		"several partitions": {{"a", 1, 0, partition.ReadResult{Offsets: marks}}, {"a", 1, 1, partition.ReadResult{Code: kafka.ErrOffsetOutOfRange}}, {"b", 2, 7, partition.ReadResult{Offsets: marks}}},
		"a divergence":       {{"a", 1, 0, partition.ReadResult{Offsets: marks, Diverging: &partition.EpochEnd{Epoch: 2, End: 5}}}},
	}
	for name, list := range cases {
		for version := int16(4); version <= 18; version++ {
			for _, committed := range []bool{false, true} {
				f := &fetching{request: Request{Header: wire.RequestHeader{Key: wire.KeyFetch, Version: version, CorrelationID: 77}}, q: wire.NewFetchRequest()}
				if committed {
					f.q.IsolationLevel = 1
				}
				b := &building{reply: NewReply(&f.request), version: version}
				head := len(b.reply.buf)
				b.head(f)
				for _, o := range list {
					k := f.key(o.name, [16]byte{o.id}, o.part)
					b.enterTopic(k)
					b.partition(f, wantedPartition{key: k}, answered{ReadResult: o.res, preferred: kafka.NoBroker, hint: noHint})
				}
				reply := b.seal(f)
				var got wire.FetchResponse
				if err := got.Decode(reply.buf[head:], version); err != nil {
					t.Fatalf("%s, version %d: %v", name, version, err)
				}
				var want []string
				for _, o := range list {
					hw, start := int64(o.res.Offsets.HighWatermark), int64(o.res.Offsets.LogStart)
					if o.res.Code != kafka.ErrNone {
						hw, start = -1, -1
					}
					if version < 5 {
						start = -1
					}
					topic, diverging := o.name, "-1/-1"
					if version >= 13 {
						topic = fmt.Sprint(o.id)
					}
					if o.res.Diverging != nil && version >= 12 {
						diverging = fmt.Sprintf("%d/%d", o.res.Diverging.Epoch, o.res.Diverging.End)
					}
					want = append(want, fmt.Sprintf("%s %d %d %d %d %s %v", topic, o.part, int16(o.res.Code), hw, start, diverging, committed))
				}
				if d := cmp.Diff(want, flatten(&got, version)); d != "" {
					t.Errorf("%s, version %d: %s", name, version, d)
				}
			}
		}
	}
}

func flatten(r *wire.FetchResponse, version int16) (out []string) {
	for _, topic := range r.Topics {
		name := topic.Topic
		if version >= 13 {
			name = fmt.Sprint(topic.TopicID[0])
		}
		for _, p := range topic.Partitions {
			out = append(out, fmt.Sprintf("%s %d %d %d %d %d/%d %v", name, p.Partition, p.ErrorCode, p.HighWatermark, p.LogStartOffset,
				p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset, p.AbortedTransactions != nil))
		}
	}
	return out
}

func TestSessions_AreBoundedTogether(t *testing.T) {
	s := newSessions(3)
	list := func(n int) (out []wantedPartition) {
		for i := range n {
			out = append(out, wantedPartition{key: sessionKey{name: "t", id: kafka.TopicIDPartition{Partition: kafka.PartitionIndex(i)}}})
		}
		return out
	}
	first := s.open(kafka.Anonymous, false, list(10))
	for range 3 {
		s.open(kafka.Anonymous, false, list(1))
	}
	if s.len() != 3 || s.find(first.id, kafka.Anonymous) != nil {
		t.Errorf("%d sessions, the oldest one there: %v", s.len(), s.find(first.id, kafka.Anonymous) != nil)
	}
	if s.open(kafka.Anonymous, false, list(sessionPartitionsMax+1)) != nil {
		t.Error("a session of more partitions than all together may have")
	}
	big := s.open(kafka.Anonymous, false, list(sessionPartitionsMax))
	if big == nil || s.len() != 1 {
		t.Fatalf("%d sessions beside one that takes all the room", s.len())
	}
	big.set(wantedPartition{key: sessionKey{name: "u"}})
	if s.recount(big) || s.len() != 0 {
		t.Error("a session grew beyond the bound and was kept")
	}
	if s.mu.total != 0 {
		t.Errorf("%d partitions counted with no session open", s.mu.total)
	}
}

func TestAcksPolicy(t *testing.T) {
	for _, tc := range []struct {
		policy string
		acks   int16
		want   acksRule
	}{
		{"upgrade", -1, acksRule{wait: partition.WaitISR}},
		{"upgrade", 1, acksRule{wait: partition.WaitISR, atLeast: acksUpgradeMin}},
		{"upgrade", 0, acksRule{wait: partition.WaitNone}},
		{"warn", -1, acksRule{wait: partition.WaitISR}},
		{"warn", 1, acksRule{wait: partition.WaitLocal, warn: true}},
		{"warn", 0, acksRule{wait: partition.WaitNone, warn: true}},
		{"allow", -1, acksRule{wait: partition.WaitISR}},
		{"allow", 1, acksRule{wait: partition.WaitLocal}},
		{"allow", 0, acksRule{wait: partition.WaitNone}},
		{"reject", -1, acksRule{wait: partition.WaitISR}},
		{"reject", 1, acksRule{wait: partition.WaitLocal, refuse: true}},
		{"reject", 0, acksRule{wait: partition.WaitNone, refuse: true}},
	} {
		c, err := config.ResolveTopic(nil, map[string]string{"acks.policy": tc.policy})
		if err != nil {
			t.Fatal(err)
		}
		if got := acksPolicy(c.AcksPolicy, tc.acks); got != tc.want {
			t.Errorf("acks.policy=%s, acks=%d: %+v, want %+v", tc.policy, tc.acks, got, tc.want)
		}
	}
}
