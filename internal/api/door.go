package api

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"holdfast/internal/auth"
	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// DoorOptions are what a door is made of. All fields are set but for Proven; Secret
// may be the zero one: no connection becomes a broker's then.
type DoorOptions struct {
	// Self is who this broker is now. It never waits.
	Self   func() auth.Identity
	Secret auth.Secret
	// Trusted lets brokers of other machines in although nothing but the proof
	// protects their connections.
	Trusted  bool
	Rand     interface{ Read([]byte) }
	Log      *slog.Logger
	Services Services
	// Proven hears of each broker that has proved itself here. It never waits. Nil:
	// nobody cares.
	Proven func(kafka.BrokerID)
}

// Door is what a server hands requests to. It turns the connections of other
// brokers into broker connections, answers what brokers say before and beside the
// API of clients, and passes everything else to that API once it is open. It is
// safe for concurrent use.
type Door struct {
	o   DoorOptions
	api atomic.Pointer[API]
}

// NewDoor makes a door that lets brokers in only.
func NewDoor(o DoorOptions) *Door { return &Door{o: o} }

// Open lets clients in. Until then their connections are closed.
func (d *Door) Open(a *API) { d.api.Store(a) }

// Limits implements server.Handler. Until a connection is a broker's, the frames
// of brokers are refused, those of the handshake apart.
func (d *Door) Limits(c *Conn, key kafka.APIKey) (frameMax, decodeFactor int) {
	if wire.IsPrivate(key) {
		if _, broker := c.Peer(); broker || isHandshake(key) {
			return wire.Limits(key)
		}
		return 0, 1
	}
	if a := d.api.Load(); a != nil {
		return a.Limits(c, key)
	}
	return 0, 1
}

func isHandshake(key kafka.APIKey) bool {
	return key == wire.KeyBrokerHello || key == wire.KeyBrokerProof
}

// Begin implements server.Handler.
func (d *Door) Begin(r *Request) (*Reply, Pending) {
	first := !r.Conn.asked
	r.Conn.asked = true
	key := r.Header.Key
	a := d.api.Load()
	switch {
	case key == wire.KeyBrokerHello && first:
		return d.hello(r), nil
	case key == wire.KeyBrokerProof && r.Conn.handshake != nil:
		return d.proof(r), nil
	case wire.IsPrivate(key):
		return d.private(r)
	case a == nil:
		return dropReply(), nil // starting: the client comes again
	}
	return a.Begin(r)
}

// refuse closes a connection that asks for what only brokers may.
func (d *Door) refuse(r *Request, why string) *Reply {
	d.o.Log.Warn("closing connection: "+why, "client", r.Conn.Client, "listener", r.Conn.Listener,
		"key", int16(r.Header.Key), "request", wire.Name(r.Header.Key))
	return dropReply()
}

// hello begins the handshake.
func (d *Door) hello(r *Request) *Reply {
	q := wire.NewBrokerHelloRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return d.refuse(r, "malformed request: "+err.Error())
	}
	var nonce auth.Nonce
	d.o.Rand.Read(nonce[:])
	hello := auth.Hello{Identity: auth.Identity{Broker: kafka.BrokerID(q.BrokerID), Cluster: q.ClusterID}}
	if copy(hello.Nonce[:], q.Nonce) != len(hello.Nonce) || len(q.Nonce) != len(hello.Nonce) {
		return d.refuse(r, "malformed request: a nonce of another length")
	}
	machine, challenge, err := auth.Answer(d.o.Secret, d.o.Self(), r.Conn.Listener, nonce, hello)
	if err == nil && !d.o.Trusted && !isLoopback(r.Conn.Client) {
		err = errRemote
	}
	out := wire.NewBrokerHelloResponse()
	out.BrokerID, out.ClusterID, out.Listener, out.Nonce = int32(challenge.Broker), challenge.Cluster, challenge.Listener, challenge.Nonce[:]
	if err != nil {
		out.ErrorCode, out.ErrorMessage = d.handshakeFailed(r, hello.Broker, err)
		return respond(r, &out)
	}
	r.Conn.handshake = machine
	return respond(r, &out)
}

// errRemote refuses a broker of another machine (docs/decisions/0005).
var errRemote = &auth.RefusedError{Code: kafka.ErrClusterAuthorizationFailed,
	Reason: "connections between brokers on different machines are not protected yet; this broker takes them from its own machine only"}

// proof ends the handshake.
func (d *Door) proof(r *Request) *Reply {
	machine := r.Conn.handshake
	r.Conn.handshake = nil
	q := wire.NewBrokerProofRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return d.refuse(r, "malformed request: "+err.Error())
	}
	var theirs auth.Proof
	if copy(theirs[:], q.Proof) != len(theirs) || len(q.Proof) != len(theirs) {
		theirs = auth.Proof{}
	}
	who, own, err := machine.Proved(theirs)
	out := wire.NewBrokerProofResponse()
	if err != nil {
		out.ErrorCode, out.ErrorMessage = d.handshakeFailed(r, kafka.NoBroker, err)
		return respond(r, &out)
	}
	out.Proof = own[:]
	r.Conn.Principal = brokerPrincipal(who.Broker)
	r.Conn.peer.Store(&who)
	if d.o.Proven != nil {
		d.o.Proven(who.Broker)
	}
	return respond(r, &out)
}

func (d *Door) handshakeFailed(r *Request, claimed kafka.BrokerID, err error) (int16, *string) {
	d.o.Log.Warn("refusing a broker connection", "client", r.Conn.Client, "listener", r.Conn.Listener, "claimed_broker", claimed, "error", err)
	code := kafka.ErrSaslAuthenticationFailed
	_ = errors.As(err, &code)
	why := err.Error()
	return int16(code), &why
}

// isLoopback reports whether HOST:PORT is on this machine.
func isLoopback(address string) bool {
	e, err := config.ParseEndpoint(address)
	return err == nil && e.Loopback()
}
