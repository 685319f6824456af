package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/admin"
	"holdfast/internal/api"
	"holdfast/internal/broker"
	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/coord"
	"holdfast/internal/datadir"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
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
	// Faults names planted faults; only a build with the tag "faults" has any.
	Faults string
}

// Node is one running broker.
type Node struct {
	o       Options
	started time.Time
	dir     *datadir.Dir
	quorum  *quorum.Quorum
	broker  *broker.Broker
	coord   *coord.Coordinator
	api     *api.API
	server  *server.Server
	admin   *admin.Server
	doors   []server.Listener
	bound   []Bound
	adminAt string
	ready   atomic.Bool
	cancel  context.CancelFunc
	group   sync.WaitGroup
	stop    sync.Once
	stopErr error
}

// Bound is a listener with the address it got.
type Bound struct {
	Name       string
	Address    string // HOST:PORT it listens on
	Advertised config.Endpoint
}

// startLimit bounds a start without its log recovery, which takes what it takes.
const startLimit = time.Minute

// Start starts a broker and returns when its doors are open. The caller stops it.
func Start(ctx context.Context, o Options) (*Node, error) {
	n := &Node{o: o, started: o.Env.Clock.Now()}
	background, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	if err := n.start(ctx, background); err != nil {
		_ = n.shutdown(ctx)
		return nil, err
	}
	return n, nil
}

func (n *Node) start(ctx, background context.Context) error {
	plant := plantedFaults(n.o.Faults)
	n.o.Env.FS = plant.fs(n.o.Env.FS)
	cluster, err := clusterID(n.o.Config.ClusterID)
	if err != nil {
		return err
	}
	n.dir, err = datadir.Open(datadir.Options{Env: n.o.Env, Dir: n.o.DataDir, NodeID: n.o.Config.NodeID, ClusterID: cluster, Log: n.o.Log})
	if err != nil {
		return err
	}
	if err := n.listen(); err != nil {
		return err
	}
	id := n.dir.Identity()
	n.quorum, err = quorum.Open(quorum.Options{Env: n.o.Env, Dir: n.o.DataDir, Self: id.NodeID, ClusterID: id.ClusterID,
		DirectoryID: id.DirectoryID, Founded: id.Founded, Config: n.o.Config, Log: n.o.Log})
	if err != nil {
		return err
	}
	// Before anything is decided: what is lost from here on is lost, not absent.
	if err := n.dir.MarkFounded(); err != nil {
		return err
	}
	n.broker = broker.New(broker.Options{Self: id.NodeID, Env: n.o.Env, Dir: n.dir, Config: n.o.Config, Log: n.o.Log, Faults: plant.partition(), Reconciled: func() { n.coord.Reconciled() }})
	n.coord = coord.New(coord.Options{Broker: n.broker, Image: n.quorum.Image, Clock: n.o.Env.Clock, Rand: n.o.Env.Rand, Log: n.o.Log, Faults: plant.coord(), Submit: n.quorum.Submit})
	n.quorum.Subscribe(func(delta meta.Delta, image *meta.Image) {
		n.broker.Changed(delta, image)
		n.coord.Changed(delta, image)
	})
	n.quorum.Start()
	epoch, err := n.register(ctx)
	if err != nil {
		return err
	}
	n.broker.Start(ctx, n.quorum.Image())
	n.dir.Settle()
	n.coord.Start()
	n.group.Go(func() { n.broker.Run(background) })
	return n.openDoors(epoch)
}

func clusterID(text string) (kafka.ClusterID, error) {
	if text == "" {
		return kafka.ClusterID{}, nil
	}
	u, err := kafka.ParseUUID(text)
	if err != nil {
		return kafka.ClusterID{}, fmt.Errorf("cluster.id: %w", err)
	}
	return kafka.ClusterID(u), nil
}

// listen binds every listener before anything long happens, so that a port in
// use is told at once. Nobody is accepted before the broker can answer.
func (n *Node) listen() error {
	for _, l := range n.o.Config.Listeners {
		nl, err := n.o.Env.Net.Listen(l.Bind.String())
		if err != nil {
			return fmt.Errorf("listen on %s: %w", l, err)
		}
		n.doors = append(n.doors, server.Listener{Name: l.Name, Listener: nl})
		n.bound = append(n.bound, Bound{Name: l.Name, Address: nl.Addr().String(), Advertised: advertise(l, nl.Addr())})
	}
	return nil
}

// advertise fills in the port when the listener was told to take any.
func advertise(l config.Listener, bound net.Addr) config.Endpoint {
	e := l.Advertised
	if e.Port == 0 {
		if got, err := config.ParseEndpoint(bound.String()); err == nil {
			e.Port = got.Port
		}
	}
	return e
}

// register tells the controller that this incarnation is here.
func (n *Node) register(ctx context.Context) (kafka.BrokerEpoch, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	id := n.dir.Identity()
	command := controller.RegisterBroker{ID: id.NodeID, Incarnation: kafka.NewUUID(n.o.Env.Rand), Starts: id.Starts, Directories: []kafka.DirectoryID{id.DirectoryID}, Rack: n.o.Config.Rack, Features: meta.FeatureLevelMax}
	for _, b := range n.bound {
		command.Endpoints = append(command.Endpoints, meta.Endpoint{Listener: b.Name, Host: b.Advertised.Host, Port: int32(b.Advertised.Port)})
	}
	reply, err := n.quorum.Submit(ctx, command)
	if err != nil {
		return 0, fmt.Errorf("register broker %d: %w", id.NodeID, err)
	}
	return reply.BrokerEpoch, nil
}

func (n *Node) openDoors(epoch kafka.BrokerEpoch) error {
	id := n.dir.Identity()
	n.api = api.New(api.Options{Broker: n.broker, Coord: n.coord, Quorum: n.quorum, Clock: n.o.Env.Clock, Log: n.o.Log, Self: id.NodeID, BrokerEpoch: epoch})
	n.server = server.New(server.Options{Handler: n.api, Clock: n.o.Env.Clock, Limits: n.limits(), Log: n.o.Log, Connections: n.connectionLimits})
	for _, l := range n.doors {
		n.server.Serve(l)
	}
	n.ready.Store(true)
	if n.o.Config.AdminListen == "" {
		return nil
	}
	l, err := n.o.Env.Net.Listen(n.o.Config.AdminListen)
	if err != nil {
		return fmt.Errorf("listen on %s for metrics and health: %w", n.o.Config.AdminListen, err)
	}
	n.adminAt = l.Addr().String()
	n.admin = admin.New(n.view, admin.Profiles(n.o.Config.AdminProfiles), n.o.Log)
	n.admin.Serve(l)
	return nil
}

func (n *Node) limits() server.Limits {
	l, c := server.DefaultLimits(), n.o.Config
	l.FrameBytes = min(c.RequestBytesMax, l.FrameBytes)
	if c.ConnectionIdle > 0 {
		l.Idle = c.ConnectionIdle
	}
	if c.QueuedRequestBytes > 0 {
		l.ClientMemory = c.QueuedRequestBytes
	}
	return l
}

// connectionLimits are the settings of the moment: they can be changed while the
// broker runs.
func (n *Node) connectionLimits() (open, perIP int) {
	s := n.broker.Settings()
	return s.Connections, s.ConnectionsPerIP
}

// Listeners are the doors for Kafka clients.
func (n *Node) Listeners() []Bound { return n.bound }

// AdminAddress is HOST:PORT of the admin door, empty when there is none.
func (n *Node) AdminAddress() string { return n.adminAt }

// Identity says who this broker is.
func (n *Node) Identity() datadir.Identity { return n.dir.Identity() }

// Done is closed when the broker cannot go on: its metadata quorum has stopped.
func (n *Node) Done() <-chan struct{} { return n.quorum.Stopped() }

// Err says why the broker cannot go on.
func (n *Node) Err() error { return n.quorum.Err() }

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
	if n.server != nil {
		n.server.Stop(ctx)
	} else { // the start failed before anybody accepted
		for _, l := range n.doors {
			_ = l.Listener.Close()
		}
	}
	if n.coord != nil {
		n.coord.Close()
	}
	n.cancel()
	n.group.Wait()
	var err error
	if n.quorum != nil {
		err = errors.Join(err, n.quorum.Close())
	}
	if n.dir != nil {
		err = errors.Join(err, n.dir.Close())
	}
	if n.admin != nil {
		n.admin.Stop(ctx)
	}
	return err
}
