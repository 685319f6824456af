package group

import (
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// mutants are machines with one rule broken.
var mutants = map[string]func(d *driver){
	"replies do not wait for their records": func(d *driver) {
		d.release = func(Reply, Seq) bool { return true }
	},
	"only replies that come with records wait": func(d *driver) {
		d.sync = func(m *Machine, now kafka.Timestamp, c CallID, q *wire.SyncGroupRequest) Effects {
			return early(m.Sync(now, c, q))
		}
	},
	"a sync of a past generation counts for this one": func(d *driver) {
		d.sync = func(m *Machine, now kafka.Timestamp, c CallID, q *wire.SyncGroupRequest) Effects {
			copied := *q
			if g := m.groups["g"]; g != nil {
				copied.Generation = g.generation
			}
			return m.Sync(now, c, &copied)
		}
	},
	"a commit of a past generation counts for this one": func(d *driver) {
		d.commit = func(m *Machine, now kafka.Timestamp, c CallID, q CommitRequest) Effects {
			if g := m.groups["g"]; g != nil && q.Generation >= 0 {
				q.OffsetCommitRequest.Generation = g.generation
			}
			return m.Commit(now, c, q)
		}
	},
	"members commit before they have their assignment": func(d *driver) {
		d.commit = func(m *Machine, now kafka.Timestamp, c CallID, q CommitRequest) Effects {
			if g := m.groups["g"]; g != nil && g.phase == completing {
				g.phase = stable
				defer func() { g.phase = completing }()
			}
			return m.Commit(now, c, q)
		}
	},
	"an instance that was replaced is not fenced": func(d *driver) {
		d.commit = func(m *Machine, now kafka.Timestamp, c CallID, q CommitRequest) Effects {
			if g := m.groups["g"]; g != nil && q.InstanceID != nil && g.static[*q.InstanceID] != nil {
				q.OffsetCommitRequest.MemberID = g.static[*q.InstanceID].id
			}
			return m.Commit(now, c, q)
		}
	},
	"a parked sync is forgotten when a rebalance begins": func(d *driver) {
		d.join = func(m *Machine, now kafka.Timestamp, c CallID, q JoinRequest) Effects {
			return without(m.Join(now, c, q), func(r Reply) bool {
				s, ok := r.Response.(*wire.SyncGroupResponse)
				return ok && kafka.ErrorCode(s.ErrorCode) == kafka.ErrRebalanceInProgress
			})
		}
	},
	"a parked join is forgotten when its member is replaced": func(d *driver) {
		d.join = func(m *Machine, now kafka.Timestamp, c CallID, q JoinRequest) Effects {
			return without(m.Join(now, c, q), func(r Reply) bool {
				j, ok := r.Response.(*wire.JoinGroupResponse)
				return ok && kafka.ErrorCode(j.ErrorCode) == kafka.ErrFencedInstanceID
			})
		}
	},
	"a call is answered twice": func(d *driver) {
		d.sync = func(m *Machine, now kafka.Timestamp, c CallID, q *wire.SyncGroupRequest) Effects {
			e := m.Sync(now, c, q)
			if len(e.Replies) > 1 {
				e.Replies = append(e.Replies, e.Replies[0])
			}
			return e
		}
	},
	"the rebalance has no deadline": func(d *driver) {
		d.join = func(m *Machine, now kafka.Timestamp, c CallID, q JoinRequest) Effects {
			e := m.Join(now, c, q)
			if g := m.groups["g"]; g != nil && g.phase == preparing {
				m.timers.cancel(&g.deadline)
			}
			return e
		}
	},
	"a new member may change the list of a generation": func(d *driver) {
		d.join = func(m *Machine, now kafka.Timestamp, c CallID, q JoinRequest) Effects {
			before := int32(0)
			if g := m.groups["g"]; g != nil {
				before = g.generation
			}
			e := m.Join(now, c, q)
			if g := m.groups["g"]; g != nil && g.generation == before+1 && before > 0 {
				g.generation = before
				for _, r := range e.Replies {
					if j, ok := r.Response.(*wire.JoinGroupResponse); ok {
						j.Generation = before
					}
				}
			}
			return e
		}
	},
	"followers need not wait for the leader": func(d *driver) {
		d.sync = func(m *Machine, now kafka.Timestamp, c CallID, q *wire.SyncGroupRequest) Effects {
			g := m.groups["g"]
			if g != nil && g.phase == completing && g.leader != q.MemberID {
				if member, code := g.validate(q.MemberID, q.InstanceID); code == kafka.ErrNone && q.Generation == g.generation {
					return Effects{Replies: []Reply{{Call: c, After: m.seq, Response: g.synced(member, kafka.ErrNone)}}}
				}
			}
			return m.Sync(now, c, q)
		}
	},
	"the assignment is not written": func(d *driver) {
		d.sync = func(m *Machine, now kafka.Timestamp, c CallID, q *wire.SyncGroupRequest) Effects {
			return unwritten(m, m.Sync(now, c, q))
		}
	},
	"commits are not written": func(d *driver) {
		d.commit = func(m *Machine, now kafka.Timestamp, c CallID, q CommitRequest) Effects {
			return unwritten(m, m.Commit(now, c, q))
		}
	},
	"offsets expire while there are members": func(d *driver) {
		d.tick = func(m *Machine, now kafka.Timestamp) Effects {
			g := m.groups["g"]
			if g != nil && g.phase == stable && now >= m.nextCheck {
				m.nextCheck = now + 8000
				o := m.begin(now)
				for _, tp := range g.partitions() {
					o.tombstone(g, tp)
				}
				return o.finish()
			}
			return m.Tick(now)
		}
	},
	"a restart keeps the first commit": func(d *driver) {
		d.replay = func(m *Machine, l logged) error {
			k, _ := decodeKey(l.Key)
			if g := m.groups[k.group]; k.offset && l.Value != nil && g != nil && len(g.offsets) > 0 {
				return nil
			}
			return apply(m, l)
		}
	},
	"a restart forgets deletions": func(d *driver) {
		d.replay = func(m *Machine, l logged) error {
			if l.Value == nil {
				return nil
			}
			return apply(m, l)
		}
	},
}

func early(e Effects) Effects {
	for i := range e.Replies {
		if e.Seq == 0 {
			e.Replies[i].After = 0
		}
	}
	return e
}

func without(e Effects, forget func(Reply) bool) Effects {
	var kept []Reply
	for _, r := range e.Replies {
		if !forget(r) {
			kept = append(kept, r)
		}
	}
	e.Replies = kept
	return e
}

// unwritten drops the records as if there had been none.
func unwritten(m *Machine, e Effects) Effects {
	if e.Seq == 0 {
		return e
	}
	m.seq--
	for i := range e.Replies {
		e.Replies[i].After = m.seq
	}
	return Effects{Replies: e.Replies}
}

func TestMachine_MutantsAreRefuted(t *testing.T) {
	for name, mutate := range mutants {
		d := honest()
		mutate(&d)
		if _, _, err := exploreAll(d); err == nil {
			t.Errorf("mutant %q was not refuted", name)
		} else {
			t.Logf("mutant %q: %v", name, err)
		}
	}
}
