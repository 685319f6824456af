package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/lifecycle"
	"holdfast/internal/meta"
	"holdfast/internal/peer"
	"holdfast/internal/quorum"
	"holdfast/internal/wire"
)

// team is a cluster whose quorum is a value: whoever is named leads it, and a command
// is decided at once.
type team struct {
	t     *testing.T
	clock env.Env
	lives map[kafka.BrokerID]*lifecycle.Lifecycle
	stops map[kafka.BrokerID]context.CancelFunc
	group sync.WaitGroup

	mu     sync.Mutex
	image  *meta.Image
	leader kafka.BrokerID
	heard  map[kafka.BrokerID]time.Time
	gone   map[kafka.BrokerID]bool      // its process has ended
	mute   map[[2]kafka.BrokerID]bool   // what the first says does not reach the second
	told   []kafka.BrokerID             // LeaderDead
	fenced map[kafka.BrokerID]time.Time // when
	lie    func(seer, about kafka.BrokerID) (refused bool, ok bool)
	cutOff map[kafka.BrokerID]bool
}

var errCut = errors.New("cut")

func newTeam(t *testing.T, brokers ...kafka.BrokerID) *team {
	m := &team{t: t, clock: env.NewTest(1).Env, lives: map[kafka.BrokerID]*lifecycle.Lifecycle{}, stops: map[kafka.BrokerID]context.CancelFunc{},
		leader: brokers[0], heard: map[kafka.BrokerID]time.Time{}, gone: map[kafka.BrokerID]bool{}, mute: map[[2]kafka.BrokerID]bool{},
		fenced: map[kafka.BrokerID]time.Time{}, cutOff: map[kafka.BrokerID]bool{}}
	var err error
	if m.image, _, err = meta.Empty().Apply(1, controller.Found(kafka.ClusterID{1})); err != nil {
		t.Fatal(err)
	}
	for _, id := range brokers {
		m.add(id)
	}
	m.lead(m.leader)
	for _, id := range brokers {
		if _, err := m.lives[id].Register(context.Background()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		m.stops[id] = cancel
		m.group.Go(func() { m.lives[id].Run(ctx) })
	}
	<-time.After(time.Second)
	for _, id := range brokers {
		if m.broker(id).Fenced {
			t.Fatalf("broker %d is not let in", id)
		}
	}
	return m
}

func (m *team) add(id kafka.BrokerID) {
	r := controller.RegisterBroker{ID: id, Incarnation: kafka.UUID{byte(id)}, Starts: 1, Directories: []kafka.DirectoryID{{byte(id)}},
		Endpoints: []meta.Endpoint{{Listener: "PLAINTEXT", Host: "h", Port: int32(id)}}, PreviousEpoch: -1, Features: meta.FeatureLevelMax}
	v := view{m, id}
	m.lives[id] = lifecycle.New(lifecycle.Options{Env: m.clock, Log: slog.New(slog.DiscardHandler), Quorum: v, Peers: v, Registration: r,
		Applied:  func() kafka.Offset { return v.Image().Offset() },
		Isolated: func(is bool) { m.mu.Lock(); m.cutOff[id] = is; m.mu.Unlock() },
		Logs: func(*wire.ReplicaLogsRequest) *wire.ReplicaLogsResponse {
			return &wire.ReplicaLogsResponse{ErrorCode: 1}
		},
		Settings: config.Default})
}

func (m *team) close() {
	for _, stop := range m.stops {
		stop()
	}
	m.group.Wait()
}

// lead makes a node the leader of the quorum; NoBroker: nobody leads.
func (m *team) lead(id kafka.BrokerID) {
	m.mu.Lock()
	old := m.leader
	m.leader = id
	m.mu.Unlock()
	if l := m.lives[old]; l != nil && old != id {
		l.Led(false, 0)
	}
	if l := m.lives[id]; l != nil {
		l.Led(true, 1)
	}
}

// end ends the process of a broker.
func (m *team) end(id kafka.BrokerID) {
	m.stops[id]()
	m.mu.Lock()
	m.gone[id] = true
	m.mu.Unlock()
}

func (m *team) broker(id kafka.BrokerID) meta.Broker {
	m.mu.Lock()
	defer m.mu.Unlock()
	return *m.image.Broker(id)
}

func (m *team) fencedAt() map[kafka.BrokerID]time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.fenced)
}

func (m *team) whoIsCutOff() map[kafka.BrokerID]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.cutOff)
}

func (m *team) toldDead() []kafka.BrokerID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.told)
}

// silence cuts both directions between a broker and the others.
func (m *team) silence(id kafka.BrokerID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for other := range m.lives {
		m.mute[[2]kafka.BrokerID{id, other}], m.mute[[2]kafka.BrokerID{other, id}] = true, true
	}
}

// view is the quorum and the other brokers as one broker sees them.
type view struct {
	m  *team
	id kafka.BrokerID
}

func (v view) Submit(ctx context.Context, c controller.Command) (controller.Reply, error) {
	m := v.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return controller.Reply{}, err
	}
	if m.leader == kafka.NoBroker {
		return controller.Reply{}, &quorum.NotLeaderError{Leader: kafka.NoBroker}
	}
	records, reply, err := controller.Decide(m.image, controller.Inputs{NewID: func() kafka.UUID { return kafka.UUID{9} }, Config: config.Default()}, c)
	if err != nil || len(records) == 0 {
		return reply, err
	}
	at := m.image.Offset() + 1
	next, delta, err := m.image.Apply(at, records)
	if err != nil {
		return reply, err
	}
	m.image = next
	if f, ok := c.(controller.FenceBroker); ok {
		m.fenced[f.Broker] = time.Now()
	}
	for id, l := range m.lives {
		if !m.gone[id] {
			go l.Changed(delta, next)
		}
	}
	return reply.At(at), nil
}

func (v view) Image() *meta.Image {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	return v.m.image
}

func (v view) Leader() kafka.BrokerID {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	return v.m.leader
}

func (v view) LeaderDead(_ context.Context, node kafka.BrokerID) error {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	if !slices.Contains(v.m.told, node) {
		v.m.told = append(v.m.told, node)
	}
	return nil
}

func (v view) Heard(node kafka.BrokerID) time.Time {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	return v.m.heard[node]
}

func (v view) Describe() quorum.Description { return quorum.Description{} }

func (v view) ChangeVoters(context.Context, []quorum.Voter) error { return quorum.ErrChanging }

func (v view) Do(ctx context.Context, to kafka.BrokerID, key kafka.APIKey, q, r wire.Message) error {
	m := v.m
	m.mu.Lock()
	forth, back, gone := m.mute[[2]kafka.BrokerID{v.id, to}], m.mute[[2]kafka.BrokerID{to, v.id}], m.gone[to]
	m.mu.Unlock()
	if gone {
		return errCut
	}
	if forth {
		<-ctx.Done()
		return ctx.Err()
	}
	from := auth.Identity{Broker: v.id}
	switch key {
	case wire.KeyReportHeartbeat:
		*r.(*wire.ReportHeartbeatResponse) = *m.lives[to].Heartbeat(ctx, from, q.(*wire.ReportHeartbeatRequest))
	case wire.KeyReportDead:
		*r.(*wire.ReportDeadResponse) = *m.lives[to].Dead(ctx, from, q.(*wire.ReportDeadRequest))
	case wire.KeyFoundingProbe:
	default:
		return fmt.Errorf("request %d", key)
	}
	if back {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (v view) Watch(kafka.BrokerID) {}

func (v view) Refused(id kafka.BrokerID) (bool, error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	if v.m.lie != nil {
		if refused, ok := v.m.lie(v.id, id); ok {
			return refused, nil
		}
	}
	if v.m.mute[[2]kafka.BrokerID{v.id, id}] {
		return false, errCut
	}
	return v.m.gone[id], nil
}

func bubble(t *testing.T, test func(*testing.T)) { synctest.Test(t, test) }

// TestSessions_SilenceEndsThem, not sooner and not much later; heartbeats keep them.
func TestSessions_SilenceEndsThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newTeam(t, 1, 2, 3)
		defer m.close()
		<-time.After(10 * time.Second)
		if len(m.fencedAt()) > 0 {
			t.Fatalf("fenced though alive: %v", m.fencedAt())
		}
		began := time.Now()
		m.silence(3)
		<-time.After(5 * time.Second)
		took := m.fencedAt()[3].Sub(began)
		if took < 1700*time.Millisecond || took > 2100*time.Millisecond || len(m.fencedAt()) != 1 {
			t.Errorf("fenced after %v: %v", took, m.fencedAt())
		}
		if !m.whoIsCutOff()[3] || m.whoIsCutOff()[2] {
			t.Errorf("who knows that it is cut off: %v", m.whoIsCutOff())
		}
	})
}

// TestSessions_OneWay: a broker whose heartbeats arrive but who hears no answer does
// not keep its session alive.
func TestSessions_OneWay(t *testing.T) {
	for _, direction := range [][2]kafka.BrokerID{{1, 3}, {3, 1}} {
		bubble(t, func(t *testing.T) {
			m := newTeam(t, 1, 2, 3)
			defer m.close()
			m.mu.Lock()
			m.mute[direction] = true
			m.mu.Unlock()
			<-time.After(4 * time.Second)
			if !m.broker(3).Fenced || m.broker(2).Fenced {
				t.Errorf("nothing passes from %d to %d: fenced are %v", direction[0], direction[1], m.fencedAt())
			}
		})
	}
}

// TestSessions_NewLeader gives everybody a fresh session, but for who led before: its
// silence, which the election followed, counts.
func TestSessions_NewLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newTeam(t, 1, 2, 3)
		defer m.close()
		silent := time.Now()
		m.silence(1)
		m.mu.Lock()
		m.heard[1] = silent
		m.mu.Unlock()
		<-time.After(1500 * time.Millisecond) // the election
		m.lead(2)
		elected := time.Now()
		<-time.After(5 * time.Second)
		if took := m.fencedAt()[1].Sub(silent); took < 2*time.Second || took > 2200*time.Millisecond {
			t.Errorf("who led before is fenced %v after its last word, %v after the election", took, m.fencedAt()[1].Sub(elected))
		}
		if len(m.fencedAt()) != 1 {
			t.Errorf("fenced: %v", m.fencedAt())
		}
	})
}

// deaths plays what is seen of a broker's end, and reports whether it was fenced
// within half a second, well before a session ends. One that lives is let in again at
// once.
func deaths(t *testing.T, m *team, play func(m *team, epoch kafka.BrokerEpoch)) (fenced bool) {
	t.Helper()
	play(m, m.broker(3).Epoch)
	<-time.After(500 * time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	_, fenced = m.fenced[3]
	return fenced
}

// TestDeath_NeedsTwoWitnesses: what proves a death and what does not.
func TestDeath_NeedsTwoWitnesses(t *testing.T) {
	saw := func(m *team, who kafka.BrokerID, l peer.Loss) { m.lives[who].Lost(l) }
	cases := map[string]struct {
		play func(m *team, epoch kafka.BrokerEpoch)
		want bool
	}{
		"a peer saw it, and the controller is refused": {func(m *team, e kafka.BrokerEpoch) {
			m.end(3)
			saw(m, 2, peer.Loss{Broker: 3, Epoch: e, Refused: true})
		}, true},
		"only the controller saw it": {func(m *team, e kafka.BrokerEpoch) {
			m.end(3)
			saw(m, 1, peer.Loss{Broker: 3, Epoch: e, Refused: true})
		}, false},
		"a connection ended, and the next one was made": {func(m *team, e kafka.BrokerEpoch) {
			saw(m, 2, peer.Loss{Broker: 3, Epoch: e})
		}, false},
		"a peer is refused by a broker that lives": {func(m *team, e kafka.BrokerEpoch) {
			saw(m, 2, peer.Loss{Broker: 3, Epoch: e, Refused: true})
		}, false},
		"both are refused, and only the controller reports": {func(m *team, e kafka.BrokerEpoch) {
			m.end(3)
			saw(m, 1, peer.Loss{Broker: 3, Epoch: e, Refused: true})
			saw(m, 1, peer.Loss{Broker: 3, Epoch: e, Refused: true})
		}, false},
		"an earlier incarnation died": {func(m *team, e kafka.BrokerEpoch) {
			saw(m, 2, peer.Loss{Broker: 3, Epoch: e - 1, Refused: true})
		}, false},
		"the controller cannot reach it": {func(m *team, e kafka.BrokerEpoch) {
			m.mu.Lock()
			m.mute[[2]kafka.BrokerID{1, 3}] = true
			m.mu.Unlock()
			saw(m, 2, peer.Loss{Broker: 3, Epoch: e, Refused: true})
		}, false},
	}
	play := func(name string, lie func(seer, about kafka.BrokerID) (bool, bool)) (right bool) {
		right = true
		bubble(t, func(t *testing.T) {
			m := newTeam(t, 1, 2, 3)
			defer m.close()
			m.mu.Lock()
			m.lie = lie
			m.mu.Unlock()
			if got := deaths(t, m, cases[name].play); got != cases[name].want {
				right = false
			}
		})
		return right
	}
	for name := range cases {
		if !play(name, nil) {
			t.Errorf("%s: fenced is %v", name, !cases[name].want)
		}
	}
	// Wrong rules: the controller believes without looking; it never believes.
	for mutant, lie := range map[string]func(seer, about kafka.BrokerID) (bool, bool){
		"one peer's word is a proof": func(kafka.BrokerID, kafka.BrokerID) (bool, bool) { return true, true },
		"nothing is a proof":         func(kafka.BrokerID, kafka.BrokerID) (bool, bool) { return false, true },
	} {
		refuted := ""
		for name := range cases {
			if !play(name, lie) {
				refuted = name
			}
		}
		if refuted == "" {
			t.Errorf("the wrong rule %q is not refuted", mutant)
		}
		t.Logf("%s: refuted by %q", mutant, refuted)
	}
}

// TestDeath_OfTheLeader: the process of the quorum's leader ends. Whoever sees it says
// so to the quorum, and the report reaches whoever leads then.
func TestDeath_OfTheLeader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newTeam(t, 1, 2, 3)
		defer m.close()
		epoch := m.broker(1).Epoch
		m.end(1)
		for _, id := range []kafka.BrokerID{2, 3} {
			m.lives[id].Lost(peer.Loss{Broker: 1, Epoch: epoch, Refused: true})
		}
		<-time.After(200 * time.Millisecond)
		if !slices.Contains(m.toldDead(), 1) {
			t.Error("the quorum was not told")
		}
		m.lead(kafka.NoBroker)
		<-time.After(200 * time.Millisecond)
		m.lead(2)
		elected := time.Now()
		<-time.After(time.Second)
		if took := m.fencedAt()[1].Sub(elected); !m.broker(1).Fenced || took > 100*time.Millisecond {
			t.Errorf("fenced %v after the election", took)
		}
	})
}

// TestLeave_WaitsForEveryone: who leaves may go when the others have applied what
// moved its leaders.
func TestLeave_WaitsForEveryone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newTeam(t, 1, 2, 3)
		defer m.close()
		began := time.Now()
		if err := m.lives[3].Leave(context.Background()); err != nil {
			t.Error(err)
		}
		if b := m.broker(3); !b.ShuttingDown {
			t.Errorf("%+v", b)
		}
		t.Logf("left in %v", time.Since(began))
		// Nobody answers: it does not wait for ever.
		m.lead(kafka.NoBroker)
		began = time.Now()
		if err := m.lives[2].Leave(context.Background()); err == nil || time.Since(began) > 3*time.Second {
			t.Errorf("without a controller: %v after %v", err, time.Since(began))
		}
	})
}
