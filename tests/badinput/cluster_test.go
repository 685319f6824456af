//go:build rig

package badinput_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/tests/cluster"
	"holdfast/tests/rig"
)

// TestCluster_Strangers lets brokers and clients come to a cluster that have no
// place in it. Each gets a clear message, and none costs a write.
func TestCluster_Strangers(t *testing.T) {
	began := time.Now()
	dir := rig.TempDir(t)
	c := cluster.Run(t, cluster.Options{Dir: filepath.Join(dir, "c")})
	topic := rig.Topic{Name: "kept", Partitions: 1, Replicas: 3}
	if err := c.CreateTopics(topic); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		// change makes a stranger of a fourth broker that would be welcome.
		change func(t *testing.T, p *rig.Place)
		says   []string // one of them stands in its output, or in the answer of the cluster's
	}{
		{"the id of another broker", func(_ *testing.T, p *rig.Place) { p.ID = 2 }, []string{"two brokers have this id"}},
		{"another secret", func(_ *testing.T, p *rig.Place) { p.Shared = filepath.Join(dir, "elsewhere") }, []string{"another broker secret"}},
		{"a directory of another cluster", func(t *testing.T, p *rig.Place) {
			alone := *p
			alone.Members, alone.Set = nil, []string{"node.id=4"}
			proc := rig.RunBroker(t, rig.Holdfast{}, alone)
			if err := proc.Terminate(20 * time.Second); err != nil {
				t.Fatal(err)
			}
		}, []string{"another cluster", "of cluster", "to cluster"}},
	}
	for i, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			p := rig.NewPlace(t, filepath.Join(dir, fmt.Sprintf("stranger-%d", i)))
			p.ID, p.Shared, p.Members = 4, c.Nodes[0].Place.Shared, c.Nodes[0].Place.Members
			x.change(t, &p)
			proc := rig.StartBroker(t, rig.Holdfast{}, p)
			defer proc.Kill()
			said := ""
			for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
				for line := range strings.Lines(proc.Tail(1 << 20)) {
					for _, word := range x.says {
						if strings.Contains(line, word) {
							said = strings.TrimSpace(line)
						}
					}
				}
				if said != "" {
					break
				}
			}
			if said == "" {
				t.Errorf("it does not say what is wrong:\n%s", proc.Tail(4000))
			}
			t.Logf("it says: %s", said)
			write(t, c, topic.Name)
			if err := c.WaitStands(10 * time.Second); err != nil {
				t.Errorf("three brokers are the cluster: %v", err)
			}
		})
	}
	t.Run("a client that forges a replica id", func(t *testing.T) { forge(t, c, topic.Name) })
	rig.Record(t, rig.Result{What: "strangers at three brokers: another's id, another secret, a directory of another cluster, a forged replica id: a clear message, and writes go on", Rounds: len(cases) + 1, Seconds: time.Since(began).Seconds()})
}

// write demands that a record is acknowledged soon.
func write(t *testing.T, c *cluster.Cluster, topic string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cl := rig.NewClient(t, c.Addr())
	defer cl.Close()
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr(); err != nil {
		t.Errorf("a write: %v\n%s", err, c.Tails(2000))
	}
}

// forge fetches as if it were a follower: what it says it holds must not count.
func forge(t *testing.T, c *cluster.Cluster, topic string) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Nodes[0].Place.Addr), kgo.RequestRetries(0), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r := kmsg.NewPtrFetchRequest()
	r.ReplicaID, r.ReplicaState.ID, r.ReplicaState.Epoch, r.MaxBytes = 2, 2, 1, 1<<20
	ft, fp := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	ft.Topic, fp.PartitionMaxBytes, fp.CurrentLeaderEpoch = topic, 1<<20, -1
	ft.Partitions = append(ft.Partitions, fp)
	r.Topics = append(r.Topics, ft)
	if answer, err := cl.SeedBrokers()[0].Request(ctx, r); err == nil {
		t.Errorf("a client that says it is broker 2 is answered: %+v", answer)
	}
	write(t, c, topic)
}
