//go:build rig

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"holdfast/internal/kafka"
	"holdfast/tests/cluster"
	"holdfast/tests/history"
	"holdfast/tests/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

func campaign(t *testing.T, rounds int, accident cluster.Accident) cluster.Campaign {
	c := cluster.Campaign{
		Cluster: cluster.Options{Dir: rig.TempDir(t), Target: rig.DefaultTarget(t)},
		Rounds:  rounds, Seed: rig.Seed(t), Accident: accident,
	}
	if d, ok := t.Deadline(); ok {
		c.Deadline = d.Add(-2 * time.Minute)
	}
	return c
}

// holds runs a campaign that must find nothing.
func holds(t *testing.T, c cluster.Campaign, what string) {
	t.Helper()
	out, err := c.Run(t)
	if err != nil {
		t.Error(err)
	}
	if !out.Report.OK() {
		t.Errorf("round %d broke the promise (seed %d): %s", out.Found, c.Seed, out.Report)
	}
	t.Logf("%d rounds in %.0f s: %s", out.Rounds, out.Seconds, out.Report)
	rig.Record(t, out.Result(what, c.Seed))
}

// TestKillNothingIsLost is the promise of three brokers under kill -9.
func TestKillNothingIsLost(t *testing.T) {
	c := campaign(t, rig.Rounds(t, 8, 300), cluster.KillRandom)
	c.AuditEvery = 4
	holds(t, c, "three brokers: kill -9 of random brokers under load, sometimes two, sometimes again while it starts")
}

// TestKillAllNothingIsLost kills all three at once.
func TestKillAllNothingIsLost(t *testing.T) {
	holds(t, campaign(t, rig.Rounds(t, 3, 50), cluster.KillAll), "three brokers: kill -9 of all at once under load")
}

// TestPausesAndCutsNothingIsLost stops brokers and cuts links, one way and both.
func TestPausesAndCutsNothingIsLost(t *testing.T) {
	limit := 12 * time.Second
	c := campaign(t, rig.Rounds(t, 4, 40), cluster.OneOf(cluster.PauseRandom(limit), cluster.CutRandom(limit)))
	c.Cluster.Links = true
	holds(t, c, "three brokers: SIGSTOP and cut links (both ways, one way) for up to 12 s under load")
}

// TestRollingRestart is what an operator does: each broker stopped and started in
// its turn, and no client may notice.
func TestRollingRestart(t *testing.T) {
	holds(t, campaign(t, rig.Rounds(t, 1, 10), cluster.RestartInTurn), "three brokers: each stopped and started in turn under load: no produce fails, nothing lost or twice")
}

// TestKillCatchesPlantedFaults proves the rig on brokers that lie.
func TestKillCatchesPlantedFaults(t *testing.T) {
	caught(t, rig.FaultAckEarly, cluster.KillLeader("one"), history.LostWrite)
	caught(t, rig.FaultNoProducerTable, cluster.KillRandom, history.Duplicate)
}

func caught(t *testing.T, fault string, accident cluster.Accident, kind history.Kind) {
	t.Run(fault, func(t *testing.T) {
		c := campaign(t, 30, accident)
		c.Cluster.Fault, c.Until = fault, kind
		out, err := c.Run(t)
		if missed := out.Caught(kind); missed != nil {
			t.Errorf("%v (the run itself: %v)", missed, err)
		}
		t.Logf("caught in round %d: %s", out.Found, out.Report)
		rig.Record(t, out.Result("planted fault "+fault+" on three brokers: caught by the same rig", c.Seed))
	})
}

// TestWipedBrokerComesBack deletes the data directory of a broker under load: it
// fetches everything again and is in sync again, and nothing is lost.
func TestWipedBrokerComesBack(t *testing.T) {
	accident := func(c *cluster.Cluster, rng *rand.Rand) error {
		n := c.Nodes[rng.IntN(len(c.Nodes))]
		n.Kill()
		return n.Wipe()
	}
	holds(t, campaign(t, rig.Rounds(t, 2, 20), accident), "three brokers: one killed and its data directory deleted under load; it fetches everything and is in sync again")
}

// TestLeadersAndBytesAreEven writes to six partitions and compares what the
// brokers hold and lead.
func TestLeadersAndBytesAreEven(t *testing.T) {
	began := time.Now()
	c := cluster.Run(t, cluster.Options{Dir: rig.TempDir(t), Target: rig.DefaultTarget(t)})
	topic := rig.Topic{Name: "user_access_log_topic", Partitions: 6, Replicas: rig.DefaultReplicas}
	if err := c.CreateTopics(topic); err != nil {
		t.Fatal(err)
	}
	ledger := rig.NewLedger()
	load := rig.StartLoad(t, c.Addr(), ledger, rig.Seed(t), []rig.WriterSpec{{Name: "even", Topics: []rig.Topic{topic}, SizeMin: 1000, SizeMax: 1001, Window: 256}})
	err := load.WaitAcks(60_000, 2*time.Minute)
	err = errors.Join(err, load.Pause(time.Minute))
	load.Stop()
	if err != nil {
		t.Fatalf("%v\n%s", err, c.Tails(2000))
	}
	bytes, leads := map[kafka.BrokerID]int64{}, map[kafka.BrokerID]int{}
	err = c.Await(30*time.Second, func(ctx context.Context) error {
		clear(bytes)
		clear(leads)
		list, err := c.Partitions(ctx, topic.Name)
		if err != nil {
			return err
		}
		for _, p := range list {
			leads[p.Leader]++
			for _, id := range p.Replicas {
				r, ok := p.On(id)
				if lead, found := p.On(p.Leader); !ok || !found || r.End != lead.End {
					return fmt.Errorf("partition %d: %s", p.Index, p)
				}
				bytes[id] += r.Bytes
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	least, most := bytes[1], bytes[1]
	for _, n := range c.Nodes {
		least, most = min(least, bytes[n.ID]), max(most, bytes[n.ID])
		if leads[n.ID] != 2 {
			t.Errorf("broker %d leads %d of 6 partitions, want 2", n.ID, leads[n.ID])
		}
	}
	if float64(most) > float64(least)*1.1 {
		t.Errorf("bytes by broker %v: not within 10 %%", bytes)
	}
	rig.Record(t, rig.Result{What: "six partitions under load on three brokers: leaders and bytes", Acknowledged: ledger.Acks(), Seconds: time.Since(began).Seconds(),
		Figures: fmt.Sprintf("bytes by broker %v, leaders by broker %v", bytes, leads)})
}
