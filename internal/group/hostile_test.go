package group

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"holdfast/internal/wire"
)

// TestMachine_HostileRequests: requests with any mixture of ids, instances,
// generations, protocols and timeouts, with restarts in between, never trip an
// assertion; in the end every call is answered and no group is left without a reason.
func TestMachine_HostileRequests(t *testing.T) {
	for seed := range uint64(40) {
		hostile(t, seed, 600)
	}
}

type prankster struct {
	*rig
	random *rand.Rand
	ids    []string
}

func (p *prankster) pick(from ...string) string { return from[p.random.IntN(len(from))] }

func (p *prankster) id() string {
	if len(p.ids) == 0 || p.random.IntN(5) == 0 {
		return p.pick("", "stranger")
	}
	return p.ids[len(p.ids)-1-p.random.IntN(min(len(p.ids), 6))]
}

func (p *prankster) instance() *string {
	if p.random.IntN(3) > 0 {
		return nil
	}
	s := p.pick("", "s1", "s2")
	return &s
}

func (p *prankster) generation() int32 { return p.random.Int32N(12) - 1 }

func (p *prankster) join() {
	q := joinRequest(p.id())
	q.Version, q.InstanceID = int16(p.random.IntN(10)), p.instance()
	q.NewMemberID = fmt.Sprint("m", p.calls)
	p.ids = append(p.ids, q.NewMemberID)
	q.RebalanceTimeoutMillis = []int32{-1, 0, 1, 60_000, 1<<31 - 1}[p.random.IntN(5)]
	q.Protocols = protocols(p.pick("range", "x"), "", p.pick("range", "y"), p.pick("", subscriptionOf("t"), "\x00\x00\x7f\xff\xff\xff"))
	q.ProtocolType = p.pick("consumer", "consumer", "consumer", "connect", "")
	p.rig.join(q)
}

func (p *prankster) act() {
	switch p.random.IntN(10) {
	case 0, 1, 2:
		p.join()
	case 3, 4:
		q := wire.NewSyncGroupRequest()
		q.Group, q.MemberID, q.InstanceID, q.Generation = "g", p.id(), p.instance(), p.generation()
		q.GroupAssignment = []wire.SyncGroupRequestGroupAssignment{{MemberID: p.id(), MemberAssignment: []byte("x")}, {MemberID: p.id()}}
		p.take(p.m.Sync(p.now, p.call(), &q))
	case 5:
		q := commitRequest(p.id(), p.generation(), p.random.Int64()-p.random.Int64())
		q.InstanceID, q.RetentionTimeMillis = p.instance(), []int64{-1, 0, 1<<63 - 1}[p.random.IntN(3)]
		q.Topics[0].Topic = p.pick("t", "u", "")
		p.commit(q)
	case 6:
		q := wire.NewLeaveGroupRequest()
		q.Group = "g"
		for range p.random.IntN(3) {
			q.Members = append(q.Members, wire.LeaveGroupRequestMember{MemberID: p.id(), InstanceID: p.instance()})
		}
		p.take(p.m.Leave(p.now, p.call(), int16(p.random.IntN(6)), &q))
	case 7:
		p.advance(time.Duration(p.random.IntN(1<<p.random.IntN(18))) * time.Millisecond)
	case 8:
		switch p.random.IntN(4) {
		case 0:
			p.take(p.m.DeleteGroup(p.now, p.call(), "g"))
		case 1:
			p.take(p.m.DeleteTopics(p.now, []TopicRef{{Name: p.pick("t", "u", "")}}))
		default:
			p.hold = !p.hold
			p.flush()
		}
	default:
		q := wire.NewHeartbeatRequest()
		q.Group, q.MemberID, q.InstanceID, q.Generation = "g", p.id(), p.instance(), p.generation()
		p.take(p.m.Heartbeat(p.now, p.call(), &q))
	}
}

func hostile(t *testing.T, seed uint64, steps int) {
	s := testSettings()
	s.MaxSize = 3
	p := &prankster{rig: newRig(t, s), random: rand.New(rand.NewPCG(seed, 9))}
	lost := map[CallID]bool{} // with a machine that crashed
	for range steps {
		p.act()
		if got, want := p.m.Weight(), reweigh(p.m); got != want {
			t.Fatalf("seed %d: the machine says it holds %+v, it holds %+v", seed, got, want)
		}
		if p.random.IntN(50) == 0 {
			for c := CallID(1); c <= p.calls; c++ {
				lost[c] = lost[c] || p.answers[c] == nil
			}
			p.reload()
		}
	}
	p.hold = false
	p.flush()
	p.advance(30 * 24 * time.Hour) // the longest rebalance timeout
	for c := CallID(1); c <= p.calls; c++ {
		if p.answers[c] == nil && !lost[c] {
			t.Fatalf("seed %d: call %d is never answered; owed are %v", seed, c, p.m.Owed())
		}
	}
	if left := slices.DeleteFunc(p.m.names(), func(n string) bool { return p.m.groups[n].saved || len(p.m.groups[n].offsets) > 0 }); len(left) > 0 {
		t.Fatalf("seed %d: %v has nothing, and stays", seed, left)
	}
}
