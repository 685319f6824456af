package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
	"time"

	"holdfast/internal/admin"
	"holdfast/internal/api"
	"holdfast/internal/broker"
	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/coord"
	"holdfast/internal/datadir"
	"holdfast/internal/fetcher"
	"holdfast/internal/kafka"
	"holdfast/internal/lifecycle"
	"holdfast/internal/meta"
	"holdfast/internal/quorum"
	"holdfast/internal/server"
	"holdfast/internal/vfs"
	"holdfast/internal/wire"
)

const (
	// startLimit bounds a start of a broker that is alone, without its log recovery,
	// which takes what it takes.
	startLimit = time.Minute
	// lookPause is how often the start looks whether the metadata has come.
	lookPause = 5 * time.Millisecond
	// admitLimit is how long the start waits to be let in by the controller before
	// the doors open anyway.
	admitLimit = 5 * time.Second
)

func (n *Node) start(ctx, background context.Context) error {
	n.plant = plantedFaults(n.o.Faults)
	n.o.Env.FS = n.plant.fs(n.o.Env.FS)
	if err := n.loadSecret(ctx); err != nil {
		return err
	}
	if err := n.openDirectory(); err != nil {
		return err
	}
	if err := n.listen(); err != nil {
		return err
	}
	if err := n.connect(); err != nil {
		return err
	}
	if err := n.comeIn(ctx); err != nil {
		return err
	}
	n.build(background)
	n.quorum.Start()
	if n.isOneOfSeveral() { // the quorum cannot elect before its members hear each other
		if err := n.openEarly(); err != nil {
			return err
		}
	}
	epoch, err := n.register(ctx)
	if err != nil {
		return err
	}
	n.broker.Start(ctx, n.quorum.Image())
	n.dir.Settle()
	n.coord.Start()
	n.group.Go(func() { n.broker.Run(background) })
	return n.openDoors(ctx, background, epoch)
}

func (n *Node) openDirectory() (err error) {
	c := n.o.Config
	cluster, err := c.FoundingID()
	if err != nil {
		return err
	}
	n.dir, err = datadir.Open(datadir.Options{Env: n.o.Env, Dir: n.o.DataDir, NodeID: c.NodeID, ClusterID: cluster,
		Undecided: len(c.Bootstrap) > 0, Log: n.o.Log})
	return err
}

// listen binds every listener before anything long happens, so that a port in
// use is told at once. Nobody is accepted before there is somebody to answer.
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

// comeIn founds a cluster or joins one, where the directory belongs to none, and
// opens the metadata.
func (n *Node) comeIn(ctx context.Context) error {
	id := n.dir.Identity()
	o := quorum.Options{Env: n.o.Env, Dir: n.o.DataDir, Self: id.NodeID, ClusterID: id.ClusterID, DirectoryID: id.DirectoryID,
		Founded: id.Founded, Config: n.o.Config, Log: n.o.Log, Led: n.led}
	if len(n.o.Config.Bootstrap) > 0 && !id.Founded && !n.hasMetadata() {
		if err := n.openEarly(); err != nil { // the others ask
			return err
		}
		outcome, err := n.founder.Run(ctx, func(reason string) { n.waits.Store(&reason) })
		if err != nil {
			return fmt.Errorf("come into a cluster: %w", err)
		}
		n.waits.Store(nil)
		o.ClusterID, o.Join = outcome.ClusterID, outcome.Voters == nil
		for _, v := range outcome.Voters {
			o.Voters = append(o.Voters, quorum.Voter{Node: v.Broker, Directory: v.Directory})
		}
	}
	if len(n.o.Config.Bootstrap) > 0 && id.Founded {
		n.open() // the others may be asking as well; clients are sent away
		if err := n.founder.Know(ctx); err != nil {
			return fmt.Errorf("data directory %s: %w", n.o.DataDir, err)
		}
		if !n.hasSnapshot() {
			if err := n.founder.Meet(ctx); err != nil { // whom to get the first metadata from
				return err
			}
		}
	}
	members := n.peers.Members(func(m quorum.Message, arrived bool) {
		if p := n.present.Load(); p != nil {
			p.quorum.ReportSnapshot(m, arrived)
		}
	})
	o.Transport, o.Forward, o.Puller = members, members, members
	for broker := range n.peers.Learned() {
		o.Sources = append(o.Sources, broker)
	}
	slices.Sort(o.Sources)
	var err error
	if n.quorum, err = quorum.Open(o); err != nil {
		return err
	}
	// Before anything is decided: what is lost from here on is lost, not absent.
	if err := n.dir.MarkFounded(); err != nil {
		return err
	}
	n.founder.Founded(o.ClusterID)
	return nil
}

// hasMetadata reports whether a cluster was founded here by a version that did not
// note it in the identity.
func (n *Node) hasMetadata() bool { return n.dir.Identity().Proposal == "" && n.hasSnapshot() }

func (n *Node) hasSnapshot() bool {
	entries, err := n.o.Env.FS.ReadDir(path.Join(n.o.DataDir, quorum.StateDirectory))
	return err == nil && slices.ContainsFunc(entries, func(e vfs.DirEntry) bool { return strings.HasSuffix(e.Name, quorum.SnapshotSuffix) })
}

// isOneOfSeveral reports whether the metadata can only be had together with others.
func (n *Node) isOneOfSeveral() bool {
	voters := n.quorum.Describe().Voters
	return len(voters) != 1 || voters[0].Node != n.dir.Identity().NodeID
}

// build makes the parts that live on the metadata.
func (n *Node) build(background context.Context) {
	id := n.dir.Identity()
	n.fetcher = fetcher.New(fetcher.Options{Self: id.NodeID, Epoch: n.brokerEpoch, Clock: n.o.Env.Clock, Log: n.o.Log,
		Data:    func(b kafka.BrokerID) fetcher.Client { return n.peers.For(b, dataPurpose) },
		Control: func(b kafka.BrokerID) fetcher.Client { return n.peers.For(b, controlPurpose) }})
	n.broker = broker.New(broker.Options{Self: id.NodeID, Env: n.o.Env, Dir: n.dir, Config: n.o.Config, Log: n.o.Log, Faults: n.plant.partition(),
		Controller: n.quorum, Epoch: n.brokerEpoch, Followers: n.fetcher, Reconciled: n.reconciled})
	n.coord = coord.New(coord.Options{Broker: n.broker, Image: n.quorum.Image, Clock: n.o.Env.Clock, Rand: n.o.Env.Rand, Log: n.o.Log, Faults: n.plant.coord(), Submit: n.quorum.Submit})
	// Their parts are there before anything is reconciled.
	n.life = lifecycle.New(lifecycle.Options{Env: n.o.Env, Log: n.o.Log, Quorum: n.quorum, Peers: n.others(), Registration: n.registration(),
		Applied: n.broker.Applied, Isolated: n.broker.Isolate, Logs: n.replicaLogs, Settings: n.broker.Settings})
	for _, b := range n.quorum.Image().Brokers() {
		n.locate(b)
	}
	n.present.Store(&present{quorum: n.quorum, life: n.life})
	n.quorum.Subscribe(func(delta meta.Delta, image *meta.Image) {
		n.locateAll(delta, image)
		n.broker.Changed(delta, image)
		n.coord.Changed(delta, image)
		n.life.Changed(delta, image)
	})
	n.group.Go(func() { n.watchEnd(background) })
}

func (n *Node) reconciled() {
	n.coord.Reconciled()
	n.life.Reconciled()
}

// watchEnd tells when this broker cannot go on.
func (n *Node) watchEnd(ctx context.Context) {
	defer close(n.done)
	select {
	case <-n.quorum.Stopped():
	case <-n.life.Failed():
	case <-ctx.Done():
	}
}

func (n *Node) registration() controller.RegisterBroker {
	id := n.dir.Identity()
	r := controller.RegisterBroker{ID: id.NodeID, Incarnation: kafka.NewUUID(n.o.Env.Rand), Starts: id.Starts, Directories: []kafka.DirectoryID{id.DirectoryID},
		Rack: n.o.Config.Rack, PreviousEpoch: n.dir.PreviousEpoch(), Features: meta.FeatureLevelMax}
	for _, b := range n.bound {
		r.Endpoints = append(r.Endpoints, meta.Endpoint{Listener: b.Name, Host: b.Advertised.Host, Port: int32(b.Advertised.Port)})
	}
	return r
}

// register tells the controller that this incarnation is here, and waits until the
// metadata here knows.
func (n *Node) register(ctx context.Context) (kafka.BrokerEpoch, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if n.isOneOfSeveral() {
		reason := "no majority of the metadata quorum answers yet"
		n.waits.Store(&reason)
		defer n.waits.Store(nil)
		n.group.Go(func() { n.sayWaits(ctx) })
	} else {
		defer n.o.Env.Clock.AfterFunc(startLimit, func() { cancel(context.DeadlineExceeded) }).Stop()
	}
	epoch, err := n.life.Register(ctx)
	if err != nil {
		return 0, err
	}
	for n.quorum.Image().Offset() < kafka.Offset(epoch) {
		if err := n.wait(ctx, lookPause); err != nil {
			return 0, fmt.Errorf("wait for the metadata: %w", err)
		}
	}
	return epoch, nil
}

// sayAfter is how long a start is quiet about what it waits for.
const sayAfter = 3 * time.Second

// sayWaits says from time to time why the start does not go on.
func (n *Node) sayWaits(ctx context.Context) {
	for n.wait(ctx, sayAfter) == nil {
		d := n.quorum.Describe()
		if own := n.dir.Identity(); d.Leader == own.NodeID && !slices.ContainsFunc(d.Voters, func(v quorum.Replica) bool { return v.Directory == own.DirectoryID }) {
			// A command for the leader would come back to this process.
			reason := fmt.Sprintf("two brokers have this id: broker %d with another data directory leads the metadata quorum", own.NodeID)
			n.waits.Store(&reason)
			n.o.Log.Error(reason + "; give this one an id of its own (node.id), or stop the other")
			continue
		}
		n.o.Log.Warn("waiting for the metadata quorum: a majority of its voters has to run", "leader", d.Leader, "voters", len(d.Voters), "term", d.Term)
	}
}

func (n *Node) wait(ctx context.Context, d time.Duration) error {
	t := n.o.Env.Clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-n.quorum.Stopped():
		return errors.Join(quorum.ErrClosed, n.quorum.Err())
	}
}

func (n *Node) openDoors(ctx, background context.Context, epoch kafka.BrokerEpoch) error {
	id := n.dir.Identity()
	n.api = api.New(api.Options{Broker: n.broker, Coord: n.coord, Quorum: n.quorum, Clock: n.o.Env.Clock, Log: n.o.Log, Self: id.NodeID, BrokerEpoch: epoch, Forward: n.forward})
	n.built.Store(true)
	n.door.Open(n.api)
	n.group.Go(func() { n.life.Run(background) })
	n.awaitAdmission(ctx)
	n.open()
	n.ready.Store(true)
	return n.openAdmin()
}

// awaitAdmission waits until the controller counts this broker among the live ones.
func (n *Node) awaitAdmission(ctx context.Context) {
	began := n.o.Env.Clock.Now()
	for {
		me := n.quorum.Image().Broker(n.dir.Identity().NodeID)
		if me != nil && !me.Fenced || n.o.Env.Clock.Since(began) > admitLimit || n.wait(ctx, lookPause) != nil {
			return
		}
	}
}

// openEarly lets other brokers in, and shows how the start goes.
func (n *Node) openEarly() error {
	n.open()
	return n.openAdmin()
}

// open accepts connections. It may be called again.
func (n *Node) open() {
	if n.server != nil {
		return
	}
	n.server = server.New(server.Options{Handler: n.door, Clock: n.o.Env.Clock, Limits: n.limits(), Log: n.o.Log, Connections: n.connectionLimits})
	for _, l := range n.doors {
		n.server.Serve(l)
	}
}

// openAdmin opens the door of health and metrics. It may be called again.
func (n *Node) openAdmin() error {
	if n.o.Config.AdminListen == "" || n.admin != nil {
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
	if len(c.Bootstrap) > 0 {
		l.BrokerReserve = server.BrokerReserve
	}
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
	s := n.o.Config
	if n.built.Load() {
		s = n.broker.Settings()
	}
	return s.Connections, s.ConnectionsPerIP
}

func (n *Node) replicaLogs(q *wire.ReplicaLogsRequest) *wire.ReplicaLogsResponse {
	return n.api.ReplicaLogs(q)
}
