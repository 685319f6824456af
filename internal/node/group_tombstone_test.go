package node_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"holdfast/internal/clock"
	"holdfast/internal/vfs"
)

// churn commits for its own groups and deletes them, one at a time, and knows what
// it was told. The clients retry until they are told.
func churn(r *rig, k *committer, worker int, dice *rand.Rand) {
	for i := range 120 {
		group := fmt.Sprintf("w%d-%d", worker, dice.IntN(50))
		if dice.IntN(3) > 0 {
			if err := k.commit(context.Background(), group, int64(i)); err != nil {
				r.t.Errorf("commit: %v", err)
			}
			continue
		}
		if _, there := k.acked[group]; !there {
			continue
		}
		got, err := k.admin.DeleteGroups(context.Background(), group)
		if err != nil || got[group].Err != nil && codeOf(got[group].Err) != 69 {
			r.t.Errorf("delete: %v, %v", err, got[group].Err)
		}
		delete(k.acked, group)
	}
}

// TestNode_DeletedGroupsStayDeleted: groups are deleted and made again while the
// cleaner, on a disk that takes its time, moves what is left of others, and the
// power goes. None that was deleted comes back, and none that commits is lost or
// goes backwards.
func TestNode_DeletedGroupsStayDeleted(t *testing.T) {
	cleaned := 0
	for seed := range uint64(4) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, 200+seed, "offsets.topic.segment.bytes", "1048576", "offsets.topic.num.partitions", "1", "log.retention.check.interval.ms", "100")
			r.ground.Disk.SetLatency(clock.Real{}, func(op vfs.Op, name string, _ int) time.Duration {
				if op == vfs.OpWrite && name == dataDir+"/holdfast.journal" {
					return 15 * time.Millisecond
				}
				return 0
			})
			r.mustStart()
			c := r.client()
			defer c.Close()
			r.createTopic(c, "t", 1)
			all := &committer{admin: kadm.NewClient(c), acked: map[string]int64{}}
			workers := make([]*committer, 8)
			for i := range workers {
				workers[i] = &committer{admin: all.admin, acked: map[string]int64{}}
			}
			dice := rand.New(rand.NewPCG(seed, 7))
			for round := range 3 {
				var wg sync.WaitGroup
				for i, k := range workers {
					wg.Go(func() { churn(r, k, i, rand.New(rand.NewPCG(seed, uint64(100*round+i)))) })
				}
				wg.Wait()
				clear(all.acked)
				for _, k := range workers {
					maps.Copy(all.acked, k.acked)
				}
				<-time.After(time.Duration(dice.IntN(300)) * time.Millisecond)
				r.powerCut(dice.Uint64())
				r.mustStart()
				all.check(r, seed, round)
				listed, err := all.admin.ListGroups(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range listed.Groups() {
					if _, there := all.acked[g]; !there {
						t.Errorf("seed %d round %d: group %s is back", seed, round, g)
					}
				}
			}
			if start, _ := r.marks(c, "__consumer_offsets"); start > 0 {
				cleaned++
			}
			_ = r.stop()
		})
	}
	if cleaned == 0 {
		t.Error("nothing was ever cleaned")
	}
}
