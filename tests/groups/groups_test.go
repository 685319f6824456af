//go:build rig

package groups_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"holdfast/tests/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// TestKillNoCommitIsLost is the promise to a group under kill -9.
func TestKillNoCommitIsLost(t *testing.T) {
	c := campaign{rounds: rig.Rounds(t, 10, 100), seed: rig.Seed(t)}
	began := time.Now()
	found, err := c.run(t)
	if err != nil {
		t.Error(err)
	}
	for _, f := range found {
		t.Error(f)
	}
	rig.Record(t, c.result("kill -9 while a group of three consumes and commits: offsets kept, nothing skipped", began, len(found)))
}

// TestKillCatchesACommitAnsweredTooEarly proves the rig on a broker that lies.
func TestKillCatchesACommitAnsweredTooEarly(t *testing.T) {
	c := campaign{rounds: 30, seed: rig.Seed(t), fault: rig.FaultCommitEarly}
	began := time.Now()
	found, err := c.run(t)
	if len(found) == 0 {
		t.Errorf("%d rounds found nothing (the run itself: %v)", c.made, err)
	} else {
		t.Logf("caught in round %d: %s", c.made, found[0])
	}
	rig.Record(t, c.result("planted fault commit-early: caught by the same rig", began, len(found)))
}

// campaign is a number of kills of one broker.
type campaign struct {
	rounds int
	seed   uint64
	fault  string

	made   int // rounds
	ledger *ledger
}

func (c *campaign) result(what string, began time.Time, found int) rig.Result {
	r := rig.Result{What: what, Seed: c.seed, Rounds: c.made, Other: int64(found), Seconds: time.Since(began).Seconds()}
	if c.ledger != nil {
		produced, consumed, commits := c.ledger.counts()
		r.Sent, r.Acknowledged = produced, commits
		r.Figures = fmt.Sprintf("%d records read, %d commits acknowledged", consumed, commits)
	}
	return r
}

const partitions = 6

// run makes the rounds and returns what broke the promise. With a planted fault
// it stops at the first finding. The error is one of the run itself.
func (c *campaign) run(t *testing.T) (found []string, err error) {
	place := rig.NewPlace(t, rig.TempDir(t))
	place.Fault = c.fault
	place.Set = []string{"group.initial.rebalance.delay.ms=100", "offsets.topic.num.partitions=4"}
	proc := rig.RunBroker(t, rig.Holdfast{}, place)
	rig.CreateTopics(t, rig.NewClient(t, place.Addr), rig.Topic{Name: topic, Partitions: partitions})
	dice := rand.New(rand.NewPCG(c.seed, 1))
	c.ledger = newLedger()
	crew := newCrew(place.Addr, c.ledger)
	defer crew.stop()
	for c.made < c.rounds {
		c.made++
		if err := c.ledger.awaitCommits(30, time.Minute); err != nil {
			return found, fmt.Errorf("round %d: %w", c.made, err)
		}
		time.Sleep(time.Duration(dice.IntN(200)) * time.Millisecond)
		if dice.IntN(3) == 0 {
			crew.replaceOne(dice.IntN(members))
			time.Sleep(time.Duration(dice.IntN(100)) * time.Millisecond)
		}
		proc.Kill()
		proc = rig.RunBroker(t, rig.Holdfast{}, place)
		if f := c.look(place.Addr); f != "" {
			found = append(found, fmt.Sprintf("round %d (seed %d): %s", c.made, c.seed, f))
			if c.fault != "" {
				return found, nil
			}
		}
	}
	crew.stop()
	if f := c.look(place.Addr); f != "" {
		found = append(found, "in the end: "+f)
	}
	return append(found, c.ledger.skipped()...), nil
}

// look compares the committed offsets with those that were acknowledged before.
func (c *campaign) look(addr string) string {
	floor := c.ledger.floors()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := newClient(addr)
	if err != nil {
		return err.Error()
	}
	defer client.Close()
	got, err := kadm.NewClient(client).FetchOffsets(ctx, group)
	if err != nil {
		return fmt.Sprintf("the offsets cannot be fetched: %v", err)
	}
	for p, least := range floor {
		at := int64(-1)
		if o, ok := got.Lookup(topic, int32(p)); ok {
			at = o.At
		}
		if at < least {
			return fmt.Sprintf("partition %d: %d was committed and acknowledged, the broker says %d", p, least, at)
		}
		c.ledger.noteFetched(p, at)
	}
	return ""
}
