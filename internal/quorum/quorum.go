package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/env"
	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// Options say who a member is and where it lives. Env, Dir, Self, ClusterID,
// DirectoryID and Log are set.
type Options struct {
	Env         env.Env
	Dir         string // the data directory, locked by the caller
	Self        kafka.BrokerID
	ClusterID   kafka.ClusterID
	DirectoryID kafka.DirectoryID
	// Founded: the directory's identity says that metadata was complete here once.
	// Then missing metadata is a loss: nothing is founded.
	Founded bool
	// Config holds this node's settings, which decisions start from; nil: the
	// defaults.
	Config *config.Broker
	Log    *slog.Logger

	// Voters found a cluster of several members in an empty directory; each of them
	// founds it with the same list, which holds this node with this directory. Nil:
	// this node founds alone. A directory that is founded ignores it.
	Voters []Voter
	// Join makes an empty directory wait for a cluster that exists: nothing is
	// founded, committed metadata is pulled. A directory that is founded ignores it.
	Join bool
	// Starts counts the starts of the directory, this one included; it was made
	// durable before. Zero: it is not compared with what others know of it.
	Starts uint64
	// Sources are nodes to pull from before the metadata names the voters.
	Sources []kafka.BrokerID

	Transport Transport // nil: NoTransport
	Forward   Forwarder // nil: commands are decided here or refused
	Puller    Puller    // nil: a member without a vote hears nothing
	// Led is called when this member begins to decide on commands, and when it
	// ends, with the term. It must not wait. Nil: nobody is told.
	Led func(leading bool, term kafka.LeaderEpoch)

	decide Decider // nil: controller.Decide; see OpenStepped
}

// tickInterval is the library's unit of time.
const tickInterval = 100 * time.Millisecond

// Bounds of what waits for the loop.
const (
	submissionsMax = 256
	messagesMax    = 1024
	callsMax       = 16
)

// Quorum is a member of the metadata quorum. Its methods may be called at any
// time by anybody, if nothing else is said.
type Quorum struct {
	o     *Options
	core  *core // the loop's
	role  atomic.Pointer[role]
	heard sync.Map // kafka.BrokerID to time.Time
	image atomic.Pointer[meta.Image]
	view  atomic.Pointer[Description]

	submits  chan *submission
	messages chan mail
	calls    chan func(*core)
	stop     chan struct{} // closed: the loop ends
	stopped  chan struct{} // closed: it has ended
	observed chan struct{} // closed: nothing is pulled any more
	started  bool
	closing  atomic.Bool
	failure  atomic.Pointer[error]
	closeErr error // valid after stopped
}

// Open reads what is stored. Where nothing is, it founds a cluster of Options.Voters
// or of this one voter, or begins to join one. When it returns without an error, what was founded is durable: the caller
// notes that (Options.Founded) before it calls Start. *CorruptionError, *VersionError, *meta.VersionError, ErrForeign: as they
// say; the files were left alone. The image is the one of the last snapshot until
// Start.
func Open(o Options) (*Quorum, error) {
	invariant.Check(!o.ClusterID.IsZero() && !o.DirectoryID.IsZero() && o.Self >= 0, "quorum of node %d without an identity", o.Self)
	invariant.Check(o.Voters == nil || slices.Contains(o.Voters, Voter{o.Self, o.DirectoryID}), "node %d founds a quorum without itself", o.Self)
	if o.Transport == nil {
		o.Transport = NoTransport{}
	}
	if o.Config == nil {
		o.Config = config.Default()
	}
	c, err := openCore(&o)
	if err != nil {
		return nil, fmt.Errorf("open metadata quorum: %w", err)
	}
	q := &Quorum{o: &o, core: c, submits: make(chan *submission, submissionsMax), messages: make(chan mail, messagesMax),
		calls: make(chan func(*core), callsMax), stop: make(chan struct{}), stopped: make(chan struct{}), observed: make(chan struct{})}
	q.image.Store(c.image)
	q.role.Store(&role{leader: kafka.NoBroker, over: make(chan struct{})})
	q.look()
	c.publish = func(image *meta.Image) {
		// Whoever was answered finds the quorum as it was then, not as before.
		q.look()
		q.image.Store(image)
	}
	return q, nil
}

// look makes how the core is now visible to everybody.
func (q *Quorum) look() {
	d := q.core.describe()
	q.view.Store(d)
	was := q.role.Load()
	now := &role{leader: d.Leader, term: d.Term, leading: q.core.leading, over: was.over}
	if *now == *was {
		return
	}
	now.over = make(chan struct{})
	q.role.Store(now)
	close(was.over)
}

// Subscribe calls f for every entry that is applied, in order, with what it
// changed and the image after it. f must not wait. It is for before Start.
func (q *Quorum) Subscribe(f func(meta.Delta, *meta.Image)) {
	invariant.Check(!q.started, "subscribe to a quorum that runs")
	q.core.subscribers = append(q.core.subscribers, f)
}

// Start lets the member take part. A voter that is alone leads in a moment.
// Start and Close are called by one caller.
func (q *Quorum) Start() {
	invariant.Check(!q.started, "start a quorum twice")
	q.started = true
	go q.run()
}

// Image is the newest metadata that is applied here.
func (q *Quorum) Image() *meta.Image { return q.image.Load() }

// Describe tells how the quorum is.
func (q *Quorum) Describe() Description { return *q.view.Load() }

// Leader is the node that leads the quorum, NoBroker when none is known.
func (q *Quorum) Leader() kafka.BrokerID { return q.view.Load().Leader }

// call has the loop run f between two of its steps.
func (q *Quorum) call(ctx context.Context, f func(*core)) error {
	done := make(chan struct{})
	select {
	case q.calls <- func(c *core) { f(c); close(done) }:
	case <-q.stopped:
		return q.ended()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-done:
		return nil
	case <-q.stopped:
	}
	select {
	case <-done:
		return nil
	default:
		return q.ended()
	}
}

// LeaderDead tells this member that a node is proven dead: its connections broke
// and it refuses new ones. Where that node leads, this member lets go of it and
// campaigns without waiting for a timeout. It may be told again and of any node.
func (q *Quorum) LeaderDead(ctx context.Context, node kafka.BrokerID) error {
	return q.call(ctx, func(c *core) { c.leaderDead(node) })
}

// Campaign makes this member ask for votes now. Nothing comes of it where a leader
// is heard by a majority.
func (q *Quorum) Campaign(ctx context.Context) error {
	return q.call(ctx, func(c *core) {
		if !c.leading && c.votes() && c.memory.proven {
			_ = c.node.Campaign()
		}
	})
}

// Resign hands the leadership to another voter and returns when this member does
// not lead, at once where it did not or nobody else can. It is for a stop in order,
// while messages still go out.
func (q *Quorum) Resign(ctx context.Context) error {
	handed := false
	if err := q.call(ctx, func(c *core) { handed = c.resign() }); err != nil || !handed {
		return err
	}
	for r := q.role.Load(); r.leading; r = q.role.Load() {
		select {
		case <-r.over:
		case <-ctx.Done():
			return fmt.Errorf("hand the leadership over: %w", context.Cause(ctx))
		case <-q.stopped:
			return nil
		}
	}
	return nil
}

// Heard is when the last message of that node's member came, the zero time when
// none has since the start.
func (q *Quorum) Heard(node kafka.BrokerID) time.Time {
	if t, ok := q.heard.Load(node); ok {
		return t.(time.Time)
	}
	return time.Time{}
}

// Receive takes an encoded message of another member. It never waits: what does
// not fit is dropped. The error is for bytes that are no message.
func (q *Quorum) Receive(b []byte) error {
	m, err := decodeMail(b)
	if err != nil {
		return err
	}
	select {
	case q.messages <- m:
	default:
	}
	return nil
}

// ReportSnapshot tells how the carrying of a snapshot message went. It waits for
// the loop to take the note.
func (q *Quorum) ReportSnapshot(m Message, arrived bool) {
	select {
	case q.messages <- mail{raft: snapshotStatus(m.raftID, arrived)}:
	case <-q.stopped:
	}
}

// Err is the failure that stopped the quorum, nil while it runs and after Close.
func (q *Quorum) Err() error {
	if p := q.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// Stopped is closed when the quorum has stopped: by Close or by a failure.
func (q *Quorum) Stopped() <-chan struct{} { return q.stopped }

func (q *Quorum) ended() error {
	if err := q.Err(); err != nil {
		return errors.Join(ErrClosed, err)
	}
	return ErrClosed
}

// Close stops the loop, writes down how far the entries go and closes the files.
// It waits for what the loop is doing.
func (q *Quorum) Close() error {
	if q.closing.Swap(true) {
		<-q.stopped
		return q.closeErr
	}
	if !q.started {
		q.closeErr = q.core.close(false)
		close(q.stopped)
		return q.closeErr
	}
	close(q.stop)
	<-q.stopped
	<-q.observed
	return q.closeErr
}
