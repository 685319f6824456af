package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/admin"
	"holdfast/internal/api"
	"holdfast/internal/auth"
	"holdfast/internal/broker"
	"holdfast/internal/clock"
	"holdfast/internal/config"
	"holdfast/internal/coord"
	"holdfast/internal/datadir"
	"holdfast/internal/env"
	"holdfast/internal/fetcher"
	"holdfast/internal/lifecycle"
	"holdfast/internal/peer"
	"holdfast/internal/quorum"
	"holdfast/internal/server"
)

// Options are what a node is made of. Env, Config and Log are set.
type Options struct {
	Env     env.Env
	Config  *config.Broker
	DataDir string
	Version string
	Log     *slog.Logger
	// Secret is what the brokers of the cluster share. The zero one is read from
	// the file that the settings name, or from UserSecret.
	Secret auth.Secret
	// UserSecret is the file that holds the secret of this user's brokers on this
	// machine; the first broker makes it. Empty: there is none.
	UserSecret string
	// Faults names planted faults; only a build with the tag "faults" has any.
	Faults string
}

// Node is one running broker.
type Node struct {
	o       Options
	started time.Time
	plant   planted
	secret  auth.Secret
	dir     *datadir.Dir
	founder *lifecycle.Founder
	peers   *peer.Peers
	fetcher *fetcher.Fetcher
	quorum  *quorum.Quorum
	broker  *broker.Broker
	coord   *coord.Coordinator
	life    *lifecycle.Lifecycle
	api     *api.API
	door    *api.Door
	server  *server.Server
	admin   *admin.Server
	doors   []server.Listener
	bound   []Bound
	adminAt string
	// present is what other brokers reach while the start goes on.
	present atomic.Pointer[present]
	waits   atomic.Pointer[string] // what the start waits for; nil: nothing
	built   atomic.Bool            // every part is there
	ready   atomic.Bool
	cancel  context.CancelFunc
	group   sync.WaitGroup
	done    chan struct{}
	stop    sync.Once
	stopErr error
}

// Bound is a listener with the address it got.
type Bound struct {
	Name       string
	Address    string // HOST:PORT it listens on
	Advertised config.Endpoint
}

// Start starts a broker and returns when its doors are open. The caller stops it.
// A broker of several waits for the others as long as ctx lasts.
func Start(ctx context.Context, o Options) (*Node, error) {
	n := &Node{o: o, started: o.Env.Clock.Now(), done: make(chan struct{})}
	background, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	if err := n.start(ctx, background); err != nil {
		ended, end := context.WithCancel(context.Background())
		end() // nothing that it has begun is worth waiting for
		_ = n.shutdown(ended)
		return nil, err
	}
	return n, nil
}

// Listeners are the doors for Kafka clients.
func (n *Node) Listeners() []Bound { return n.bound }

// AdminAddress is HOST:PORT of the admin door, empty when there is none.
func (n *Node) AdminAddress() string { return n.adminAt }

// Identity says who this broker is.
func (n *Node) Identity() datadir.Identity { return n.dir.Identity() }

// Done is closed when the broker cannot go on: its metadata quorum has stopped, or
// another process has taken its place.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err says why the broker cannot go on.
func (n *Node) Err() error { return errors.Join(n.quorum.Err(), n.life.Err()) }

// Failed is the error that stopped the data directory, or nil.
func (n *Node) Failed() error { return n.dir.Err() }

// Stop ends the broker: doors first, then partitions, then the directory. The
// error says what was not closed in order; the next start recovers.
func (n *Node) Stop(ctx context.Context) error {
	n.stop.Do(func() { n.stopErr = n.shutdown(ctx) })
	return n.stopErr
}

func (n *Node) shutdown(ctx context.Context) error {
	n.ready.Store(false)
	n.leave(ctx)
	switch {
	case n.server != nil:
		n.server.Stop(ctx)
	default: // the start failed before anybody accepted
		for _, l := range n.doors {
			_ = l.Listener.Close()
		}
	}
	if n.coord != nil {
		n.coord.Close()
	}
	n.cancel()
	if n.fetcher != nil {
		n.fetcher.Close()
	}
	if n.peers != nil {
		n.peers.Close()
	}
	n.group.Wait()
	var err error
	if n.quorum != nil {
		err = errors.Join(err, n.quorum.Close())
	}
	if n.dir != nil {
		n.noteEpoch()
		err = errors.Join(err, n.dir.Close())
	}
	if n.admin != nil {
		n.admin.Stop(ctx)
	}
	return err
}

// leave hands everything to the other brokers before the doors close.
func (n *Node) leave(ctx context.Context) {
	if n.life == nil || ctx.Err() != nil || n.quorum.Err() != nil || n.life.Err() != nil {
		return
	}
	bounded, cancel := clock.Within(ctx, n.o.Env.Clock, n.o.Config.ControlledStopLimit)
	defer cancel()
	if err := n.life.Leave(bounded); err != nil {
		n.o.Log.Warn("the stop goes on without a hand-over", "error", err)
		return
	}
	if err := n.quorum.Resign(bounded); err != nil {
		n.o.Log.Warn("the stop goes on without a hand-over of the metadata quorum", "error", err)
	}
}

// noteEpoch says under which epoch a stop in order is noted: only one whose logs
// were all there.
func (n *Node) noteEpoch() {
	if n.life != nil && n.built.Load() && len(n.broker.Failed()) == 0 {
		n.dir.SetEpoch(n.life.Epoch())
	}
}
