package group

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// history drives a machine with random requests of a few members of three groups
// and returns the rig. Everything is committed at once.
func history(t testing.TB, seed uint64, steps int) *rig {
	random := rand.New(rand.NewPCG(seed, 4))
	s := testSettings()
	s.OffsetRetention, s.RetentionCheck, s.InitialDelay = 3*time.Minute, time.Minute, time.Second
	r := newRig(t, s)
	for i := range steps {
		group := fmt.Sprint("g", random.IntN(3))
		g := r.m.groups[group]
		id, generation := "", int32(-1)
		if g != nil && g.first != nil && random.IntN(8) > 0 {
			m := g.first
			for range random.IntN(len(g.members)) {
				m = m.next
			}
			id, generation = m.id, g.generation
		}
		switch random.IntN(12) {
		case 9, 10, 11:
			if g != nil {
				r.everybody(g)
				r.advance(time.Second) // the initial delay
				r.everybody(g)
			}
		case 0, 1:
			q := joinRequest(id)
			q.Group, q.NewMemberID, q.Version = group, fmt.Sprint("m", i), int16(random.IntN(4))
			if random.IntN(6) == 0 {
				q.Version = 9 // an id that nobody will use, for a new member
			}
			if random.IntN(3) == 0 {
				instance := fmt.Sprint("s", random.IntN(2))
				q.InstanceID = &instance
				if id != "" && g.static[instance] == nil {
					q.InstanceID = nil
				}
			}
			if random.IntN(4) == 0 {
				q.Protocols = protocols("range", subscriptionOf("t", fmt.Sprint("u", i)), "other", "x")
			}
			r.join(q)
		case 2, 3:
			q := wire.NewSyncGroupRequest()
			q.Group, q.MemberID, q.Generation = group, id, generation
			if g != nil && g.leader == id {
				for m := g.first; m != nil; m = m.next {
					q.GroupAssignment = append(q.GroupAssignment, wire.SyncGroupRequestGroupAssignment{MemberID: m.id, MemberAssignment: []byte(fmt.Sprint(generation, m.id))})
				}
			}
			r.take(r.m.Sync(r.now, r.call(), &q))
		case 4, 5:
			q := commitRequest(id, generation, int64(i))
			q.Group, q.Topics[0].Topic = group, fmt.Sprint("t", random.IntN(3))
			r.commit(q)
		case 6:
			q := wire.NewLeaveGroupRequest()
			q.Group, q.Members = group, []wire.LeaveGroupRequestMember{{MemberID: id}}
			r.take(r.m.Leave(r.now, r.call(), 5, &q))
		case 7:
			r.advance(time.Duration(random.IntN(random.IntN(15_000)+1)) * time.Millisecond)
		default:
			switch random.IntN(4) {
			case 0:
				r.take(r.m.DeleteGroup(r.now, r.call(), group))
			case 1:
				r.take(r.m.DeleteTopics(r.now, []TopicRef{{Name: fmt.Sprint("t", random.IntN(3))}}))
			default:
				q := wire.NewOffsetDeleteRequest()
				q.Group, q.Topics = group, []wire.OffsetDeleteRequestTopic{{Topic: fmt.Sprint("t", random.IntN(3)), Partitions: []wire.OffsetDeleteRequestTopicPartition{{Partition: 0}}}}
				r.take(r.m.DeleteOffsets(r.now, r.call(), &q))
			}
		}
	}
	return r
}

// everybody lets the members of g do what the protocol wants from them now.
func (r *rig) everybody(g *group) {
	var ids []string
	for m := g.first; m != nil; m = m.next {
		if m.join.set || m.sync.set {
			continue
		}
		ids = append(ids, m.id)
	}
	for _, id := range ids {
		q := wire.NewSyncGroupRequest()
		q.Group, q.MemberID, q.Generation = g.name, id, g.generation
		switch {
		case g.members[id] == nil:
		case g.phase == preparing:
			q := joinRequest(id)
			q.Group, q.InstanceID = g.name, g.members[id].instance
			r.join(q)
		case g.phase == completing:
			for m := g.first; m != nil && g.leader == id; m = m.next {
				q.GroupAssignment = append(q.GroupAssignment, wire.SyncGroupRequestGroupAssignment{MemberID: m.id, MemberAssignment: []byte(fmt.Sprint(g.generation, m.id))})
			}
			r.take(r.m.Sync(r.now, r.call(), &q))
		case g.phase == stable:
			r.take(r.m.Heartbeat(r.now, r.call(), &wire.HeartbeatRequest{Group: g.name, MemberID: id, Generation: g.generation}))
		}
	}
}

type applier func(m *Machine, l logged) error

func apply(m *Machine, l logged) error { return m.Replay(l.Key, l.Value, l.at) }

func replayed(log []logged, a applier) (*Machine, error) {
	m := New(testSettings())
	for _, l := range log {
		if err := a(m, l); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// compacted removes what a compaction may: any record that is not the last of its
// key, and a tombstone that is the last of its key if nothing of that key is left
// before it. Which of them is random; order stays.
func compacted(log []logged, random *rand.Rand) []logged {
	last := map[string]int{}
	for i, l := range log {
		last[string(l.Key)] = i
	}
	left := map[string]bool{}
	var kept []logged
	for i, l := range log {
		k := string(l.Key)
		if i < last[k] && random.IntN(3) > 0 {
			continue
		}
		if i == last[k] && l.Value == nil && !left[k] && random.IntN(2) > 0 {
			continue
		}
		left[k] = true
		kept = append(kept, l)
	}
	return kept
}

// checkReplay compares random compactions of random histories, and the live state
// with the replayed one.
func checkReplay(t testing.TB, a applier, seeds uint64) error {
	for seed := range seeds {
		r := history(t, seed, 300)
		random := rand.New(rand.NewPCG(seed, 5))
		whole, err := replayed(r.log, a)
		if err != nil {
			return err
		}
		want := dump(whole)
		for range 10 {
			part, err := replayed(compacted(r.log, random), a)
			if err != nil {
				return err
			}
			if got := dump(part); got != want {
				return fmt.Errorf("seed %d: the log gives\n%sits compaction gives\n%s", seed, want, got)
			}
		}
		if err := sameAsLive(r.m, whole); err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return nil
}

// sameAsLive: all offsets are what the log says, and so is every group that has
// nothing under way.
func sameAsLive(live, whole *Machine) error {
	for _, name := range live.names() {
		g := live.groups[name]
		w := whole.groups[name]
		if w == nil {
			if g.saved || len(g.offsets) > 0 {
				return fmt.Errorf("the log does not know %s", name)
			}
			continue
		}
		if fmt.Sprint(g.partitions()) != fmt.Sprint(w.partitions()) {
			return fmt.Errorf("%s: offsets of %v, the log has %v", name, g.partitions(), w.partitions())
		}
		for _, tp := range g.partitions() {
			if a, b := g.offsets[tp.Topic].partitions[tp.Partition], w.offsets[tp.Topic].partitions[tp.Partition]; a != b {
				return fmt.Errorf("%s %v: %+v, the log has %+v", name, tp, a, b)
			}
		}
		if g.phase != stable && g.phase != empty || !g.saved {
			continue
		}
		if a, b := fmt.Sprintf("%x", encodeGroup(g.save())), fmt.Sprintf("%x", encodeGroup(w.save())); a != b || g.phase != w.phase {
			return fmt.Errorf("%s: %s %s, the log has %s %s", name, g.phase, a, w.phase, b)
		}
	}
	for _, name := range whole.names() {
		if live.groups[name] == nil {
			return fmt.Errorf("only the log knows %s", name)
		}
	}
	return nil
}

func TestReplay_AnyCompactionGivesTheSame(t *testing.T) {
	if err := checkReplay(t, apply, 60); err != nil {
		t.Fatal(err)
	}
	stables, records := 0, 0
	for seed := range uint64(60) {
		r := history(t, seed, 300)
		records += len(r.log)
		for _, l := range r.log {
			if k, _ := decodeKey(l.Key); !k.offset && l.Value != nil {
				if s, _, _ := decodeGroup(l.Value); len(s.members) > 1 {
					stables++
				}
			}
		}
	}
	if stables < 100 {
		t.Fatalf("only %d records of %d are generations with several members", stables, records)
	}
}

// Replays that need more than the last record of a key must be refuted.
func TestReplay_MutantsAreRefuted(t *testing.T) {
	for name, a := range map[string]applier{
		"an offset needs its group": func(m *Machine, l logged) error {
			if k, _ := decodeKey(l.Key); k.offset && m.groups[k.group] == nil {
				return nil
			}
			return apply(m, l)
		},
		"the first offset wins": func(m *Machine, l logged) error {
			k, _ := decodeKey(l.Key)
			if g := m.groups[k.group]; k.offset && g != nil && g.offsets[k.topic] != nil && l.Value != nil {
				return nil
			}
			return apply(m, l)
		},
		"the greatest offset wins": func(m *Machine, l logged) error {
			k, _ := decodeKey(l.Key)
			if k.offset && l.Value == nil {
				return nil
			}
			return apply(m, l)
		},
		"a tombstone for what is unknown is an error": func(m *Machine, l logged) error {
			if k, _ := decodeKey(l.Key); l.Value == nil && m.groups[k.group] == nil {
				return fmt.Errorf("tombstone for %s, which does not exist", k.group)
			}
			return apply(m, l)
		},
		"generations must grow": func(m *Machine, l logged) error {
			k, _ := decodeKey(l.Key)
			if g := m.groups[k.group]; !k.offset && g != nil && l.Value != nil {
				if s, _, _ := decodeGroup(l.Value); s.generation <= g.generation {
					return nil
				}
			}
			return apply(m, l)
		},
	} {
		err := checkReplay(t, a, 60)
		if err == nil {
			t.Errorf("mutant %q was not refuted", name)
			continue
		}
		t.Logf("mutant %q: %.120s", name, err)
	}
}

func TestReplay_OldRecordsBeginWhenTheyWereWritten(t *testing.T) {
	m := New(testSettings())
	if err := m.Replay(encodeGroupKey("g"), unhex(t, goldenGroups[1]), 77); err != nil {
		t.Fatal(err)
	}
	if got := m.groups["g"].since; got != kafka.Timestamp(77) {
		t.Errorf("since %d", got)
	}
}
