package sim

import (
	"errors"
	"io"
	"time"

	"holdfast/internal/isr"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/partition"
	"holdfast/internal/purgatory"
)

// Times of a follower.
const (
	fetchWait  = 300 * time.Millisecond // how long a leader keeps an empty fetch
	fetchLimit = 800 * time.Millisecond
	fetchPause = 50 * time.Millisecond
	fetchBytes = 64 << 10
)

// fetching is one question of a follower.
type fetching struct {
	r    *replica
	at   partition.FetchPosition
	from kafka.BrokerEpoch
	told kafka.Offset
}

// fetch asks the leader for what comes next, unless it is asked already.
func (r *replica) fetch() {
	if r.asked != nil || r.n.replicas[r.id] != r {
		return
	}
	at, ok := r.p.FetchPosition()
	leader := r.n.w.node(r.leader)
	if !ok || leader == nil {
		return
	}
	if at.Epoch != r.toldIn {
		r.told, r.toldIn = kafka.NoOffset, at.Epoch
	}
	f := &fetching{r: r, at: at, from: r.n.epoch, told: r.told}
	r.asked = f
	ask(r.n.w, rpc[partition.Replicated]{from: r.n, to: leader, limit: fetchLimit,
		handle: func(reply func(partition.Replicated)) { leader.serve(f, reply) },
		done: func(a partition.Replicated, ok bool) {
			if r.asked == f {
				r.asked = nil
			}
			if !ok {
				r.n.after(fetchPause, r.fetch)
				return
			}
			f.arrive(a)
		}})
}

// serve answers a follower, at once or when there is something to tell.
func (n *node) serve(f *fetching, reply func(partition.Replicated)) {
	r := n.replicas[f.r.id]
	if r == nil {
		reply(partition.Replicated{Epoch: f.at.Epoch, From: f.at.From, Code: kafka.ErrNotLeaderOrFollower})
		return
	}
	a, empty := r.read(f)
	if !empty || a.HighWatermark > f.told {
		reply(a)
		return
	}
	over := func() {
		a, _ := r.read(f)
		reply(a)
	}
	waiter := purgatory.New(1, func() { n.after(0, over) })
	if !r.p.Await(partition.Await{From: f.at.From, Replica: f.r.n.id, HighWatermark: max(f.told, a.HighWatermark)}, waiter) {
		waiter.Finish()
		return
	}
	n.after(fetchWait, func() { waiter.Finish() })
}

// read is the leader's answer as of now. It is empty where there is nothing but
// marks in it.
func (r *replica) read(f *fetching) (a partition.Replicated, empty bool) {
	x := r.p.Read(partition.ReadRequest{From: f.at.From, MaxBytes: fetchBytes, MinOne: true, CurrentEpoch: f.at.Epoch, LastFetchedEpoch: f.at.LastEpoch,
		Replica: f.r.n.id, ReplicaEpoch: f.from})
	a = partition.Replicated{Epoch: f.at.Epoch, From: f.at.From, Diverging: x.Diverging, HighWatermark: x.Offsets.HighWatermark,
		LogStart: x.Offsets.LogStart, Code: x.Code}
	if x.Range.Source != nil {
		b, err := bytesOf(x.Range)
		if err != nil {
			a.Code = kafka.ErrKafkaStorageError
		}
		a.Records = b
	}
	return a, a.Code == kafka.ErrNone && a.Diverging == nil && len(a.Records) == 0
}

// bytesOf reads a range and lets go of it.
func bytesOf(rng log.Range) ([]byte, error) {
	b := make([]byte, rng.Length)
	_, err := rng.Source.ReadAt(b, rng.Position)
	rng.Source.Release()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

// arrive takes an answer over.
func (f *fetching) arrive(a partition.Replicated) {
	r := f.r
	if r.n.replicas[r.id] != r {
		return
	}
	if a.Code == kafka.ErrNone && a.Epoch == r.toldIn {
		r.told = max(r.told, a.HighWatermark)
	}
	if r.n.w.plant.takeLateAnswer {
		a.Epoch = r.p.Offsets().Epoch
	}
	if len(a.Records) > 0 || a.Diverging != nil || a.Code != kafka.ErrNone {
		r.n.w.note("%s takes %d bytes at %d in epoch %d from %s: code %d, diverging %+v, high watermark %d", r, len(a.Records), a.From, a.Epoch,
			r.n.w.node(r.leader), a.Code, a.Diverging, a.HighWatermark)
	}
	err := r.p.Replicate(a)
	if err == nil {
		r.n.after(0, r.fetch)
		return
	}
	r.n.w.note("%s: %v", r, err)
	var below *partition.DivergedBelowHighWatermarkError
	if errors.As(err, &below) {
		r.n.w.find("%s has committed what its leader does not have: %v", r, err)
	}
	_, code := errors.AsType[kafka.ErrorCode](err)
	_, nothing := errors.AsType[*isr.NotDivergingError](err)
	full := errors.Is(err, log.ErrNoSpace)
	if !code && !nothing && !full && !errors.Is(err, partition.ErrUnfit) && !r.n.disk.Crashed() && !r.n.w.mayFail(r.n, err) {
		r.n.w.find("%s cannot take over what its leader has: %v", r, err)
	}
	r.n.after(fetchPause, r.fetch)
}

// report is how the leader hears of what is durable here.
type report struct {
	sending bool
	told    partition.Progress // by the last report that was taken
	leader  kafka.BrokerID
}

// progress is what may be reported.
func (r *replica) progress() (partition.Progress, bool) {
	p, ok := r.p.Progress()
	o := r.p.Offsets()
	switch plant := &r.n.w.plant; {
	case plant.reportUnsynced && ok:
		p.Durable = o.LogEnd
	case plant.reportUnmatched && o.Following:
		p, ok = partition.Progress{Epoch: o.Epoch, Durable: o.Durable}, true
	}
	return p, ok
}

// progressed is told that there is more to report.
func (r *replica) progressed() { r.n.after(0, r.sendProgress) }

// retry tells again what was lost.
func (r *replica) retry() {
	r.sendProgress()
	r.fetch()
}

func (r *replica) sendProgress() {
	p, ok := r.progress()
	leader := r.n.w.node(r.leader)
	if !ok || leader == nil || r.report.sending || p == r.report.told && r.leader == r.report.leader {
		return
	}
	r.report.sending = true
	id, self, epoch := r.id, r.n.id, r.n.epoch
	ask(r.n.w, rpc[kafka.ErrorCode]{from: r.n, to: leader, limit: fetchLimit,
		handle: func(reply func(kafka.ErrorCode)) {
			if x := leader.replicas[id]; x != nil {
				reply(x.p.ReplicaDurable(self, epoch, p.Epoch, p.Durable))
			}
		},
		done: func(code kafka.ErrorCode, ok bool) {
			r.report.sending = false
			if ok && code == kafka.ErrNone {
				r.report.told, r.report.leader = p, leader.id
				r.sendProgress()
			}
		}})
}
