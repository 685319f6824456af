package quorum

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
)

// team is several quorums with their goroutines, and a network between them that
// takes time, and that can be cut and slowed down. It is for bubbles.
type team struct {
	t     *testing.T
	mu    sync.Mutex
	seats map[kafka.BrokerID]*mate
	deaf  map[[2]kafka.BrokerID]bool // from, to: nothing arrives
	late  map[kafka.BrokerID]time.Duration
	seed  uint64
	// proofs: a crash is seen by everybody, as refused connections are.
	proofs bool
}

// mate is one node of a team.
type mate struct {
	*Quorum
	team   *team
	id     kafka.BrokerID
	dir    kafka.DirectoryID
	ground *env.Test
	clock  clock.Clock
	led    []string
	alive  atomic.Bool
	mail   chan func()
	gone   chan struct{}
	posted chan struct{}
}

func newTeam(t *testing.T, seed uint64) *team {
	w := &team{t: t, seats: map[kafka.BrokerID]*mate{}, deaf: map[[2]kafka.BrokerID]bool{}, late: map[kafka.BrokerID]time.Duration{}, seed: seed, proofs: true}
	t.Cleanup(w.close)
	return w
}

func (w *team) directory(id kafka.BrokerID) kafka.DirectoryID {
	return kafka.DirectoryID{0xd0, byte(id), 1}
}

func (w *team) voters(ids ...kafka.BrokerID) (list []Voter) {
	for _, id := range ids {
		list = append(list, Voter{id, w.directory(id)})
	}
	return list
}

// open starts a node on its disk, which is empty the first time.
func (w *team) open(id kafka.BrokerID, change func(*Options)) *mate {
	w.t.Helper()
	m := &mate{team: w, id: id, dir: w.directory(id), mail: make(chan func(), 4096), gone: make(chan struct{}), posted: make(chan struct{})}
	m.alive.Store(true)
	w.seed++
	if old := w.seats[id]; old != nil {
		m.ground, m.dir = old.ground, old.dir
	} else {
		m.ground = env.NewTest(w.seed)
		must(w.t, m.ground.FS.MkdirAll("data"), m.ground.FS.SyncDir("."))
	}
	m.clock = m.ground.Clock
	o := Options{Env: m.ground.Env, Dir: "data", Self: id, ClusterID: testCluster, DirectoryID: m.dir, Config: config.Default(),
		Transport: m, Forward: m, Puller: m, Log: slog.New(slog.DiscardHandler)}
	o.Led = func(leading bool, term kafka.LeaderEpoch) { m.led = append(m.led, fmt.Sprint(leading, term)) }
	if change != nil {
		change(&o)
	}
	q, err := Open(o)
	if err != nil {
		w.t.Fatalf("node %d: %v", id, err)
	}
	m.Quorum = q
	w.mu.Lock()
	w.seats[id] = m
	w.mu.Unlock()
	go m.postman()
	q.Start()
	return m
}

// found opens nodes that found a cluster together.
func (w *team) found(ids ...kafka.BrokerID) {
	for _, id := range ids {
		w.open(id, func(o *Options) { o.Voters = w.voters(ids...) })
	}
}

func (w *team) join(id kafka.BrokerID, sources ...kafka.BrokerID) *mate {
	return w.open(id, func(o *Options) { o.Join, o.Sources = true, sources })
}

// postman delivers in order.
func (m *mate) postman() {
	defer close(m.posted)
	for {
		select {
		case f := <-m.mail:
			f()
		case <-m.gone:
			return
		}
	}
}

// retire ends the postman.
func (m *mate) retire() {
	close(m.gone)
	<-m.posted
}

// reach returns the node, nil where nothing arrives there.
func (w *team) reach(from, to kafka.BrokerID) *mate {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.seats[to]
	if m == nil || !m.alive.Load() || w.deaf[[2]kafka.BrokerID{from, to}] || !w.seats[from].alive.Load() {
		return nil
	}
	return m
}

// isolate cuts a node off from the others, in both directions.
func (w *team) isolate(id kafka.BrokerID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for other := range w.seats {
		w.deaf[[2]kafka.BrokerID{id, other}], w.deaf[[2]kafka.BrokerID{other, id}] = true, true
	}
}

func (w *team) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.deaf)
	clear(w.late)
}

func (w *team) delay(from, to kafka.BrokerID) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Millisecond + w.late[from] + w.late[to]
}

// Send implements Transport.
func (m *mate) Send(messages []Message) {
	for _, x := range messages {
		select {
		case m.mail <- func() { m.carry(x) }:
		default:
			if x.Snapshot {
				m.team.t.Error("the mail is full")
			}
		}
	}
}

func (m *mate) carry(x Message) {
	m.clock.Sleep(20 * time.Microsecond)
	to := m.team.reach(m.id, x.To)
	arrived := to != nil
	if arrived {
		wait := m.team.delay(m.id, x.To)
		m.clock.AfterFunc(wait, func() {
			if to.alive.Load() {
				if err := to.Receive(x.Bytes); err != nil {
					m.team.t.Error(err)
				}
			}
		})
	}
	if x.Snapshot {
		m.ReportSnapshot(x, arrived)
	}
}

// Submit implements Forwarder; it hides the Submit of the quorum, which ask calls.
func (m *mate) Submit(ctx context.Context, leader kafka.BrokerID, command []byte) ([]byte, error) {
	m.clock.Sleep(m.team.delay(m.id, leader))
	to := m.team.reach(m.id, leader)
	if to == nil {
		return nil, fmt.Errorf("node %d: %w", leader, ErrNotSent)
	}
	b, err := to.SubmitEncoded(ctx, command)
	m.clock.Sleep(m.team.delay(m.id, leader))
	if m.team.reach(leader, m.id) == nil {
		return nil, fmt.Errorf("node %d: connection lost", leader)
	}
	return b, err
}

// Pull implements Puller.
func (m *mate) Pull(ctx context.Context, node kafka.BrokerID, from kafka.Offset) (Pulled, error) {
	m.clock.Sleep(m.team.delay(m.id, node))
	to := m.team.reach(m.id, node)
	if to == nil {
		return Pulled{}, ErrNotSent
	}
	return to.Quorum.Pull(ctx, from, PullBytesMax)
}

// ask submits with a time limit.
func (m *mate) ask(limit time.Duration, c controller.Command) (controller.Reply, error) {
	ctx, cancel := context.WithTimeout(m.team.t.Context(), limit)
	defer cancel()
	return m.Quorum.Submit(ctx, c)
}

func (m *mate) must(c controller.Command) controller.Reply {
	m.team.t.Helper()
	r, err := m.ask(10*time.Second, c)
	if err != nil {
		m.team.t.Fatalf("node %d, %T: %v", m.id, c, err)
	}
	for _, x := range r.Topics {
		if x.Code != kafka.ErrNone {
			m.team.t.Fatalf("node %d, %T: %+v", m.id, c, x)
		}
	}
	return r
}

// kill ends a node between two instructions, as kill -9 does: its disk keeps what
// it wrote. Others see their connections refused.
func (w *team) kill(id kafka.BrokerID) {
	w.mu.Lock()
	m := w.seats[id]
	m.alive.Store(false)
	w.mu.Unlock()
	m.ground = m.ground.Kill(w.seed)
	m.retire()
	_ = m.Close()
	if w.proofs {
		for other, x := range w.seats {
			if other != id && x.alive.Load() {
				_ = x.LeaderDead(w.t.Context(), id)
			}
		}
	}
}

// stop ends a node in order.
func (w *team) stop(id kafka.BrokerID) {
	m := w.seats[id]
	must(w.t, m.Resign(w.t.Context()), m.Close())
	w.mu.Lock()
	m.alive.Store(false)
	w.mu.Unlock()
	m.retire()
}

func (w *team) close() {
	for _, m := range w.seats {
		if m.alive.Load() {
			m.alive.Store(false)
			if err := m.Close(); err != nil {
				w.t.Error(err)
			}
			m.retire()
		}
	}
}

// until waits until every living node of ids says so; it returns how long it took.
func (w *team) until(limit time.Duration, what string, ok func(m *mate) bool, ids ...kafka.BrokerID) time.Duration {
	w.t.Helper()
	began := time.Now()
	for {
		left := 0
		for _, id := range ids {
			if m := w.seats[id]; m.alive.Load() && !ok(m) {
				left++
			}
		}
		if left == 0 {
			return time.Since(began)
		}
		if time.Since(began) > limit {
			for _, m := range w.seats {
				w.t.Logf("node %d, alive %v: %+v, image %d, err %v", m.id, m.alive.Load(), m.Describe(), m.Image().Offset(), m.Err())
			}
			w.t.Fatalf("after %v: %s", limit, what)
		}
		clockOf(w).Sleep(time.Millisecond)
	}
}

func clockOf(w *team) interface{ Sleep(time.Duration) } {
	for _, m := range w.seats {
		return m.clock
	}
	panic("empty")
}

// leader waits for one that decides.
func (w *team) leader(limit time.Duration) *mate {
	w.t.Helper()
	var found *mate
	w.until(limit, "nobody leads", func(*mate) bool {
		for _, m := range w.seats {
			if m.alive.Load() && m.role.Load().leading {
				found = m
				return true
			}
		}
		return false
	}, w.living()...)
	return found
}

func (w *team) living() (ids []kafka.BrokerID) {
	for id, m := range w.seats {
		if m.alive.Load() {
			ids = append(ids, id)
		}
	}
	return ids
}

// agree waits until the nodes have applied the same.
func (w *team) agree(ids ...kafka.BrokerID) {
	w.t.Helper()
	w.until(20*time.Second, "the images differ", func(m *mate) bool {
		first := w.seats[ids[0]].Image()
		return m.Image().Offset() == first.Offset() && m.Image().String() == first.String()
	}, ids...)
}
