//go:build rig

package powercut_test

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"holdfast/tests/history"
	"holdfast/tests/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// imageMiB is the size of the disk; it takes space only as it is written.
const imageMiB = 6 << 10

// campaign runs on a disk of its own. The accident leaves the broker alive for
// a while on the dead disk: it must not acknowledge anything from then on.
func campaign(t *testing.T, target rig.Target, fault string, rounds int) rig.Campaign {
	disk := rig.NewDisk(t, imageMiB)
	accident := func(p *rig.Process, rng *rand.Rand) error {
		if err := disk.Cut(); err != nil {
			return err
		}
		time.Sleep(time.Duration(rng.Int64N(int64(200 * time.Millisecond))))
		p.Kill()
		return disk.Restore()
	}
	c := rig.Campaign{
		Target: target, Dir: rig.TempDir(t), DataRoot: disk.Path(), Fault: fault, UntilFound: fault != "",
		Rounds: rounds, Seed: rig.Seed(t), Accident: accident,
	}
	if _, kafka := target.(rig.ApacheKafka); kafka {
		c.Prepared = disk.Sync // it never syncs its bootstrap.checkpoint
	}
	if d, ok := t.Deadline(); ok {
		c.Deadline = d.Add(-2 * time.Minute)
	}
	return c
}

// TestPowerCutNothingIsLost is the promise under a power cut.
func TestPowerCutNothingIsLost(t *testing.T) {
	c := campaign(t, rig.DefaultTarget(t), "", rig.Rounds(t, 10, 50))
	out, err := c.Run(t)
	if err != nil {
		t.Error(err)
	}
	if !out.Report.OK() {
		t.Errorf("round %d broke the promise (seed %d): %s", out.Found, c.Seed, out.Report)
	}
	t.Logf("%d rounds in %.0f s: %s", out.Rounds, out.Seconds, out.Report)
	rig.Record(t, out.Result("power cut of the file system under load, remount, restart, complete read", c.Seed))
}

// TestPowerCutCatchesPlantedFaults proves the rig on a broker that lies.
func TestPowerCutCatchesPlantedFaults(t *testing.T) {
	caught(t, rig.DefaultTarget(t), rig.FaultNoFsync, history.LostWrite)
}

// TestPowerCutCatchesStrawman proves the rig on a substitute.
func TestPowerCutCatchesStrawman(t *testing.T) {
	caught(t, rig.Strawman{}, rig.FaultNoFsync, history.LostWrite)
}

func caught(t *testing.T, target rig.Target, fault string, kinds ...history.Kind) {
	t.Run(target.Name()+" "+fault, func(t *testing.T) {
		c := campaign(t, target, fault, 20)
		out, err := c.Run(t)
		if missed := out.Caught(kinds...); missed != nil {
			t.Errorf("%v (the run itself: %v)", missed, err)
		}
		t.Logf("caught in round %d: %s", out.Found, out.Report)
		rig.Record(t, out.Result("planted fault "+fault+": caught by the same rig", c.Seed))
	})
}
