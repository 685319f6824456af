package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// others are the machines of every broker but one.
func (f *flock) others(but *box) (hosts []string) {
	for _, b := range f.boxes {
		if b != but {
			hosts = append(hosts, b.host)
		}
	}
	return hosts
}

// TestCluster_LeaderCutOff: the leader is cut off from the other brokers, in both
// directions or in one, and clients still reach it. It acknowledges nothing by
// itself; others lead after a session, and when the cut heals it follows and drops
// what nobody was promised.
func TestCluster_LeaderCutOff(t *testing.T) {
	for name, cut := range map[string]func(f *flock, b *box, cut bool){
		"both ways": func(f *flock, b *box, cut bool) { f.world.Network.Partition([]string{b.host}, f.others(b), cut) },
		"nothing reaches it": func(f *flock, b *box, cut bool) {
			for _, host := range f.others(b) {
				f.world.Network.Cut(host, b.host, cut)
			}
		},
		"nothing leaves it": func(f *flock, b *box, cut bool) {
			for _, host := range f.others(b) {
				f.world.Network.Cut(b.host, host, cut)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFlock(t, 7, 3)
				f.startAll()
				defer f.stopAll()
				c := f.client(kgo.ProduceRequestTimeout(5 * time.Second))
				defer c.Close()
				f.createTopic(c, "orders", 1, 3)
				f.produce(c, "orders", 0, 0, 20)
				leader := f.leader(c, "orders", 0)
				cut(f, leader, true)
				gap := f.produce(c, "orders", 0, 20, 40)
				t.Logf("the longest wait for an acknowledgement: %v", gap)
				// It leads the quorum as well. Cut off both ways, others lead after a session.
				limit := 3 * time.Second
				switch name {
				case "nothing leaves it":
					// It steps down, and takes itself for cut off a session after that: until
					// then it holds a client that it cannot promise anything.
					limit = 5 * time.Second
				case "nothing reaches it":
					// Its voters hear it, and elect nobody until it steps down by itself.
					limit = 7 * time.Second
				}
				if gap > limit {
					t.Errorf("nothing was acknowledged for %v, at most %v", gap, limit)
				}
				cut(f, leader, false)
				f.awaitISR(c, "orders", 0, 3)
				f.produce(c, "orders", 0, 40, 50)
				wantValues(t, f.readAll("orders", 0, 50), numbers(0, 50))
			})
		})
	}
}

// TestCluster_FollowerCutOff: a silent follower holds acknowledgements up for a
// session at most, and is back in sync by itself.
func TestCluster_FollowerCutOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFlock(t, 8, 3)
		f.startAll()
		defer f.stopAll()
		c := f.client()
		defer c.Close()
		f.createTopic(c, "orders", 1, 3)
		f.produce(c, "orders", 0, 0, 20)
		leader := f.leader(c, "orders", 0)
		var follower *box
		for _, b := range f.boxes {
			if b != leader {
				follower = b
			}
		}
		f.world.Network.Partition([]string{follower.host}, f.others(follower), true)
		gap := f.produce(c, "orders", 0, 20, 40)
		t.Logf("the longest wait for an acknowledgement: %v", gap)
		if gap > 3500*time.Millisecond {
			t.Errorf("nothing was acknowledged for %v", gap)
		}
		f.world.Network.Partition([]string{follower.host}, f.others(follower), false)
		f.awaitISR(c, "orders", 0, 3)
		wantValues(t, f.readAll("orders", 0, 40), numbers(0, 40))
	})
}

// TestCluster_TwoOfThreeDie: with one broker left nothing is acknowledged; when one
// comes back, writing goes on, and nothing is lost.
func TestCluster_TwoOfThreeDie(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFlock(t, 9, 3)
		f.startAll()
		defer f.stopAll()
		c := f.client()
		defer c.Close()
		f.createTopic(c, "orders", 1, 3)
		f.produce(c, "orders", 0, 0, 20)
		f.boxes[0].powerCut(1)
		f.boxes[1].powerCut(2)
		once := f.client(kgo.RecordDeliveryTimeout(3*time.Second), kgo.ProduceRequestTimeout(time.Second))
		if err := once.ProduceSync(context.Background(), &kgo.Record{Topic: "orders", Value: []byte("alone")}).FirstErr(); err == nil {
			t.Error("a write was acknowledged by one broker of three")
		}
		once.Close()
		if err := f.boxes[1].start(context.Background()); err != nil {
			t.Fatal(err)
		}
		f.produce(c, "orders", 0, 20, 40)
		f.startAll()
		f.awaitISR(c, "orders", 0, 3)
		got, seen := map[string]int{}, 0
		for _, v := range values(f.readAll("orders", 0, 40)) {
			if got[v]++; v != "alone" {
				seen++
			}
		}
		for i := range 40 {
			if got[fmt.Sprint(i)] != 1 && seen == 40 {
				t.Errorf("record %d is there %d times", i, got[fmt.Sprint(i)])
			}
		}
	})
}

// TestCluster_LastReplicaStanding: two brokers leave, the last one of the ISR loses
// power and returns; then all are back. What was acknowledged is there (KIP-966: the
// last member of an ISR below min ISR acknowledges nothing).
func TestCluster_LastReplicaStanding(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFlock(t, 10, 3)
		f.startAll()
		defer f.stopAll()
		c := f.client()
		defer c.Close()
		f.createTopic(c, "orders", 1, 3)
		f.produce(c, "orders", 0, 0, 20)
		leader := f.leader(c, "orders", 0)
		for i, b := range f.boxes {
			if b != leader {
				b.powerCut(uint64(i))
				<-time.After(3 * time.Second)
			}
		}
		leader.powerCut(9)
		for _, b := range f.boxes {
			if b != leader {
				go func() { _ = b.start(context.Background()) }()
				<-time.After(5 * time.Second)
			}
		}
		if err := leader.start(context.Background()); err != nil {
			t.Fatal(err)
		}
		f.produce(c, "orders", 0, 20, 40)
		f.awaitISR(c, "orders", 0, 3)
		wantValues(t, f.readAll("orders", 0, 40), numbers(0, 40))
	})
}
