package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestNode_DeletedGroupsStayDeleted: groups are deleted and made again while the
// cleaner moves what is left of others and while the power goes at any moment.
// None that was deleted comes back, and none that commits is lost.
func TestNode_DeletedGroupsStayDeleted(t *testing.T) {
	cleaned := 0
	for seed := range uint64(6) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, 200+seed, "offsets.topic.segment.bytes", "1048576", "offsets.topic.num.partitions", "1", "log.retention.check.interval.ms", "200")
			r.slowDisk(seed)
			dice := rand.New(rand.NewPCG(seed, 7))
			r.mustStart()
			c := r.client()
			defer c.Close()
			r.createTopic(c, "t", 1)
			k := &committer{admin: kadm.NewClient(c), acked: map[string]int64{}}
			for round := range 4 {
				for i := range 500 + dice.IntN(200) {
					group := fmt.Sprint("g", dice.IntN(60))
					if dice.IntN(4) > 0 {
						if err := k.commit(context.Background(), group, int64(10_000*round+i)); err != nil {
							t.Fatalf("commit: %v", err)
						}
						continue
					}
					if _, there := k.acked[group]; !there {
						continue
					}
					if got, err := k.admin.DeleteGroups(context.Background(), group); err != nil || got[group].Err != nil && codeOf(got[group].Err) != 69 {
						t.Fatalf("delete: %v, %v", err, got[group].Err)
					}
					delete(k.acked, group)
				}
				<-time.After(time.Duration(dice.IntN(300)) * time.Millisecond)
				if dice.IntN(2) == 0 {
					r.powerCut(dice.Uint64())
				} else {
					r.kill(dice.Uint64())
				}
				r.mustStart()
				k.check(r, seed, round)
				listed, err := k.admin.ListGroups(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range listed.Groups() {
					if _, there := k.acked[g]; !there {
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
