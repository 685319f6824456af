package api_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/config"
)

// wants asks for topics by name and returns an error code for each.
func (c *conn) wants(version int16, create bool, names ...string) (codes []int16, partitions []int) {
	c.t.Helper()
	q := kmsg.NewPtrMetadataRequest()
	q.Version, q.AllowAutoTopicCreation = version, create
	for _, name := range names {
		q.Topics = append(q.Topics, kmsg.MetadataRequestTopic{Topic: text(name)})
	}
	for _, t := range ask[*kmsg.MetadataResponse](c, q).Topics {
		codes, partitions = append(codes, t.ErrorCode), append(partitions, len(t.Partitions))
	}
	return codes, partitions
}

// TestMetadata_AutoCreation: a topic comes into being when both the client and
// the broker allow it, with the broker's defaults, and can be written to at once.
func TestMetadata_AutoCreation(t *testing.T) {
	const unknown, invalid = 3, 17
	bubble(t, func(t *testing.T) {
		l := startLive(t, config.Setting{Key: "auto.create.topics.enable", Value: "true"}, config.Setting{Key: "num.partitions", Value: "3"})
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		for _, x := range []struct {
			what       string
			version    int16
			create     bool
			name       string
			code       int16
			partitions int
		}{
			{"the client does not allow it", 4, false, "a", unknown, 0},
			{"version 4 may say so", 4, true, "a", 0, 3},
			{"it stays", 12, false, "a", 0, 3},
			{"before version 4 it is meant", 3, false, "b", 0, 3},
			{"a bad name", 12, true, "a b", invalid, 0},
			{"a name that metrics cannot tell apart", 12, true, "x.y", 0, 3},
			{"from this one", 12, true, "x_y", unknown, 0},
			{"the internal topic of transactions", 12, true, "__transaction_state", unknown, 0},
			{"the internal topic of groups", 12, true, "__consumer_offsets", 0, 50},
		} {
			if codes, partitions := c.wants(x.version, x.create, x.name); codes[0] != x.code || partitions[0] != x.partitions {
				t.Errorf("%s: code %d, %d partitions", x.what, codes[0], partitions[0])
			}
		}
		if codes, _ := c.wants(12, true, "same", "same", "other"); codes[0] != 0 || codes[1] != 0 || codes[2] != 0 {
			t.Errorf("a name twice: %v", codes)
		}
		p := ask[*kmsg.ProduceResponse](c, produceTo(9, -1, "same", one("v")))
		if code := p.Topics[0].Partitions[0].ErrorCode; code != 0 {
			t.Errorf("produce: %d", code)
		}
	})
}

// TestMetadata_NoAutoCreation: the default, which a running broker can be told to
// change.
func TestMetadata_NoAutoCreation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		if codes, _ := c.wants(12, true, "a"); codes[0] != 3 {
			t.Errorf("off: code %d", codes[0])
		}
		q := incremental(brokerResource, "", 0, "auto.create.topics.enable", text("true"))
		if p := ask[*kmsg.IncrementalAlterConfigsResponse](c, q); p.Resources[0].ErrorCode != 0 {
			t.Fatalf("alter: %+v", p.Resources[0])
		}
		if codes, _ := c.wants(12, true, "a"); codes[0] != 0 {
			t.Errorf("on: code %d", codes[0])
		}
	})
}
