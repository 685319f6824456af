package lifecycle

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/quorum"
	"holdfast/internal/wire"
)

// Quorum is the metadata quorum; *quorum.Quorum is the real one.
type Quorum interface {
	Submit(ctx context.Context, command controller.Command) (controller.Reply, error)
	Image() *meta.Image
	// Leader is the node that leads, NoBroker when none is known.
	Leader() kafka.BrokerID
	// LeaderDead tells that the process of a node is gone: where it led, nobody has
	// to wait for an election timeout.
	LeaderDead(ctx context.Context, node kafka.BrokerID) error
	Describe() quorum.Description
	// Heard is when the member of a node was heard last, zero when it never was.
	Heard(node kafka.BrokerID) time.Time
	ChangeVoters(ctx context.Context, voters []quorum.Voter) error
}

// Peers are the other brokers.
type Peers interface {
	// Do asks a broker something that is answered at once.
	Do(ctx context.Context, broker kafka.BrokerID, key kafka.APIKey, request, response wire.Message) error
	// Watch sees to it that there is a connection to the broker, so that its end is
	// noticed. It never waits.
	Watch(broker kafka.BrokerID)
	// Refused connects anew and reports whether nobody listens there.
	Refused(broker kafka.BrokerID) (bool, error)
}

// Options are what a Lifecycle is made of. All fields are set.
type Options struct {
	Env    env.Env
	Log    *slog.Logger
	Quorum Quorum
	Peers  Peers
	// Registration is what this broker registers as.
	Registration controller.RegisterBroker
	// Applied is the metadata offset to which the partitions here are brought.
	Applied func() kafka.Offset
	// Isolated hears when nothing was heard of the controller for a whole session, and
	// when it answers again. It never waits.
	Isolated func(bool)
	// Logs tells what replicas here hold.
	Logs func(*wire.ReplicaLogsRequest) *wire.ReplicaLogsResponse
	// Settings are those of the moment.
	Settings func() *config.Broker
}

// Lifecycle is one broker's part in its cluster.
type Lifecycle struct {
	o        Options
	self     kafka.BrokerID
	epoch    atomic.Int64 // of this incarnation; -1: not registered
	sessions sessions
	deaths   deaths
	leaving  atomic.Bool
	isolated atomic.Bool // nothing was heard of the controller for a session
	// kick asks for a heartbeat now; wake for a look at the sessions; each holds one.
	kick, wake, suspected chan struct{}
	failed                chan struct{} // closed: this incarnation is not the broker any more
	failure               atomic.Pointer[error]
}

// New makes a Lifecycle that does nothing yet.
func New(o Options) *Lifecycle {
	signal := func() chan struct{} { return make(chan struct{}, 1) }
	l := &Lifecycle{o: o, self: o.Registration.ID, kick: signal(), wake: signal(), suspected: signal(), failed: make(chan struct{})}
	l.epoch.Store(-1)
	l.sessions.init()
	l.deaths.init()
	return l
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Epoch is the broker epoch of this incarnation, -1 before it is registered.
func (l *Lifecycle) Epoch() kafka.BrokerEpoch { return kafka.BrokerEpoch(l.epoch.Load()) }

// IsIsolated reports whether nothing was heard of the controller for a session.
func (l *Lifecycle) IsIsolated() bool { return l.isolated.Load() }

// Failed is closed when this incarnation has to end, because another one has taken
// its place; Err says so.
func (l *Lifecycle) Failed() <-chan struct{} { return l.failed }

// Err is why this incarnation has to end, nil while it has not.
func (l *Lifecycle) Err() error {
	if p := l.failure.Load(); p != nil {
		return *p
	}
	return nil
}

func (l *Lifecycle) fail(err error) {
	if l.failure.CompareAndSwap(nil, &err) {
		l.o.Log.Error("this broker stops taking part", "error", err)
		close(l.failed)
	}
}

// Changed tells that the metadata has moved on. It never waits.
func (l *Lifecycle) Changed(delta meta.Delta, image *meta.Image) {
	if len(delta.Brokers()) == 0 {
		return
	}
	nudge(l.suspected)
	me := image.Broker(l.self)
	for _, b := range image.Brokers() {
		if b == me && b.Fenced {
			nudge(l.kick) // say again that this broker lives
		}
	}
}

// Reconciled tells that the partitions here are what a newer image says. It never
// waits.
func (l *Lifecycle) Reconciled() {
	for _, b := range l.o.Quorum.Image().Brokers() {
		if b.ShuttingDown && !b.Fenced {
			nudge(l.kick) // it waits until everybody has come so far
			return
		}
	}
}

// Led tells that this node begins to lead the quorum, or ends. It never waits.
func (l *Lifecycle) Led(leading bool, _ kafka.LeaderEpoch) {
	l.sessions.led(leading, l.o.Env.Clock.Now(), l.o.Quorum.Heard)
	nudge(l.wake)
	nudge(l.kick)
	nudge(l.suspected)
}

// pause waits for a while, or until something is signalled; false: ctx has ended.
func (l *Lifecycle) pause(ctx context.Context, d time.Duration, signal <-chan struct{}) bool {
	return clock.Wait(ctx, l.o.Env.Clock, d, signal)
}
