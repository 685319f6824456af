package lifecycle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/clock"
	"holdfast/internal/kafka"
	"holdfast/internal/peer"
	"holdfast/internal/wire"
)

// deaths are the brokers of which this one saw the process end: a connection that
// ended, and the next one refused.
type deaths struct {
	mu struct {
		sync.Mutex
		seen map[kafka.BrokerID]kafka.BrokerEpoch
	}
}

func (d *deaths) init() { d.mu.seen = make(map[kafka.BrokerID]kafka.BrokerEpoch) }

func (d *deaths) add(id kafka.BrokerID, epoch kafka.BrokerEpoch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.seen[id] = max(epoch, d.mu.seen[id])
}

func (d *deaths) remove(id kafka.BrokerID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.mu.seen, id)
}

func (d *deaths) list() []kafka.BrokerID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.mu.seen))
}

func (d *deaths) epoch(id kafka.BrokerID) kafka.BrokerEpoch {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.seen[id]
}

// Lost tells that a connection to another broker has ended by itself. It never
// waits.
func (l *Lifecycle) Lost(loss peer.Loss) {
	if !loss.Refused {
		return
	}
	l.deaths.add(loss.Broker, loss.Epoch)
	nudge(l.suspected)
}

const (
	// reportPause is how soon a report is repeated while nobody leads, or while the
	// one who leads has not seen it.
	reportPause = 25 * time.Millisecond
	// watchPause is how often connections to the other brokers are looked after.
	watchPause = time.Second
)

// runDeaths keeps a connection to every live broker, and reports those that died to
// whoever leads.
func (l *Lifecycle) runDeaths(ctx context.Context) {
	watched := l.o.Env.Clock.Now().Add(-watchPause)
	for {
		if now := l.o.Env.Clock.Now(); now.Sub(watched) >= watchPause {
			l.watch()
			watched = now
		}
		wait := watchPause
		if left := l.reportAll(ctx); left > 0 {
			wait = reportPause
		}
		if !l.pause(ctx, wait, l.suspected) {
			return
		}
	}
}

func (l *Lifecycle) watch() {
	for _, b := range l.o.Quorum.Image().Brokers() {
		if b.ID != l.self && !b.Fenced {
			l.o.Peers.Watch(b.ID)
		}
	}
}

// reportAll reports what was seen, and returns how much has to be said again.
func (l *Lifecycle) reportAll(ctx context.Context) (left int) {
	for _, id := range l.deaths.list() {
		if !l.report(ctx, id) {
			left++
		}
	}
	return left
}

// report tells the leader of a death; true: nothing is left to say.
func (l *Lifecycle) report(ctx context.Context, id kafka.BrokerID) bool {
	leader := l.o.Quorum.Leader()
	if leader == id {
		// Whoever led is gone: somebody has to lead before anybody can be told.
		_ = l.o.Quorum.LeaderDead(ctx, id)
	}
	epoch := l.deaths.epoch(id)
	b := l.o.Quorum.Image().Broker(id)
	if b != nil && b.Epoch == epoch && !b.Fenced {
		if leader == kafka.NoBroker || leader == id || leader == l.self {
			// Where this node leads, the word of another broker is missing, or the end
			// of the session.
			return false
		}
		return l.reportTo(ctx, leader, id, epoch)
	}
	l.deaths.remove(id)
	return true
}

func (l *Lifecycle) reportTo(ctx context.Context, leader, id kafka.BrokerID, epoch kafka.BrokerEpoch) bool {
	request := wire.NewReportDeadRequest()
	request.BrokerID, request.BrokerEpoch = int32(id), int64(epoch)
	request.Reason = fmt.Sprintf("its connection to broker %d ended, and the next one was refused", l.self)
	response := wire.NewReportDeadResponse()
	ctx, cancel := clock.Within(ctx, l.o.Env.Clock, fenceWait)
	defer cancel()
	if err := l.o.Peers.Do(ctx, leader, wire.KeyReportDead, &request, &response); err != nil {
		return false
	}
	switch kafka.ErrorCode(response.ErrorCode) {
	case kafka.ErrNone, kafka.ErrStaleBrokerEpoch:
		return true
	case errAlive:
		l.deaths.remove(id)
		return true
	}
	return false
}

// errAlive answers a report of a death: the broker's listener is there.
const errAlive = kafka.ErrDuplicateBrokerRegistration

// Dead takes another broker's report that a broker's process is gone, and looks for
// itself.
func (l *Lifecycle) Dead(ctx context.Context, from auth.Identity, q *wire.ReportDeadRequest) *wire.ReportDeadResponse {
	out := wire.NewReportDeadResponse()
	if !l.sessions.leads() {
		out.LeaderID, out.ErrorCode = int32(l.o.Quorum.Leader()), int16(kafka.ErrNotController)
		return &out
	}
	id, epoch := kafka.BrokerID(q.BrokerID), kafka.BrokerEpoch(q.BrokerEpoch)
	out.ErrorCode, out.ErrorMessage = answer(l.confirm(ctx, from.Broker, id, epoch))
	return &out
}

// confirm fences a broker that another one reported as dead, when this node, too, is
// refused. nil: it is fenced.
func (l *Lifecycle) confirm(ctx context.Context, reporter, id kafka.BrokerID, epoch kafka.BrokerEpoch) error {
	image := l.o.Quorum.Image()
	b, witness := image.Broker(id), image.Broker(reporter)
	switch {
	case b == nil || b.Epoch != epoch || b.Fenced:
		return kafka.ErrStaleBrokerEpoch // it is known, or was another incarnation
	case witness == nil || reporter == id || id == l.self:
		return kafka.ErrInvalidRequest
	}
	refused, err := l.o.Peers.Refused(id)
	switch {
	case err != nil:
		return fmt.Errorf("broker %d cannot be looked at: %w", id, err)
	case !refused:
		l.o.Log.Info("a broker was reported dead, and answers here", "broker", id, "epoch", epoch, "reporter", reporter)
		return errAlive
	}
	reason := fmt.Sprintf("its process is gone: broker %d and this one were refused a connection", reporter)
	if !l.fence(ctx, b, reason) {
		return kafka.ErrRequestTimedOut
	}
	return nil
}
