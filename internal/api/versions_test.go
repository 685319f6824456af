package api_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// rows are the APIs as the broker names them.
func rows(c *conn) []kmsg.ApiVersionsResponseApiKey {
	c.t.Helper()
	q := kmsg.NewPtrApiVersionsRequest()
	return ask[*kmsg.ApiVersionsResponse](c, q).ApiKeys
}

// empty is the default request of a key and version, as a client encodes it.
func empty(key, version int16) kmsg.Request {
	q := kmsg.RequestForKey(key)
	q.SetVersion(version)
	switch q := q.(type) {
	case *kmsg.ApiVersionsRequest:
		q.ClientSoftwareName, q.ClientSoftwareVersion = "test", "1.0"
	case *kmsg.ProduceRequest:
		q.Acks = -1 // 0 has no answer
	}
	return q
}

// TestEveryAdvertisedVersion: each is answered, in a form that a client's library
// reads to the last byte; Produce below 3 is advertised for looks and closes.
func TestEveryAdvertisedVersion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		all := rows(c)
		if len(all) < 15 {
			t.Errorf("%d APIs", len(all))
		}
		for _, row := range all {
			for v := row.MinVersion; v <= row.MaxVersion; v++ {
				x := l.dial()
				q := empty(row.ApiKey, v)
				x.send(q)
				_, err := x.answer(q)
				closes := row.ApiKey == 0 && v < 3
				if closes != errors.Is(err, errClosed) || !closes && err != nil {
					t.Errorf("%s version %d: %v", kmsg.NameForKey(row.ApiKey), v, err)
				}
				_ = x.c.Close()
			}
		}
	})
}

// TestBeyondTheAdvertised: a version that is not advertised closes the
// connection; ApiVersions is answered in version 0 (KIP-511).
func TestBeyondTheAdvertised(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		for _, row := range rows(c) {
			for _, v := range []int16{row.MinVersion - 1, row.MaxVersion + 1, 99} {
				x := l.dial()
				b := frame(empty(row.ApiKey, row.MinVersion), 7)
				b[6], b[7] = byte(v>>8), byte(v)
				_, _ = x.c.Write(b)
				id, reply, err := x.read()
				if row.ApiKey != int16(kmsg.ApiVersions) {
					if !errors.Is(err, errClosed) {
						t.Errorf("%s version %d: %v", kmsg.NameForKey(row.ApiKey), v, err)
					}
					continue
				}
				p := kmsg.NewPtrApiVersionsResponse()
				if err != nil || id != 7 || p.ReadFrom(reply) != nil || p.ErrorCode != 35 || len(p.ApiKeys) == 0 {
					t.Errorf("ApiVersions version %d: %v, id %d, code %d, %d keys", v, err, id, p.ErrorCode, len(p.ApiKeys))
				}
				_ = x.c.Close()
			}
		}
	})
}

// TestMalformedBodiesClose: a byte too many or too few ends the connection, and
// only that one.
func TestMalformedBodiesClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		for _, row := range rows(c) {
			for v := row.MinVersion; v <= row.MaxVersion; v++ {
				whole := frame(empty(row.ApiKey, v), 1)
				body := len(whole) - 4 - 2 - 2 - 4 - 6
				for name, b := range map[string][]byte{"long": append(whole[:len(whole):len(whole)], 0x55), "short": whole[:len(whole)-1]} {
					if name == "short" && (body <= 1 || row.ApiKey == int16(kmsg.ApiVersions)) {
						continue // nothing of the body is left to cut
					}
					b = append([]byte{}, b...)
					b[0], b[1], b[2], b[3] = 0, 0, byte((len(b)-4)>>8), byte(len(b)-4)
					x := l.dial()
					_, _ = x.c.Write(b)
					if _, reply, err := x.read(); !errors.Is(err, errClosed) {
						t.Errorf("%s version %d, %s: %d bytes, %v", kmsg.NameForKey(row.ApiKey), v, name, len(reply), err)
					}
					_ = x.c.Close()
				}
			}
		}
		rows(c) // the other connection lives
	})
}

// TestReplicaIDsAreRefused: whoever claims to be a replica is no client.
func TestReplicaIDsAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		var all []kmsg.Request
		for v := int16(4); v <= 18; v++ {
			q := kmsg.NewPtrFetchRequest()
			q.Version = v
			if v < 15 {
				q.ReplicaID = 0
			} else {
				q.ReplicaState.ID = 0
			}
			all = append(all, q)
		}
		lo := kmsg.NewPtrListOffsetsRequest()
		lo.Version, lo.ReplicaID = 7, 2
		ep := kmsg.NewPtrOffsetForLeaderEpochRequest()
		ep.Version, ep.ReplicaID = 4, 1
		for _, q := range append(all, lo, ep) {
			x := l.dial()
			x.send(q)
			if _, err := x.answer(q); !errors.Is(err, errClosed) {
				t.Errorf("%T version %d: %v", q, q.GetVersion(), err)
			}
			_ = x.c.Close()
		}
	})
}

// TestMetadata_EveryVersion: what each version says about one topic, about all,
// about none and about a missing one.
func TestMetadata_EveryVersion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		id := c.createTopic("t", 3)
		for v := int16(0); v <= 13; v++ {
			name := fmt.Sprint("version ", v)
			q := kmsg.NewPtrMetadataRequest()
			q.Version = v
			all := ask[*kmsg.MetadataResponse](c, q)
			if len(all.Topics) != 1 || len(all.Topics[0].Partitions) != 3 || len(all.Brokers) != 1 || all.Brokers[0].Host != "broker" || all.Brokers[0].Port != 9092 {
				t.Errorf("%s, all: %+v", name, all)
			}
			if v >= 1 {
				q.Topics = []kmsg.MetadataRequestTopic{}
				if none := ask[*kmsg.MetadataResponse](c, q); len(none.Topics) != 0 {
					t.Errorf("%s, none: %+v", name, none.Topics)
				}
			}
			missing := "missing"
			x := kmsg.NewMetadataRequestTopic()
			x.Topic = &missing
			q.Topics = []kmsg.MetadataRequestTopic{x}
			if p := ask[*kmsg.MetadataResponse](c, q); p.Topics[0].ErrorCode != 3 || len(p.Topics[0].Partitions) != 0 {
				t.Errorf("%s, missing: %+v", name, p.Topics)
			}
			if v >= 12 {
				x = kmsg.NewMetadataRequestTopic()
				x.TopicID = id
				q.Topics = []kmsg.MetadataRequestTopic{x}
				if p := ask[*kmsg.MetadataResponse](c, q); p.Topics[0].ErrorCode != 0 || *p.Topics[0].Topic != "t" || p.Topics[0].TopicID != id {
					t.Errorf("%s, by id: %+v", name, p.Topics)
				}
				x.TopicID = [16]byte{9}
				q.Topics = []kmsg.MetadataRequestTopic{x}
				if p := ask[*kmsg.MetadataResponse](c, q); p.Topics[0].ErrorCode != 100 {
					t.Errorf("%s, by a strange id: %+v", name, p.Topics)
				}
			}
		}
	})
}
