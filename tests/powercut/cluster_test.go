//go:build rig

package powercut_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"holdfast/tests/cluster"
	"holdfast/tests/history"
	"holdfast/tests/rig"
)

// clusterImageMiB is the size of each of three disks.
const clusterImageMiB = 3 << 10

// clusterCampaign runs three brokers, each on a disk of its own. One time in three
// one broker loses power, otherwise all do within a few milliseconds. Whoever lost
// it runs on for a moment on a dead disk, and must not acknowledge anything from
// then on, neither to a client nor to a leader.
func clusterCampaign(t *testing.T, target rig.Target, fault string, rounds int) cluster.Campaign {
	var disks []*rig.Disk
	var roots []string
	for range 3 {
		d := rig.NewDisk(t, clusterImageMiB)
		disks, roots = append(disks, d), append(roots, d.Path())
	}
	accident := func(c *cluster.Cluster, rng *rand.Rand) error {
		victims := []int{0, 1, 2}
		rng.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
		if fault == "" && rng.IntN(3) == 0 {
			victims = victims[:1]
		}
		for _, i := range victims {
			if err := disks[i].Cut(); err != nil {
				return err
			}
			time.Sleep(time.Duration(rng.Int64N(int64(5 * time.Millisecond))))
		}
		time.Sleep(time.Duration(rng.Int64N(int64(200 * time.Millisecond))))
		for _, i := range victims {
			c.Nodes[i].Kill()
		}
		if len(victims) == 1 {
			time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Second))))
		}
		var err error
		for _, i := range victims {
			err = errors.Join(err, disks[i].Restore())
		}
		return err
	}
	c := cluster.Campaign{
		Cluster: cluster.Options{Target: target, Dir: rig.TempDir(t), Roots: roots, Fault: fault},
		Rounds:  rounds, Seed: rig.Seed(t), Accident: accident,
	}
	if fault != "" {
		c.Until = history.LostWrite
	}
	if d, ok := t.Deadline(); ok {
		c.Deadline = d.Add(-2 * time.Minute)
	}
	if _, kafka := target.(rig.ApacheKafka); kafka {
		c.Prepared = func() (err error) { // it never syncs its bootstrap.checkpoint
			for _, d := range disks {
				err = errors.Join(err, d.Sync())
			}
			return err
		}
	}
	return c
}

// TestPowerCutOfThreeNothingIsLost takes the power from one broker of three, or
// from all.
func TestPowerCutOfThreeNothingIsLost(t *testing.T) {
	c := clusterCampaign(t, rig.DefaultTarget(t), "", rig.Rounds(t, 5, 50))
	out, err := c.Run(t)
	if err != nil {
		t.Error(err)
	}
	if !out.Report.OK() {
		t.Errorf("round %d broke the promise (seed %d): %s", out.Found, c.Seed, out.Report)
	}
	t.Logf("%d rounds in %.0f s: %s", out.Rounds, out.Seconds, out.Report)
	rig.Record(t, out.Result("three brokers: power cut of one or of all under load, remount, restart, complete read", c.Seed))
}

// TestPowerCutOfThreeCatchesPlantedFaults proves the rig on brokers that never
// sync.
func TestPowerCutOfThreeCatchesPlantedFaults(t *testing.T) {
	c := clusterCampaign(t, rig.DefaultTarget(t), rig.FaultNoFsync, 20)
	out, err := c.Run(t)
	if missed := out.Caught(history.LostWrite); missed != nil {
		t.Errorf("%v (the run itself: %v)", missed, err)
	}
	t.Logf("caught in round %d: %s", out.Found, out.Report)
	rig.Record(t, out.Result("planted fault "+rig.FaultNoFsync+" on three brokers: caught by the same rig", c.Seed))
}
