package broker_test

import (
	"fmt"
	"path"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// rotten is a topic on brokers 1 and 2, led here, with rot in a closed segment that
// the scrub will find. Broker 2 is in sync or not.
func rotten(r *rig, inSync bool) kafka.TopicIDPartition {
	r.t.Helper()
	id := r.create("t", "1", 1, 2)
	if !inSync {
		r.fence(2)
		r.heartbeat(2)
	}
	for range 12 {
		r.produce(id, 300<<10)
		synctest.Wait()
		if inSync {
			r.catchUp(id, 2)
		}
	}
	<-time.After(3 * time.Second)
	synctest.Wait()
	return id
}

func rot(r *rig) {
	r.t.Helper()
	file := path.Join("/data", "t-0", fmt.Sprintf("%020d.log", 0))
	if err := r.ground.Disk.FlipBit(file, 500<<10); err != nil {
		r.t.Fatal(err)
	}
}

// Rot in a closed segment: the replica steps aside, is marked as lost, is emptied,
// and follows the one that has its records.
func TestDamage_RotIsRepairedFromAGoodCopy(t *testing.T) {
	inBubble(t, func(r *rig) {
		id := rotten(r, true)
		for range 150 { // until the segments are sealed
			<-time.After(2 * time.Second)
			r.catchUp(id, 2)
		}
		rot(r)
		<-time.After(30 * time.Second)
		synctest.Wait()
		state := r.state(id)
		if state.Leader != 2 || !slices.Equal(state.Lost, []kafka.BrokerID{1}) || !slices.Equal(state.ISR, []kafka.BrokerID{2}) {
			t.Fatalf("leader %d, lost %v, in sync %v", state.Leader, state.Lost, state.ISR)
		}
		o := r.partition(id).Offsets()
		if !o.Following || o.LogEnd != 0 {
			t.Errorf("%+v, want it to follow from the beginning", o)
		}
		if got := r.followers.told(); !slices.Contains(got, "follow 2") {
			t.Errorf("fetching: %v", got)
		}
		if d := r.Damaged(); d[id] == nil {
			t.Errorf("damaged: %v", d)
		}
		if len(r.Corrupt()) != 0 || len(r.Failed()) != 0 {
			t.Errorf("corrupt %v, failed %v", r.Corrupt(), r.Failed())
		}
		r.alterISR(id, 1, 2)
		r.produceElsewhere(id)
		if d := r.Damaged(); len(d) != 0 {
			t.Errorf("in sync again and still damaged: %v", d)
		}
		if n := len(r.controller.reports()); n != 1 {
			t.Errorf("%d reports", n)
		}
	})
}

// produceElsewhere lets the metadata of the topic move on once more.
func (r *rig) produceElsewhere(id kafka.TopicIDPartition) {
	r.alterISR(id, 2)
	r.alterISR(id, 1, 2)
}

// Without another in-sync replica nothing is deleted and nobody steps aside: what is
// left here may be the last copy.
func TestDamage_TheLastCopyStays(t *testing.T) {
	inBubble(t, func(r *rig) {
		id := rotten(r, false)
		<-time.After(5 * time.Minute)
		end := r.partition(id).Offsets().LogEnd
		rot(r)
		<-time.After(30 * time.Second)
		synctest.Wait()
		t.Logf("%d segments, scrubbed %d", r.partition(id).Log().Segments(), r.Scrubbed())
		if len(r.Corrupt()) != 1 {
			t.Fatalf("corrupt %v: the scrub has not found it", r.Corrupt())
		}
		if o := r.partition(id).Offsets(); !o.Leading || o.LogEnd != end || len(r.state(id).Lost) != 0 {
			t.Errorf("%+v, lost %v", o, r.state(id).Lost)
		}
		if n := len(r.controller.reports()); n != 0 || r.Damaged()[id] == nil {
			t.Errorf("damaged %v, %d reports", r.Damaged(), n)
		}
		// As soon as another one has everything, that is another matter. What the other
		// one needs of the rotten segment it has from before.
		r.catchUp(id, 2)
		for range 5 {
			<-time.After(time.Second)
			r.heartbeat(2)
		}
		synctest.Wait()
		if state := r.state(id); state.Leader != 2 || !slices.Equal(state.Lost, []kafka.BrokerID{self}) {
			t.Errorf("leader %d, lost %v", state.Leader, state.Lost)
		}
		if o := r.partition(id).Offsets(); !o.Following || o.LogEnd != 0 {
			t.Errorf("%+v, want it to follow from the beginning", o)
		}
	})
}

// A log that has lost records while the broker was down: the controller knows before
// the broker counts as caught up, and what is missing comes from the leader.
func TestDamage_LossWhileDown(t *testing.T) {
	losses := map[string]func(*rig){"shortened": shorten, "gone": func(r *rig) {
		if err := r.ground.Disk.RemoveAll(path.Join("/data", "t-0")); err != nil {
			r.t.Fatal(err)
		}
	}}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				id := r.create("t", "1", 1, 2)
				for range 5 {
					r.produce(id, 100)
					synctest.Wait()
					r.catchUp(id, 2)
					synctest.Wait()
				}
				if o := r.partition(id).Offsets(); o.HighWatermark != 5 {
					t.Fatalf("%+v", o)
				}
				r.close()
				lose(r)
				r.controller.reports()
				r.open()
				if n := len(r.controller.reports()); n != 1 || !slices.Contains(r.state(id).Lost, self) {
					t.Errorf("%d reports before the broker counted as caught up, lost %v, failed %v", n, r.state(id).Lost, r.Failed())
				}
				<-time.After(time.Second)
				synctest.Wait()
				p, code := r.ByID(id.TopicID, 0)
				if code != kafka.ErrNone {
					t.Fatalf("%v, failed %v, damaged %v", code, r.Failed(), r.Damaged())
				}
				if o := p.Offsets(); !o.Following || o.LogEnd != 0 || r.Damaged()[id] == nil {
					t.Errorf("%+v, damaged %v", o, r.Damaged())
				}
			})
		})
	}
}

// shorten cuts the partition's log in the middle, behind the broker's back.
func shorten(r *rig) {
	r.t.Helper()
	name := path.Join("/data", "t-0", fmt.Sprintf("%020d.log", 0))
	f, err := r.ground.Disk.OpenFile(name, vfs.Write)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(300); err != nil {
		r.t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		r.t.Fatal(err)
	}
}
