package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestNode_ServesARealClient walks through what a client does, across a restart
// in order.
func TestNode_ServesARealClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.slowDisk(1)
		r.mustStart()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "t", 2)
		r.produceN(c, "t", 0, 10)

		one := r.client(kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
		defer one.Close()
		r.produceN(one, "t", 10, 5)
		none := r.client(kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
		defer none.Close()
		r.produceN(none, "t", 15, 5)
		<-time.After(time.Second)

		got, err := r.readAll("t", 0)
		if err != nil {
			t.Fatal(err)
		}
		wantValues(t, got, numbers(0, 20))

		admin := kadm.NewClient(c)
		at, err := admin.ListOffsetsAfterMilli(context.Background(), got[12].Timestamp.UnixMilli(), "t")
		if o, _ := at.Lookup("t", 0); err != nil || o.Offset > 12 || got[o.Offset].Timestamp.UnixMilli() < got[12].Timestamp.UnixMilli() {
			t.Errorf("offset for the time of record 12: %+v, %v", o, err)
		}
		deleted, err := admin.DeleteRecords(context.Background(), kadm.Offsets{"t": {0: {Topic: "t", Partition: 0, At: 7}}})
		if err != nil || deleted["t"][0].Err != nil || deleted["t"][0].LowWatermark != 7 {
			t.Errorf("delete records: %+v, %v", deleted, err)
		}
		if err := r.stop(); err != nil {
			t.Fatalf("stop: %v", err)
		}
		r.mustStart()
		r.produceN(c, "t", 20, 3) // the same producer, across the restart
		got, err = r.readAll("t", 0)
		if err != nil {
			t.Fatal(err)
		}
		wantValues(t, got, numbers(7, 23))
		if got[0].Offset != 7 || got[len(got)-1].Offset != 22 {
			t.Errorf("offsets %d to %d, want 7 to 22", got[0].Offset, got[len(got)-1].Offset)
		}
		if err := r.stop(); err != nil {
			t.Fatalf("second stop: %v", err)
		}
	})
}

// TestNode_TopicsComeAndGo: a topic that was deleted takes its records along,
// also when one of the same name is made, and across restarts.
func TestNode_TopicsComeAndGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 2)
		r.mustStart()
		c := r.client()
		defer c.Close()
		admin := kadm.NewClient(c)
		for i := range 3 {
			r.createTopic(c, "t", 1)
			p := r.client()
			r.produceN(p, "t", 0, 3+i)
			p.Close()
			r.kill(uint64(i))
			r.mustStart()
			got, err := r.readAll("t", 0)
			if err != nil {
				t.Fatal(err)
			}
			wantValues(t, got, numbers(0, 3+i))
			if _, err := admin.DeleteTopic(context.Background(), "t"); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r.mustStart()
		topics, err := admin.ListTopics(context.Background())
		if err != nil || len(topics) != 0 {
			t.Errorf("topics %v, %v, want none", topics.Names(), err)
		}
		_ = r.stop()
	})
}

// TestNode_FailedStartLeavesNothingOpen: after a start that failed the next one
// finds the port and the lock free.
func TestNode_FailedStartLeavesNothingOpen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for k := range 40 {
			r := newRig(t, uint64(k))
			r.ground.Disk.CrashAfter(3 * k)
			if err := r.start(); err == nil {
				r.ground.Disk.CrashAfter(-1)
				_ = r.stop()
				continue
			}
			r.ground = r.ground.Crash(uint64(k))
			if err := r.start(); err != nil {
				t.Errorf("start after one that failed at operation %d: %v", 3*k, err)
				continue
			}
			c := r.client()
			r.createTopic(c, fmt.Sprint("t", k), 1)
			c.Close()
			if err := r.stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
	})
}
