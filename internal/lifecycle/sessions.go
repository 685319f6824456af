package lifecycle

import (
	"context"
	"errors"
	"sync"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/clock"
	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/quorum"
	"holdfast/internal/wire"
)

// sessions are when each broker was last heard of, by the one who leads the quorum.
type sessions struct {
	mu struct {
		sync.Mutex
		leading bool
		// since is the earliest moment from which silence counts: leading began then,
		// or this node was itself held up until then.
		since time.Time
		last  map[kafka.BrokerID]contact
		// before is who led before this node, and until when it was heard: an election
		// and a fresh session must not add up for the one whose silence caused it.
		before      kafka.BrokerID
		beforeHeard time.Time
	}
}

// contact is the last that was heard of a broker.
type contact struct {
	epoch   kafka.BrokerEpoch
	at      time.Time
	applied kafka.Offset // metadata that it had applied
}

func (s *sessions) init() {
	s.mu.last, s.mu.before = make(map[kafka.BrokerID]contact), kafka.NoBroker
}

func (s *sessions) led(leading bool, now time.Time, heard func(kafka.BrokerID) time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.leading, s.mu.since, s.mu.beforeHeard = leading, now, time.Time{}
	if leading && s.mu.before != kafka.NoBroker {
		s.mu.beforeHeard = heard(s.mu.before)
	}
	clear(s.mu.last)
}

// follow notes who leads while this node does not.
func (s *sessions) follow(leader kafka.BrokerID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.leading && leader != kafka.NoBroker {
		s.mu.before = leader
	}
}

func (s *sessions) leads() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.leading
}

// heldUp tells that this node itself did nothing until now: nobody is late by that.
func (s *sessions) heldUp(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.since, s.mu.beforeHeard = now, time.Time{}
}

// note takes a contact down. False: this node does not lead.
func (s *sessions) note(id kafka.BrokerID, c contact) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.leading && c.epoch >= s.mu.last[id].epoch {
		s.mu.last[id] = c
	}
	return s.mu.leading
}

// silence is how long nothing was heard of an incarnation.
func (s *sessions) silence(b *meta.Broker, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.mu.since
	if b.ID == s.mu.before && !s.mu.beforeHeard.IsZero() {
		from = s.mu.beforeHeard
	}
	if c, ok := s.mu.last[b.ID]; ok && c.epoch == b.Epoch && c.at.After(from) {
		from = c.at
	}
	return now.Sub(from)
}

// haveApplied reports whether every live broker but one has told that it has applied
// the offset. Those that are silent since a moment are not waited for.
func (s *sessions) haveApplied(image *meta.Image, offset kafka.Offset, but kafka.BrokerID, silent time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range image.Brokers() {
		if b.ID == but || b.Fenced {
			continue
		}
		c, ok := s.mu.last[b.ID]
		if mute := s.mu.since.Before(silent) && c.at.Before(silent); !mute && (!ok || c.epoch != b.Epoch || c.applied < offset) {
			return false
		}
	}
	return true
}

// hear takes a heartbeat, of this broker or of another one. hint is who leads when
// this node does not.
func (l *Lifecycle) hear(ctx context.Context, h controller.Heartbeat) (result controller.HeartbeatResult, hint kafka.BrokerID, err error) {
	result.Fenced = true
	now := l.o.Env.Clock.Now()
	if !l.sessions.note(h.Broker, contact{epoch: h.Epoch, at: now, applied: h.Applied}) {
		return result, l.o.Quorum.Leader(), kafka.ErrNotController
	}
	b := l.o.Quorum.Image().Broker(h.Broker)
	if b != nil && b.Epoch == h.Epoch && !b.Fenced && !h.WantFence && !h.WantShutdown {
		// Nothing changes: the metadata log has nothing to do with it.
		return controller.HeartbeatResult{CaughtUp: h.Applied >= kafka.Offset(b.Epoch)}, kafka.NoBroker, nil
	}
	reply, err := l.o.Quorum.Submit(ctx, h)
	if err != nil {
		if other, moved := errors.AsType[*quorum.NotLeaderError](err); moved {
			hint = other.Leader
			return result, hint, kafka.ErrNotController
		}
		return result, kafka.NoBroker, err
	}
	result = reply.Heartbeat
	// The others have to know that the leaders have moved, or their clients find a
	// broker that is gone.
	result.MayShutDown = result.MayShutDown && l.sessions.haveApplied(l.o.Quorum.Image(), reply.Offset, h.Broker, now.Add(-max(4*l.o.Settings().HeartbeatInterval, time.Second)))
	return result, kafka.NoBroker, nil
}

// Heartbeat answers a heartbeat that came over a broker connection.
func (l *Lifecycle) Heartbeat(ctx context.Context, from auth.Identity, q *wire.ReportHeartbeatRequest) *wire.ReportHeartbeatResponse {
	h := controller.Heartbeat{Broker: from.Broker, Epoch: kafka.BrokerEpoch(q.BrokerEpoch), Applied: kafka.Offset(q.MetadataOffset),
		WantFence: q.WantFence, WantShutdown: q.WantShutdown}
	result, hint, err := l.hear(ctx, h)
	out := wire.NewReportHeartbeatResponse()
	out.LeaderID = int32(hint)
	out.IsFenced, out.IsCaughtUp, out.MayShutDown = result.Fenced, result.CaughtUp, result.MayShutDown
	out.ErrorCode, out.ErrorMessage = answer(err)
	return &out
}

// answer is an error as a response carries it.
func answer(err error) (code int16, message *string) {
	if err == nil {
		return int16(kafka.ErrNone), nil
	}
	known := kafka.ErrUnknownServerError
	_ = errors.As(err, &known)
	why := err.Error()
	return int16(known), &why
}

const (
	// sessionLook is how often sessions are looked at.
	sessionLook = 50 * time.Millisecond
	// fenceWait bounds the wait for one fencing to be decided.
	fenceWait = time.Second
)

// runSessions ends the sessions of silent brokers, where this node leads.
func (l *Lifecycle) runSessions(ctx context.Context) {
	last := l.o.Env.Clock.Now()
	for l.pause(ctx, sessionLook, l.wake) {
		now := l.o.Env.Clock.Now()
		if now.Sub(last) > max(l.o.Settings().SessionTimeout/4, 4*sessionLook) {
			l.sessions.heldUp(now)
		}
		if l.sessions.leads() {
			l.endSessions(ctx, now)
		} else if leader := l.o.Quorum.Leader(); leader != l.self {
			l.sessions.follow(leader)
		}
		last = l.o.Env.Clock.Now()
	}
}

func (l *Lifecycle) endSessions(ctx context.Context, now time.Time) {
	limit := l.o.Settings().SessionTimeout
	for _, b := range l.o.Quorum.Image().Brokers() {
		if b.Fenced || b.ID == l.self {
			continue
		}
		if silent := l.sessions.silence(b, now); silent > limit {
			l.fence(ctx, b, "nothing was heard of it for "+silent.Round(time.Millisecond).String())
		}
	}
}

// fence ends the session of an incarnation.
func (l *Lifecycle) fence(ctx context.Context, b *meta.Broker, reason string) bool {
	ctx, cancel := clock.Within(ctx, l.o.Env.Clock, fenceWait)
	defer cancel()
	_, err := l.o.Quorum.Submit(ctx, controller.FenceBroker{Broker: b.ID, Epoch: b.Epoch, Reason: reason})
	if err != nil {
		l.o.Log.Warn("a broker cannot be fenced now", "broker", b.ID, "epoch", b.Epoch, "reason", reason, "error", err)
		return false
	}
	l.o.Log.Warn("broker fenced: others take its place", "broker", b.ID, "epoch", b.Epoch, "reason", reason)
	return true
}
