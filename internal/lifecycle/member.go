package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// twinsMax is how many sessions registration waits for when a broker of the same id
// seems to live: the one before this one may not be known as dead yet.
const twinsMax = 3

// registerPause is how long registration waits before it tries again.
const registerPause = 100 * time.Millisecond

// Register tells the controller that this incarnation is here, and waits until the
// partitions here are what the metadata said at that moment, or later. It tries until
// ctx ends, except where the controller refuses this broker.
func (l *Lifecycle) Register(ctx context.Context) (kafka.BrokerEpoch, error) {
	reply, err := l.register(ctx)
	if err != nil {
		return -1, fmt.Errorf("register broker %d: %w", l.self, err)
	}
	l.epoch.Store(int64(reply.BrokerEpoch))
	return reply.BrokerEpoch, nil
}

func (l *Lifecycle) register(ctx context.Context) (controller.Reply, error) {
	began := l.o.Env.Clock.Now()
	for said := false; ; {
		reply, err := l.o.Quorum.Submit(ctx, l.o.Registration)
		if !errors.Is(err, kafka.ErrDuplicateBrokerRegistration) || l.o.Env.Clock.Since(began) > twinsMax*l.o.Settings().SessionTimeout {
			return reply, err
		}
		if !said {
			l.o.Log.Warn("registration is refused for now; trying again for a while", "error", err)
			said = true
		}
		if !l.pause(ctx, registerPause, nil) {
			return reply, errors.Join(context.Cause(ctx), err)
		}
	}
}

// runHeartbeats says that this broker lives until ctx ends.
func (l *Lifecycle) runHeartbeats(ctx context.Context) {
	alone := l.o.Env.Clock.AfterFunc(l.o.Settings().SessionTimeout, func() { l.isolate(true) })
	defer alone.Stop()
	unheard := kafka.NoBroker // did not answer the last heartbeat
	for {
		if l.Epoch() >= 0 && !l.leaving.Load() { // whoever leaves says so itself
			sent, leader := l.o.Env.Clock.Now(), l.o.Quorum.Leader()
			if leader == unheard && !l.hears(ctx, leader) {
				// Nothing comes from there. Heartbeats might still arrive, and would keep a
				// session alive of which this broker hears nothing.
				leader = kafka.NoBroker
			}
			if leader != kafka.NoBroker {
				_, err := l.beat(ctx, false)
				unheard = kafka.NoBroker
				switch {
				case err == nil:
					l.contact(alone, leader, sent)
				case leader != l.self:
					unheard = leader
				}
			}
		}
		if !l.pause(ctx, l.o.Settings().HeartbeatInterval, l.kick) {
			return
		}
	}
}

// contact notes that the controller has answered what was sent at a time.
func (l *Lifecycle) contact(alone clock.Timer, leader kafka.BrokerID, sent time.Time) {
	if leader == l.self {
		sent = l.majorityHeard(sent)
	}
	left := l.o.Settings().SessionTimeout - l.o.Env.Clock.Since(sent)
	alone.Reset(max(0, left))
	if left > 0 {
		l.isolate(false)
	}
}

// majorityHeard is since when fewer than a majority of the voters were heard: a
// leader that only hears itself may have been replaced.
func (l *Lifecycle) majorityHeard(now time.Time) time.Time {
	var heard []time.Time
	for _, v := range l.o.Quorum.Describe().Voters {
		at := now
		if v.Node != l.self {
			at = l.o.Quorum.Heard(v.Node)
		}
		heard = append(heard, at)
	}
	if len(heard) == 0 {
		return now
	}
	slices.SortFunc(heard, func(a, b time.Time) int { return b.Compare(a) })
	return heard[len(heard)/2]
}

// hears reports whether the node answers at all.
func (l *Lifecycle) hears(ctx context.Context, node kafka.BrokerID) bool {
	if node == kafka.NoBroker || node == l.self {
		return true
	}
	ctx, cancel := clock.Within(ctx, l.o.Env.Clock, l.patience())
	defer cancel()
	probe, answer := wire.NewFoundingProbeRequest(), wire.NewFoundingProbeResponse()
	probe.State.BrokerID = int32(l.self)
	return l.o.Peers.Do(ctx, node, wire.KeyFoundingProbe, &probe, &answer) == nil
}

// patience is how long a leader may take to answer: one that says nothing is not
// waited for, the next heartbeat may have another one to go to.
func (l *Lifecycle) patience() time.Duration {
	return max(l.o.Settings().SessionTimeout/8, l.o.Settings().HeartbeatInterval)
}

// isolate tells whether the session of this broker may have ended.
func (l *Lifecycle) isolate(isolated bool) {
	if isolated && l.isAlone() || l.isolated.Swap(isolated) == isolated {
		return
	}
	if isolated {
		l.o.Log.Warn("cut off: nothing was heard of the controller for a whole session; others may lead what this broker led",
			"session", l.o.Settings().SessionTimeout)
	} else {
		l.o.Log.Info("the controller answers again")
	}
	l.o.Isolated(isolated)
}

// errNoLeader: nobody leads the quorum, as far as is known here.
var errNoLeader = errors.New("no leader of the metadata quorum is known")

// beat sends one heartbeat to whoever leads, and to whom that one names instead.
func (l *Lifecycle) beat(ctx context.Context, leave bool) (controller.HeartbeatResult, error) {
	heartbeat := controller.Heartbeat{Broker: l.self, Epoch: l.Epoch(), Applied: l.o.Applied(), WantShutdown: leave}
	leader := l.o.Quorum.Leader()
	for range 2 {
		if leader == kafka.NoBroker {
			return controller.HeartbeatResult{Fenced: true}, errNoLeader
		}
		result, hint, err := l.beatTo(ctx, leader, heartbeat)
		if hint == kafka.NoBroker || hint == leader {
			return result, l.judge(err)
		}
		leader = hint
	}
	return controller.HeartbeatResult{Fenced: true}, errNoLeader
}

// beatTo returns who leads instead when the node does not.
func (l *Lifecycle) beatTo(ctx context.Context, leader kafka.BrokerID, h controller.Heartbeat) (result controller.HeartbeatResult, hint kafka.BrokerID, err error) {
	ctx, cancel := clock.Within(ctx, l.o.Env.Clock, l.patience())
	defer cancel()
	if leader == l.self {
		return l.hear(ctx, h)
	}
	request := wire.NewReportHeartbeatRequest()
	request.BrokerID, request.BrokerEpoch, request.MetadataOffset = int32(h.Broker), int64(h.Epoch), int64(h.Applied)
	request.WantFence, request.WantShutdown = h.WantFence, h.WantShutdown
	response := wire.NewReportHeartbeatResponse()
	if err := l.o.Peers.Do(ctx, leader, wire.KeyReportHeartbeat, &request, &response); err != nil {
		return controller.HeartbeatResult{Fenced: true}, kafka.NoBroker, err
	}
	result = controller.HeartbeatResult{Fenced: response.IsFenced, CaughtUp: response.IsCaughtUp, MayShutDown: response.MayShutDown}
	return result, kafka.BrokerID(response.LeaderID), failure(response.ErrorCode, response.ErrorMessage)
}

// failure is the error that an answer carries.
func failure(code int16, message *string) error {
	switch {
	case code == int16(kafka.ErrNone):
		return nil
	case message == nil:
		return kafka.ErrorCode(code)
	}
	return fmt.Errorf("%s: %w", *message, kafka.ErrorCode(code))
}

// judge ends this incarnation when the controller knows another one.
func (l *Lifecycle) judge(err error) error {
	if !errors.Is(err, kafka.ErrStaleBrokerEpoch) && !errors.Is(err, kafka.ErrBrokerIDNotRegistered) {
		return err
	}
	if b := l.o.Quorum.Image().Broker(l.self); b != nil && b.Epoch > l.Epoch() {
		l.fail(fmt.Errorf("another process has registered as broker %d: two brokers have this id, or a copy of this directory was started", l.self))
	}
	return err
}

const (
	// leavePause is how often a broker that leaves asks whether it may go.
	leavePause = 20 * time.Millisecond
	// leaveAlone is how long it asks when nobody answers: then nobody can take over.
	leaveAlone = 1500 * time.Millisecond
)

// Leave is a controlled shutdown: leaderships move, and the broker leaves the ISRs.
// It returns when this broker may stop, or when ctx ends, or when the quorum does not
// answer; the error says what was not waited for.
func (l *Lifecycle) Leave(ctx context.Context) error {
	if l.Epoch() < 0 || l.isAlone() {
		return nil
	}
	l.leaving.Store(true)
	heard := l.o.Env.Clock.Now()
	for {
		result, err := l.beat(ctx, true)
		now := l.o.Env.Clock.Now()
		switch {
		case err == nil && result.MayShutDown:
			return nil
		case err == nil && l.o.Quorum.Leader() == l.self && now.Sub(l.majorityHeard(now)) > leaveAlone:
			return fmt.Errorf("controlled shutdown: %w", errNoLeader) // it leads nobody any more
		case err == nil:
			heard = now
		case errors.Is(err, kafka.ErrStaleBrokerEpoch), errors.Is(err, kafka.ErrUnsupportedVersion), now.Sub(heard) > leaveAlone:
			return fmt.Errorf("controlled shutdown: %w", err)
		}
		if !l.pause(ctx, leavePause, nil) {
			return fmt.Errorf("controlled shutdown: leaders have not moved in time: %w", errors.Join(context.Cause(ctx), err))
		}
	}
}

// isAlone reports whether no other broker could take anything over.
func (l *Lifecycle) isAlone() bool {
	for _, b := range l.o.Quorum.Image().Brokers() {
		if b.ID != l.self && !b.Fenced {
			return false
		}
	}
	return true
}
