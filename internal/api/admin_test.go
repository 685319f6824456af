package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/vfs"
)

// TestDescribeTopicPartitions_Pages: whatever the size of a page, following the
// cursor shows every partition once and in order.
func TestDescribeTopicPartitions_Pages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		var want []string
		for i, n := range []int32{3, 1, 5} {
			name := fmt.Sprint("p", i)
			c.createTopic(name, n)
			for p := range n {
				want = append(want, fmt.Sprint(name, "-", p))
			}
		}
		for size := int32(1); size <= 10; size++ {
			q := kmsg.NewPtrDescribeTopicPartitionsRequest()
			q.ResponsePartitionLimit = size
			var got []string
			for pages := 0; ; pages++ {
				p := ask[*kmsg.DescribeTopicPartitionsResponse](c, q)
				inPage := int32(0)
				for _, topic := range p.Topics {
					for _, x := range topic.Partitions {
						got = append(got, fmt.Sprint(*topic.Topic, "-", x.Partition))
						inPage++
					}
				}
				if inPage > size || pages > len(want) {
					t.Fatalf("size %d: %d in page %d", size, inPage, pages)
				}
				if p.NextCursor == nil {
					break
				}
				q.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: p.NextCursor.Topic, Partition: p.NextCursor.Partition}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("size %d: %v", size, got)
			}
		}
	})
}

// TestAlterConfigs_ResourceTwice: Kafka never answers this; we refuse it.
func TestAlterConfigs_ResourceTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		c.createTopic("t", 1)
		one := alter(topicResource, "t", text("retention.ms"), text("1"))
		p := ask[*kmsg.AlterConfigsResponse](c, alterAll(false, one, one))
		if len(p.Resources) != 2 || p.Resources[0].ErrorCode != 42 || p.Resources[1].ErrorCode != 42 {
			t.Errorf("%+v", p.Resources)
		}
	})
}

// TestAlterReplicaLogDirs_Stay: a replica may be asked to stay where it is.
func TestAlterReplicaLogDirs_Stay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		c.createTopic("t", 1)
		d := kmsg.NewPtrDescribeLogDirsRequest()
		d.Version = 4
		dir := ask[*kmsg.DescribeLogDirsResponse](c, d).Dirs[0].Dir
		q := kmsg.NewPtrAlterReplicaLogDirsRequest()
		q.Version = 2
		q.Dirs = []kmsg.AlterReplicaLogDirsRequestDir{{Dir: dir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: "t", Partitions: []int32{0, 5}}}}}
		p := ask[*kmsg.AlterReplicaLogDirsResponse](c, q)
		if x := p.Topics[0].Partitions; x[0].ErrorCode != 0 || x[1].ErrorCode != 3 {
			t.Errorf("%+v", x)
		}
	})
}

// TestPushTelemetry: what comes under the subscription that was given is taken
// and dropped.
func TestPushTelemetry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		s := ask[*kmsg.GetTelemetrySubscriptionsResponse](c, kmsg.NewPtrGetTelemetrySubscriptionsRequest())
		if s.ErrorCode != 0 || s.ClientInstanceID == [16]byte{} || len(s.RequestedMetrics) != 0 {
			t.Fatalf("subscription: %+v", s)
		}
		q := kmsg.NewPtrPushTelemetryRequest()
		q.ClientInstanceID, q.SubscriptionID, q.Metrics = s.ClientInstanceID, s.SubscriptionID, []byte("x")
		if p := ask[*kmsg.PushTelemetryResponse](c, q); p.ErrorCode != 0 {
			t.Errorf("push: %d", p.ErrorCode)
		}
		q.Metrics = make([]byte, s.TelemetryMaxBytes+1)
		c.send(q)
		p, err := c.answer(q)
		if err == nil && p.(*kmsg.PushTelemetryResponse).ErrorCode != 118 {
			t.Errorf("too large: %+v", p)
		}
	})
}

// TestDescribeLogDirs_Failed: a directory that has stopped says so.
func TestDescribeLogDirs_Failed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		c := l.dial()
		defer c.c.Close()
		c.createTopic("t", 1)
		l.ground.Disk.Inject(vfs.Fault{Op: vfs.OpWrite | vfs.OpSync, Path: "holdfast.journal"})
		_ = ask[*kmsg.ProduceResponse](c, produceTo(9, -1, "t", one("v")))
		q := kmsg.NewPtrDescribeLogDirsRequest()
		q.Version = 4
		if d := ask[*kmsg.DescribeLogDirsResponse](c, q).Dirs[0]; d.ErrorCode != 56 || len(d.Topics) != 0 {
			t.Errorf("%+v", d)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = l.node.Stop(ctx) // says that the directory failed
	})
}

// TestDescribeConfigs_SaysWhatHasNoEffect: in the documentation.
func TestDescribeConfigs_SaysWhatHasNoEffect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		p := ask[*kmsg.DescribeConfigsResponse](c, describeAll(describe(brokerResource, "1", "num.io.threads", "num.partitions")))
		for _, x := range p.Resources[0].Configs {
			if says := strings.Contains(*x.Documentation, "without effect"); says != (x.Name == "num.io.threads") {
				t.Errorf("%s: %s", x.Name, *x.Documentation)
			}
		}
	})
}

// TestDynamicBrokerSettings: what a running broker is told counts from then on.
func TestDynamicBrokerSettings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		set := func(key, value string) {
			t.Helper()
			p := ask[*kmsg.IncrementalAlterConfigsResponse](c, incremental(brokerResource, "", 0, key, &value))
			if p.Resources[0].ErrorCode != 0 {
				t.Fatalf("%s: %s", key, *p.Resources[0].ErrorMessage)
			}
		}
		set("num.partitions", "4")
		c.createTopic("t", -1)
		if _, partitions := c.wants(12, false, "t"); partitions[0] != 4 {
			t.Errorf("num.partitions: %v", partitions)
		}
		set("delete.topic.enable", "false")
		d := kmsg.NewPtrDeleteTopicsRequest()
		d.Version, d.TimeoutMillis, d.Topics = 6, 1000, []kmsg.DeleteTopicsRequestTopic{{Topic: text("t")}}
		if p := ask[*kmsg.DeleteTopicsResponse](c, d); p.Topics[0].ErrorCode != 73 {
			t.Errorf("delete.topic.enable: %d", p.Topics[0].ErrorCode)
		}
		set("message.max.bytes", "100")
		if p := ask[*kmsg.ProduceResponse](c, produceTo(9, -1, "t", one(string(make([]byte, 500))))); p.Topics[0].Partitions[0].ErrorCode != 10 {
			t.Errorf("message.max.bytes: %d", p.Topics[0].Partitions[0].ErrorCode)
		}
		set("max.connections", "2")
		second, third := l.dial(), l.dial()
		defer second.c.Close()
		defer third.c.Close()
		rows(second)
		third.send(apiVersions())
		if _, _, err := third.read(); err == nil {
			t.Error("max.connections: the third is answered")
		}
	})
}
