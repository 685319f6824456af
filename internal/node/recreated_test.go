package node_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"holdfast/internal/clock"
	"holdfast/internal/vfs"
)

// TestRecreated_WhileTheBrokerIsBehind: a topic is deleted and made again while
// the broker is busy with another one for longer than the answers wait. A producer
// that names the topic must not be acknowledged for the old one, which is about to
// go with everything in it.
func TestRecreated_WhileTheBrokerIsBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 3)
		r.mustStart()
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "t", 1)
		r.produceN(c, "t", 0, 3)

		r.ground.Disk.SetLatency(clock.Real{}, func(op vfs.Op, name string, _ int) time.Duration {
			if op == vfs.OpSyncDir && name == dataDir+"/slow-0" {
				return 40 * time.Second
			}
			return 0
		})
		r.createTopic(c, "slow", 1)
		r.deleteTopic("t")
		r.createTopic(c, "t", 1)
		// Up to version 12, Produce names topics.
		byName := r.client(kgo.MaxVersions(kversion.V3_8_0()))
		defer byName.Close()
		want := 0
		if err := produceOne(byName, "t", "new"); err == nil {
			want = 1
		}
		<-time.After(time.Minute)
		if got, err := r.readAll("t", 0); err != nil || len(got) != want {
			t.Fatalf("%d records, acknowledged %d, %v", len(got), want, err)
		}
		fresh := r.client() // the other one remembers the id
		defer fresh.Close()
		r.produceN(fresh, "t", 0, 3)
	})
}
