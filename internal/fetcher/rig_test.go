package fetcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/datadir"
	"holdfast/internal/env"
	"holdfast/internal/isr"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/partition"
	"holdfast/internal/peer"
	"holdfast/internal/purgatory"
	"holdfast/internal/record"
	"holdfast/internal/wire"
)

// The brokers of the tests: broker 1 leads, broker 2 follows.
const (
	leads   kafka.BrokerID = 1
	follows kafka.BrokerID = 2
)

var (
	topic       = kafka.TopicID{7}
	incarnation = map[kafka.BrokerID]kafka.BrokerEpoch{leads: 10, follows: 20}
)

// rig is a broker that leads, one that follows, and the fetcher between them.
type rig struct {
	t        *testing.T
	settings config.Topic
	leader   *host
	follower *host
	door     *door
	fetcher  *Fetcher
	epoch    kafka.LeaderEpoch
	state    kafka.PartitionEpoch
}

// host is one broker's data directory with its partitions.
type host struct {
	r          *rig
	id         kafka.BrokerID
	ground     *env.Test
	dir        *datadir.Dir
	partitions []*partition.Partition
	// cutting, when set, holds up whoever cuts a log.
	cutting chan struct{}
}

// Cut implements partition.Storage.
func (h *host) Cut(l *log.Log, to kafka.Offset) error {
	if h.cutting != nil {
		<-h.cutting
	}
	return h.dir.Cut(l, to)
}

// storage is the data directory with a slow Cut.
type storage struct {
	*datadir.Dir
	h *host
}

func (s storage) Cut(l *log.Log, to kafka.Offset) error { return s.h.Cut(l, to) }

// inBubble runs a test with its own time. Partitions 0 to n-1 are led and followed.
func inBubble(t *testing.T, n int, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, n)
		defer func() {
			r.fetcher.Close()
			for _, h := range []*host{r.leader, r.follower} {
				if err := h.dir.Close(); err != nil {
					t.Error(err)
				}
			}
		}()
		test(r)
	})
}

func newRig(t *testing.T, n int) *rig {
	t.Helper()
	settings, err := config.ResolveTopic(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, settings: settings, epoch: 1}
	r.leader, r.follower = r.newHost(leads), r.newHost(follows)
	r.door = &door{r: r, sessions: map[int32]*fakeSession{}, refuse: map[kafka.PartitionIndex]kafka.ErrorCode{}}
	r.fetcher = New(Options{Self: follows, Epoch: func() kafka.BrokerEpoch { return incarnation[follows] },
		Data:    func(kafka.BrokerID) Client { return r.door },
		Control: func(kafka.BrokerID) Client { return r.door },
		Clock:   r.follower.ground.Clock, Log: slog.New(slog.DiscardHandler)})
	for i := range n {
		r.leader.open(i)
		r.follower.open(i)
		r.lead(i)
	}
	return r
}

func (r *rig) newHost(id kafka.BrokerID) *host {
	h := &host{r: r, id: id, ground: env.NewTest(uint64(id))}
	d, err := datadir.Open(datadir.Options{Env: h.ground.Env, Dir: "/data", NodeID: id, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.t.Fatal(err)
	}
	h.dir = d
	return h
}

func (h *host) open(i int) {
	id := kafka.TopicIDPartition{TopicID: topic, Partition: kafka.PartitionIndex(i)}
	l, _, err := h.dir.OpenLog("t", id, log.DefaultConfig())
	if err != nil {
		h.r.t.Fatal(err)
	}
	o := partition.Options{Topic: "t", ID: id, Self: h.id, Log: l, Storage: storage{h.dir, h}, Clock: h.ground.Clock, Config: &h.r.settings,
		HighWatermark: h.dir.HighWatermark(l.Key())}
	if h.id == follows {
		o.Progressed = h.r.fetcher.Progressed
	}
	h.partitions = append(h.partitions, partition.New(o))
}

// lead has broker 1 lead partition i in the present epoch, with both in sync.
func (r *rig) lead(i int) {
	r.state++
	both := []kafka.BrokerID{leads, follows}
	r.leader.partitions[i].Lead(partition.Leadership{Epoch: r.epoch, PartitionEpoch: r.state, Replicas: both, ISR: both, MinISR: 2,
		Candidates: []isr.Candidate{{ID: leads, Epoch: incarnation[leads]}, {ID: follows, Epoch: incarnation[follows]}}})
}

// follow has broker 2 follow partition i in the present epoch.
func (r *rig) follow(i int) {
	r.follower.partitions[i].Follow(partition.Following{Epoch: r.epoch, Leader: leads, PartitionEpoch: r.state})
	r.fetcher.Follow(r.follower.partitions[i], leads)
}

// batch is one record batch.
func batch(t *testing.T, value string) []byte {
	t.Helper()
	b := record.NewBuilder(record.Options{})
	b.Append(1000, nil, []byte(value))
	data, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// write is a produce that waits for every in-sync replica.
type write struct {
	r *rig
	p *partition.Partition
	partition.AppendResult
	done chan struct{}
}

func (r *rig) produce(i int, value string) *write {
	r.t.Helper()
	w := &write{r: r, p: r.leader.partitions[i], done: make(chan struct{})}
	waiter := purgatory.New(1, sync.OnceFunc(func() { close(w.done) }))
	w.AppendResult = w.p.Append(partition.AppendRequest{Records: batch(r.t, value), Asked: -1, Wait: partition.WaitISR, Waiter: waiter})
	if w.Code != kafka.ErrNone {
		r.t.Fatalf("append to partition %d: %v", i, w.Code)
	}
	if !w.Waiting {
		close(w.done)
	}
	return w
}

// acked waits until the write is acknowledged, no longer than limit.
func (w *write) acked(limit time.Duration) {
	w.r.t.Helper()
	select {
	case <-w.done:
		if code := w.p.Outcome(w.Receipt, partition.WaitISR); code != kafka.ErrNone {
			w.r.t.Errorf("partition %d, offset %d: %v", w.p.ID().Partition, w.Receipt.Base, code)
		}
	case <-time.After(limit):
		w.r.t.Errorf("partition %d, offset %d is not acknowledged within %s", w.p.ID().Partition, w.Receipt.Base, limit)
	}
}

func (w *write) isAcked() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// same checks that the follower's log is the leader's, byte for byte.
func (r *rig) same(i int) {
	r.t.Helper()
	a, b := content(r.t, r.leader.partitions[i]), content(r.t, r.follower.partitions[i])
	if len(a) == 0 || !slices.Equal(a, b) {
		r.t.Errorf("partition %d: the follower has %d bytes, the leader %d, or they differ", i, len(b), len(a))
	}
}

func content(t *testing.T, p *partition.Partition) (all []byte) {
	t.Helper()
	for from, end := p.Log().Start(), p.Log().End(); from < end; {
		rng, err := p.Log().Read(from, end, 1<<30, true)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rangeBytes(t, rng)...)
		from = rng.End
	}
	return all
}

func rangeBytes(t *testing.T, rng log.Range) []byte {
	if rng.Source == nil {
		return nil
	}
	defer rng.Source.Release()
	b := make([]byte, rng.Length)
	if _, err := rng.Source.ReadAt(b, rng.Position); err != nil && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	return b
}

// door answers as the leader's broker does: fetches with and without a session, and
// reports of progress. It keeps what a session was told the way KIP-227 says, so
// that it leaves out what has not changed.
type door struct {
	r *rig

	mu       sync.Mutex
	last     int32
	busy     int       // calls in a row at one moment
	moment   time.Time // of them
	sessions map[int32]*fakeSession
	fetches  []fetched
	reports  []wire.ReplicaProgressRequest
	down     error // every call fails with it
	cut      chan struct{}
	refuse   map[kafka.PartitionIndex]kafka.ErrorCode // for fetches
	deaf     kafka.ErrorCode                          // for reports
	slow     time.Duration                            // of a report
}

// fetched is one fetch request.
type fetched struct {
	id, epoch  int32
	partitions []kafka.PartitionIndex
	forgotten  []kafka.PartitionIndex
	at         time.Time
}

type fakeSession struct {
	epoch int32
	parts map[kafka.PartitionIndex]*told
}

type told struct {
	want     wire.FetchRequestTopicPartition
	any      bool
	high     kafka.Offset
	logStart kafka.Offset
}

// busyMax is how many calls may come without any time going by.
const busyMax = 10_000

// Call implements Client.
func (d *door) Call(ctx context.Context, q *peer.Call) error {
	d.mu.Lock()
	down := d.down
	if d.cut == nil {
		d.cut = make(chan struct{})
	}
	cut := d.cut
	if now := time.Now(); now.Equal(d.moment) {
		d.busy++
	} else {
		d.busy, d.moment = 0, now
	}
	if d.busy > busyMax {
		panic("somebody asks again and again, without a pause")
	}
	d.mu.Unlock()
	buffer := q.Buffer
	q.Buffer = nil
	if down != nil {
		return down
	}
	var response wire.Message
	var err error
	body := q.Request.Append(nil, q.Version)
	switch q.Key {
	case wire.KeyFetch:
		var request wire.FetchRequest
		if err := request.Decode(body, q.Version); err != nil {
			return err
		}
		response, err = d.fetch(ctx, cut, &request)
	case wire.KeyReplicaProgress:
		var request wire.ReplicaProgressRequest
		if err := request.Decode(body, q.Version); err != nil {
			return err
		}
		response, err = d.report(&request)
	default:
		err = fmt.Errorf("unexpected request %d", q.Key)
	}
	if err != nil {
		return err
	}
	q.Buffer = response.Append(buffer[:0], q.Version)
	return q.Response.Decode(q.Buffer, q.Version)
}

// lose ends every call that is under way, and all to come until back is called.
func (d *door) lose(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = err
	if d.cut != nil {
		close(d.cut)
	}
	d.cut = nil
	d.sessions = map[int32]*fakeSession{}
}

func (d *door) back() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = nil
}

func (d *door) fetch(ctx context.Context, cut chan struct{}, q *wire.FetchRequest) (*wire.FetchResponse, error) {
	s, response := d.session(q)
	if s == nil {
		return response, nil
	}
	deadline := time.NewTimer(time.Duration(q.MaxWaitMillis) * time.Millisecond)
	defer deadline.Stop()
	for {
		wake := make(chan struct{})
		waiter := purgatory.New(1, sync.OnceFunc(func() { close(wake) }))
		answer, enough := d.read(s, q, response.SessionID)
		if enough || q.MaxWaitMillis == 0 || !d.park(s, waiter) {
			if enough || q.MaxWaitMillis == 0 {
				waiter.Finish()
				return answer, nil
			}
			waiter.Finish()
			continue
		}
		select {
		case <-wake:
		case <-deadline.C:
			waiter.Finish()
			answer, _ = d.read(s, q, response.SessionID)
			return answer, nil
		case <-cut:
			waiter.Finish()
			return nil, errLost
		case <-ctx.Done():
			waiter.Finish()
			return nil, ctx.Err()
		}
	}
}

var errLost = errors.New("the connection is gone")

// session finds what a fetch is about. It returns nil with an answer where there is
// no such session.
func (d *door) session(q *wire.FetchRequest) (*fakeSession, *wire.FetchResponse) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := fetched{id: q.SessionID, epoch: q.SessionEpoch, at: time.Now()}
	response := &wire.FetchResponse{SessionID: q.SessionID}
	s := d.sessions[q.SessionID]
	switch {
	case q.SessionEpoch == -1:
		s = &fakeSession{parts: map[kafka.PartitionIndex]*told{}}
		response.SessionID = 0
	case q.SessionEpoch == 0:
		delete(d.sessions, q.SessionID)
		d.last++
		s = &fakeSession{epoch: 1, parts: map[kafka.PartitionIndex]*told{}}
		d.sessions[d.last] = s
		response.SessionID = d.last
	case s == nil:
		response.ErrorCode = int16(kafka.ErrFetchSessionIDNotFound)
	case s.epoch != q.SessionEpoch:
		response.ErrorCode = int16(kafka.ErrInvalidFetchSessionEpoch)
		s = nil
	default:
		s.epoch = kafka.NextSessionEpoch(s.epoch)
	}
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			i := kafka.PartitionIndex(p.Partition)
			f.partitions = append(f.partitions, i)
			if s != nil && s.parts[i] == nil {
				s.parts[i] = &told{}
			}
			if s != nil {
				s.parts[i].want = p
			}
		}
	}
	for _, t := range q.ForgottenTopics {
		for _, p := range t.Partitions {
			f.forgotten = append(f.forgotten, kafka.PartitionIndex(p))
			if s != nil {
				delete(s.parts, kafka.PartitionIndex(p))
			}
		}
	}
	d.fetches = append(d.fetches, f)
	return s, response
}

func (s *fakeSession) order() (list []kafka.PartitionIndex) {
	for i := range s.parts {
		list = append(list, i)
	}
	slices.Sort(list)
	return list
}

// read builds an answer. enough: it need not wait.
func (d *door) read(s *fakeSession, q *wire.FetchRequest, id int32) (answer *wire.FetchResponse, enough bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	answer = &wire.FetchResponse{SessionID: id}
	rows := wire.FetchResponseTopic{TopicID: topic}
	left := int(q.MaxBytes)
	for _, i := range s.order() {
		x := s.parts[i]
		row := wire.NewFetchResponseTopicPartition()
		row.Partition = int32(i)
		var o partition.Offsets
		if code := d.refuse[i]; code != kafka.ErrNone {
			row.ErrorCode = int16(code)
		} else {
			res := d.r.leader.partitions[i].Read(partition.ReadRequest{From: kafka.Offset(x.want.FetchOffset), MaxBytes: min(left, int(x.want.PartitionMaxBytes)),
				MinOne: left == int(q.MaxBytes), CurrentEpoch: kafka.LeaderEpoch(x.want.CurrentLeaderEpoch), LastFetchedEpoch: kafka.LeaderEpoch(x.want.LastFetchedEpoch),
				Replica: kafka.BrokerID(q.ReplicaState.ID), ReplicaEpoch: kafka.BrokerEpoch(q.ReplicaState.Epoch)})
			o = res.Offsets
			row.ErrorCode, row.RecordBatches = int16(res.Code), rangeBytes(d.r.t, res.Range)
			left -= len(row.RecordBatches)
			if res.Diverging != nil {
				row.DivergingEpoch.Epoch, row.DivergingEpoch.EndOffset = int32(res.Diverging.Epoch), int64(res.Diverging.End)
			}
		}
		row.HighWatermark, row.LogStartOffset = int64(o.HighWatermark), int64(o.LogStart)
		news := row.ErrorCode != 0 || row.DivergingEpoch.Epoch >= 0 || len(row.RecordBatches) > 0
		if x.any && !news && x.high == o.HighWatermark && x.logStart == o.LogStart {
			continue
		}
		enough = enough || news || x.any && x.high != o.HighWatermark
		x.any, x.high, x.logStart = true, o.HighWatermark, o.LogStart
		rows.Partitions = append(rows.Partitions, row)
	}
	if len(rows.Partitions) > 0 {
		answer.Topics = append(answer.Topics, rows)
		enough = true // as after a change of the session: what it tells is new
	}
	return answer, enough || len(s.parts) == 0
}

func (d *door) park(s *fakeSession, w *purgatory.Waiter) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, x := range s.parts {
		if d.refuse[i] == kafka.ErrNone && !d.r.leader.partitions[i].Await(partition.Await{From: kafka.Offset(x.want.FetchOffset), Replica: follows, HighWatermark: x.high}, w) {
			return false
		}
	}
	return true
}

func (d *door) report(q *wire.ReplicaProgressRequest) (*wire.ReplicaProgressResponse, error) {
	d.mu.Lock()
	d.reports = append(d.reports, *q)
	slow, deaf := d.slow, d.deaf
	d.mu.Unlock()
	if slow > 0 {
		<-time.After(slow)
	}
	out := &wire.ReplicaProgressResponse{}
	for _, t := range q.Topics {
		row := wire.ReplicaProgressResponseTopic{TopicID: t.TopicID}
		for _, p := range t.Partitions {
			code := deaf
			if code == kafka.ErrNone {
				code = d.r.leader.partitions[p.Partition].ReplicaDurable(kafka.BrokerID(q.BrokerID), kafka.BrokerEpoch(q.BrokerEpoch),
					kafka.LeaderEpoch(p.LeaderEpoch), kafka.Offset(p.DurableEnd))
			}
			row.Partitions = append(row.Partitions, wire.ReplicaProgressResponseTopicPartition{Partition: p.Partition, ErrorCode: int16(code)})
		}
		out.Topics = append(out.Topics, row)
	}
	return out, nil
}

// asked lists the fetches since the last call.
func (d *door) asked() []fetched {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.fetches
	d.fetches = nil
	return list
}

// told lists the reports since the last call.
func (d *door) told() []wire.ReplicaProgressRequest {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.reports
	d.reports = nil
	return list
}

func (d *door) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}
