package api_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/kafka"
)

// codes are the answers by partition, in the order of the response.
func codes(p *kmsg.ProduceResponse) (out []kafka.ErrorCode) {
	for _, t := range p.Topics {
		for _, x := range t.Partitions {
			out = append(out, kafka.ErrorCode(x.ErrorCode))
		}
	}
	return out
}

// TestProduce_AcksPolicies: what acks 0, 1 and -1 get under each acks.policy.
func TestProduce_AcksPolicies(t *testing.T) {
	const refused = int64(kafka.ErrInvalidRequiredAcks)
	cases := []struct {
		policy        string
		zero          bool  // acks=0 is taken, else the connection closes
		one, all, end int64 // codes, and the log end after all three
	}{
		{"upgrade", true, 0, 0, 3},
		{"warn", true, 0, 0, 3},
		{"allow", true, 0, 0, 3},
		{"reject", false, refused, 0, 1},
	}
	for _, tc := range cases {
		for _, durability := range []string{"fsync", "page-cache"} {
			t.Run(tc.policy+" "+durability, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					l := startLive(t)
					defer l.stop()
					l.slowSyncs(3 * time.Millisecond)
					c := l.dial()
					defer c.c.Close()
					c.createTopic("t", 1, "acks.policy", tc.policy, "durability", durability)
					for acks, want := range map[int16]int64{1: tc.one, -1: tc.all} {
						began := time.Now()
						p := ask[*kmsg.ProduceResponse](c, produceTo(9, acks, "t", one("v")))
						if got := int64(codes(p)[0]); got != want {
							t.Errorf("acks=%d: %d, want %d", acks, got, want)
						}
						took := time.Since(began)
						if waits := durability == "fsync" && want == 0; waits != (took >= 3*time.Millisecond) || took > time.Second {
							t.Errorf("acks=%d was answered after %v", acks, took)
						}
					}
					x := l.dial()
					defer x.c.Close()
					x.send(produceTo(9, 0, "t", one("v")))
					m := kmsg.NewPtrMetadataRequest()
					x.send(m)
					if _, err := x.answer(m); errors.Is(err, errClosed) == tc.zero {
						t.Errorf("acks=0: %v", err)
					}
					<-time.After(50 * time.Millisecond)
					if end := c.end("t"); end != tc.end {
						t.Errorf("log end %d, want %d", end, tc.end)
					}
				})
			})
		}
	}
}

// TestProduce_MixedOutcomes: each partition has its own answer in its own place,
// and a refusal of one does not keep another from being stored.
func TestProduce_MixedOutcomes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		id := c.createTopic("t", 2)
		torn := batch("torn")
		torn[len(torn)-1] ^= 1
		for v := int16(3); v <= 13; v++ {
			q := produceTo(v, -1, "t", map[int32][]byte{0: batch("a", "b"), 1: torn, 5: batch("c")})
			q.Topics[0].TopicID = id
			strange := kmsg.NewProduceRequestTopic()
			strange.Topic, strange.TopicID = "strange", [16]byte{7}
			strange.Partitions = append(strange.Partitions, q.Topics[0].Partitions[0])
			strange.Partitions[0].Records = batch("d")
			q.Topics = append(q.Topics, strange)
			p := ask[*kmsg.ProduceResponse](c, q)
			unknown := kafka.ErrUnknownTopicOrPartition
			if v >= 13 {
				unknown = kafka.ErrUnknownTopicID
			}
			want := []kafka.ErrorCode{kafka.ErrNone, kafka.ErrCorruptMessage, kafka.ErrUnknownTopicOrPartition, unknown}
			if got := codes(p); !slices.Equal(got, want) {
				t.Errorf("version %d: %v, want %v", v, got, want)
			}
			first := p.Topics[0].Partitions
			if base := int64(v-3) * 2; first[0].BaseOffset != base || first[1].BaseOffset != -1 || first[1].Partition != 1 || first[2].Partition != 5 {
				t.Errorf("version %d: %+v, want base offset %d", v, first, base)
			}
			if bad := int16(2); v == 9 {
				q.Acks = bad
				if got := codes(ask[*kmsg.ProduceResponse](c, q)); got[0] != kafka.ErrInvalidRequiredAcks || got[3] != kafka.ErrInvalidRequiredAcks {
					t.Errorf("acks=2: %v", got)
				}
			}
		}
		if end := c.end("t"); end != 22 {
			t.Errorf("log end %d, want 22", end)
		}
	})
}

// TestProduce_PipelinedFlushesOverlap: requests of one connection do not wait
// for each other's flush, and their answers come in order.
func TestProduce_PipelinedFlushesOverlap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		c.createTopic("t", 1)
		const flush, n = 10 * time.Millisecond, 30
		l.slowSyncs(flush)
		began := time.Now()
		first := c.last + 1
		q := produceTo(9, -1, "t", nil)
		for i := range n {
			q = produceTo(9, -1, "t", one(fmt.Sprint(i)))
			c.send(q)
		}
		for i := range n {
			id, _, err := c.read()
			if err != nil || id != first+int32(i) {
				t.Fatalf("reply %d has id %d, %v", i, id, err)
			}
		}
		if took := time.Since(began); took < flush || took > 4*flush {
			t.Errorf("%d pipelined requests took %v with flushes of %v", n, took, flush)
		}
		if end := c.end("t"); end != n {
			t.Errorf("log end %d", end)
		}
	})
}
