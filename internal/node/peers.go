package node

import (
	"context"
	"slices"

	"holdfast/internal/api"
	"holdfast/internal/auth"
	"holdfast/internal/config"
	"holdfast/internal/founding"
	"holdfast/internal/kafka"
	"holdfast/internal/lifecycle"
	"holdfast/internal/meta"
	"holdfast/internal/peer"
	"holdfast/internal/quorum"
	"holdfast/internal/wire"
)

const (
	dataPurpose    = peer.Data
	controlPurpose = peer.Control
)

// present are the parts that other brokers reach, once they are there.
type present struct {
	quorum *quorum.Quorum
	life   *lifecycle.Lifecycle
}

// identity is who this broker is to others.
func (n *Node) identity() auth.Identity {
	s := n.founder.State()
	who := auth.Identity{Broker: s.Broker}
	if s.IsMember() {
		who.Cluster = s.ClusterID
	}
	return who
}

// connect makes the ways to other brokers and the door for them. Nothing is said
// yet.
func (n *Node) connect() (err error) {
	c := n.o.Config
	ports := make([]int, len(n.bound))
	for i, b := range n.bound {
		ports[i] = b.Advertised.Port
	}
	own := lifecycle.OwnAddresses(c.Listeners, ports)
	n.founder, err = lifecycle.NewFounder(lifecycle.FounderOptions{Env: n.o.Env, Log: n.o.Log, Directory: n.dir, Config: c,
		Own: own, Ask: n.askAddress})
	if err != nil {
		return err
	}
	n.peers = peer.New(peer.Options{Env: n.o.Env, Log: n.o.Log, Secret: n.secret, Self: n.identity, Trusted: c.NetworkTrusted, Epoch: n.epochOf, Lost: n.lost})
	n.peers.Name(slices.DeleteFunc(founding.Canonical(c.Bootstrap), func(a string) bool { return slices.Contains(own, a) }))
	n.door = api.NewDoor(api.DoorOptions{Self: n.identity, Secret: n.secret, Trusted: c.NetworkTrusted, Rand: n.o.Env.Rand, Log: n.o.Log, Services: n.services(), Proven: n.peers.Heard})
	return nil
}

func (n *Node) askAddress(ctx context.Context, address string, q *wire.FoundingProbeRequest, r *wire.FoundingProbeResponse) error {
	return n.peers.At(address).Do(ctx, wire.KeyFoundingProbe, 0, q, r)
}

// epochOf is the broker epoch that the metadata here gives a broker.
func (n *Node) epochOf(id kafka.BrokerID) kafka.BrokerEpoch {
	if p := n.present.Load(); p != nil {
		if b := p.quorum.Image().Broker(id); b != nil {
			return b.Epoch
		}
	}
	return -1
}

// brokerEpoch is this incarnation's own.
func (n *Node) brokerEpoch() kafka.BrokerEpoch {
	if p := n.present.Load(); p != nil {
		return p.life.Epoch()
	}
	return -1
}

func (n *Node) lost(loss peer.Loss) {
	if p := n.present.Load(); p != nil {
		p.life.Lost(loss)
	}
}

func (n *Node) led(leading bool, term kafka.LeaderEpoch) {
	if p := n.present.Load(); p != nil {
		p.life.Led(leading, term)
	}
}

// locateAll follows the addresses of brokers.
func (n *Node) locateAll(delta meta.Delta, image *meta.Image) {
	for _, id := range delta.Brokers() {
		if b := image.Broker(id); b != nil {
			n.locate(b)
		} else {
			n.peers.SetAddress(id, "")
		}
	}
}

func (n *Node) locate(b *meta.Broker) {
	e, ok := b.Endpoint(n.o.Config.InterBrokerListener)
	if !ok && len(b.Endpoints) > 0 {
		e = b.Endpoints[0]
	}
	n.peers.SetAddress(b.ID, config.Endpoint{Host: e.Host, Port: int(e.Port)}.String())
}

// services are what other brokers reach before the API is open, and beside it.
func (n *Node) services() api.Services {
	return api.Services{
		Probe: n.founder.Probe,
		Raft: func(_ auth.Identity, message []byte) error {
			if p := n.present.Load(); p != nil {
				return p.quorum.Receive(message)
			}
			return nil // as a network that loses it
		},
		Submit: func(ctx context.Context, command []byte) ([]byte, error) {
			p := n.present.Load()
			if p == nil {
				return nil, &quorum.NotLeaderError{Leader: kafka.NoBroker}
			}
			return p.quorum.SubmitEncoded(ctx, command)
		},
		Pull: func(ctx context.Context, from kafka.Offset, maxBytes int) (quorum.Pulled, error) {
			p := n.present.Load()
			if p == nil {
				return quorum.Pulled{}, &quorum.NotLeaderError{Leader: kafka.NoBroker}
			}
			return p.quorum.Pull(ctx, from, maxBytes)
		},
		Heartbeat: func(ctx context.Context, from auth.Identity, q *wire.ReportHeartbeatRequest) *wire.ReportHeartbeatResponse {
			if p := n.present.Load(); p != nil {
				return p.life.Heartbeat(ctx, from, q)
			}
			out := wire.NewReportHeartbeatResponse()
			out.ErrorCode = int16(kafka.ErrNotController)
			return &out
		},
		Dead: func(ctx context.Context, from auth.Identity, q *wire.ReportDeadRequest) *wire.ReportDeadResponse {
			if p := n.present.Load(); p != nil {
				return p.life.Dead(ctx, from, q)
			}
			out := wire.NewReportDeadResponse()
			out.ErrorCode = int16(kafka.ErrNotController)
			return &out
		},
	}
}

// others are the other brokers as lifecycle sees them.
type others struct {
	peers *peer.Peers
	self  kafka.BrokerID
}

func (n *Node) others() lifecycle.Peers {
	return others{n.peers, n.dir.Identity().NodeID}
}

// Do implements lifecycle.Peers.
func (o others) Do(ctx context.Context, broker kafka.BrokerID, key kafka.APIKey, request, response wire.Message) error {
	return o.peers.For(broker, peer.Control).Do(ctx, key, 0, request, response)
}

// Watch implements lifecycle.Peers.
func (o others) Watch(broker kafka.BrokerID) {
	probe := wire.NewFoundingProbeRequest()
	probe.State.BrokerID = int32(o.self)
	o.peers.For(broker, peer.Control).Post(wire.KeyFoundingProbe, 0, &probe, nil)
}

// Refused implements lifecycle.Peers.
func (o others) Refused(broker kafka.BrokerID) (bool, error) { return o.peers.Refused(broker) }

// forward asks another broker what a client has asked this one.
func (n *Node) forward(ctx context.Context, to kafka.BrokerID, version int16, request, response wire.Message) error {
	return n.peers.For(to, peer.Command).Do(ctx, request.Key(), version, request, response)
}
