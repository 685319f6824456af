package node_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestManyPartitions_CrashWhileTheyAreMade: a topic of many partitions, whose logs
// are made together, is whole after a crash at any moment of its creation, if it
// was decided, and takes records in every partition that outlive the next crash.
func TestManyPartitions_CrashWhileTheyAreMade(t *testing.T) {
	const partitions = 12
	found := 0
	for k := range 60 {
		bubble(t, func(t *testing.T) {
			r := newRig(t, uint64(k))
			r.mustStart()
			defer func() { _ = r.stop() }()
			r.ground.Disk.CrashAfter(2 * k)
			c := r.client(kgo.RequestRetries(0))
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			_, _ = kadm.NewClient(c).CreateTopic(ctx, partitions, 1, nil, "t")
			cancel()
			c.Close()
			r.powerCut(uint64(1000 + k))
			r.mustStart()
			if len(r.dirs("t")) == 0 {
				return // it was never decided
			}
			found++
			c = r.client()
			defer c.Close()
			for round := range 2 {
				for p := range int32(partitions) {
					if err := c.ProduceSync(context.Background(), &kgo.Record{Topic: "t", Partition: p, Value: []byte("x")}).FirstErr(); err != nil {
						t.Fatalf("crash at operation %d: partition %d: %v", 2*k, p, err)
					}
				}
				for p := range int32(partitions) {
					if got, err := r.readAll("t", p); err != nil || len(got) != round+1 {
						t.Fatalf("crash at operation %d: partition %d holds %d records, %v", 2*k, p, len(got), err)
					}
				}
				r.powerCut(uint64(2000 + 10*k + round))
				r.mustStart()
			}
		})
	}
	if found < 20 {
		t.Errorf("the topic was there after %d crashes only", found)
	}
}
