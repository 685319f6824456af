//go:build rig

package kill9_test

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"holdfast/tests/history"
	"holdfast/tests/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

func kill(p *rig.Process, _ *rand.Rand) error {
	p.Kill()
	return nil
}

func campaign(t *testing.T, target rig.Target, fault string, rounds int) rig.Campaign {
	c := rig.Campaign{
		Target: target, Dir: rig.TempDir(t), Fault: fault, UntilFound: fault != "",
		Rounds: rounds, Seed: rig.Seed(t), Accident: kill,
	}
	if d, ok := t.Deadline(); ok {
		c.Deadline = d.Add(-2 * time.Minute)
	}
	return c
}

// TestKillNothingIsLost is the promise under kill -9.
func TestKillNothingIsLost(t *testing.T) {
	c := campaign(t, rig.DefaultTarget(t), "", rig.Rounds(t, 20, 200))
	out, err := c.Run(t)
	if err != nil {
		t.Error(err)
	}
	if !out.Report.OK() {
		t.Errorf("round %d broke the promise (seed %d): %s", out.Found, c.Seed, out.Report)
	}
	t.Logf("%d rounds in %.0f s: %s", out.Rounds, out.Seconds, out.Report)
	rig.Record(t, out.Result("kill -9 under load, restart, every answer awaited, complete read", c.Seed))
}

// TestKillCatchesPlantedFaults proves the rig on a broker that lies.
func TestKillCatchesPlantedFaults(t *testing.T) {
	caught(t, rig.DefaultTarget(t), rig.FaultAckBeforeWrite, history.LostWrite)
	caught(t, rig.DefaultTarget(t), rig.FaultNoProducerTable, history.Duplicate)
}

// TestKillCatchesStrawman proves the rig on a substitute, so that a broken rig
// and a broken fault switch can be told apart. The substitute keeps its records
// over kill -9 and forgets its producers: duplicates, and nothing else.
func TestKillCatchesStrawman(t *testing.T) {
	t.Run("control", func(t *testing.T) {
		out, err := campaign(t, rig.Strawman{}, "", 3).Run(t)
		if err != nil {
			t.Fatal(err)
		}
		if others := len(out.Report.Counts); others > 1 || others == 1 && out.Report.Count(history.Duplicate) == 0 {
			t.Fatalf("the rig sees what is not there: %s", out.Report)
		}
	})
	caught(t, rig.Strawman{}, rig.FaultAckBeforeWrite, history.LostWrite)
	caught(t, rig.Strawman{}, rig.FaultNoProducerTable, history.Duplicate)
}

func caught(t *testing.T, target rig.Target, fault string, kinds ...history.Kind) {
	t.Run(target.Name()+" "+fault, func(t *testing.T) {
		c := campaign(t, target, fault, 30)
		out, err := c.Run(t)
		if missed := out.Caught(kinds...); missed != nil {
			t.Errorf("%v (the run itself: %v)", missed, err)
		}
		t.Logf("caught in round %d: %s", out.Found, out.Report)
		rig.Record(t, out.Result("planted fault "+fault+": caught by the same rig", c.Seed))
	})
}
