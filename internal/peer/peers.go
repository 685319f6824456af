package peer

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"

	"holdfast/internal/auth"
	"holdfast/internal/config"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/vnet"
)

// Purpose keeps apart what must not wait for each other: a connection answers in
// the order it was asked.
type Purpose uint8

// The purposes.
const (
	Data    Purpose = iota // fetches of replicas; they may be parked
	Raft                   // messages of the metadata quorum
	Control                // heartbeats, progress, probes, reports: answered at once
	Command                // commands for the controller: answered when committed
	Pull                   // metadata for observers; may be parked
)

var purposeNames = [...]string{"data", "raft", "control", "command", "pull"}

// String is the purpose's name in the log.
func (p Purpose) String() string { return purposeNames[p] }

// Options are what the connections are made of. Env, Log, Secret and Self are set.
type Options struct {
	Env    env.Env
	Log    *slog.Logger
	Secret auth.Secret
	// Self is who this broker is now. It never waits. When the answer changes (the
	// cluster has been founded), the connections are made anew.
	Self func() auth.Identity
	// Trusted allows connections to other machines although nothing but the proof
	// protects them.
	Trusted bool
	// Epoch is the broker epoch that the metadata here gives a broker; nil: unknown.
	// It never waits.
	Epoch func(kafka.BrokerID) kafka.BrokerEpoch
	// Lost hears of each connection that ended by itself, after one look at whether
	// another can be made. It must not wait. nil: nobody cares.
	Lost func(Loss)
}

// Loss is a connection that ended by itself.
type Loss struct {
	Broker kafka.BrokerID
	// Epoch is the broker epoch that the metadata gave the broker when it last
	// answered on this connection.
	Epoch kafka.BrokerEpoch
	// Refused: the next connection was refused, because nobody listens there. With
	// the end of this one that is one peer's half of a proof of death.
	Refused bool
	Err     error // how the connection ended
}

// Peers are the connections to other brokers. It is safe for concurrent use.
type Peers struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu struct {
		sync.Mutex
		closed bool
		links  map[linkKey]*link
		// addresses are what the metadata says; learned is what a proof showed; named
		// is what the operator wrote, in order.
		addresses, learned map[kafka.BrokerID]string
		named              []string
		met                map[kafka.BrokerID]bool // that there is a connection, as told to the log
	}
}

// linkKey names a link: to a broker, or to whoever is at an address.
type linkKey struct {
	broker  kafka.BrokerID
	address string
	purpose Purpose
}

// Name sets the addresses that the operator has written, HOST:PORT each and none of
// this broker's own, where brokers are looked for until the metadata names their
// endpoints.
func (p *Peers) Name(addresses []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.named = slices.Clone(addresses)
}

// SetAddress sets where a broker is, as the metadata says; empty: it is not known.
// A connection that exists stays.
func (p *Peers) SetAddress(broker kafka.BrokerID, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if address == "" {
		delete(p.mu.addresses, broker)
		return
	}
	p.mu.addresses[broker] = address
}

// Address is where the broker is, empty when that is not known.
func (p *Peers) Address(broker kafka.BrokerID) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.mu.addresses[broker]; a != "" {
		return a
	}
	return p.mu.learned[broker]
}

// Learned lists the brokers that have proved who they are, with the addresses at
// which they were met.
func (p *Peers) Learned() map[kafka.BrokerID]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.mu.learned)
}

// Client speaks with a broker for the purpose of fetching data.
func (p *Peers) Client(broker kafka.BrokerID) *Client { return p.For(broker, Data) }

// For speaks with a broker. Calling it costs no connection.
func (p *Peers) For(broker kafka.BrokerID, purpose Purpose) *Client {
	return p.client(linkKey{broker: broker, purpose: purpose})
}

// At speaks with whoever is at HOST:PORT, before it is known who that is.
func (p *Peers) At(address string) *Client {
	return p.client(linkKey{broker: kafka.NoBroker, address: address, purpose: Control})
}

func (p *Peers) client(k linkKey) *Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.mu.links[k]
	if l == nil {
		l = newLink(p, k)
		p.mu.links[k] = l
	}
	return &Client{l}
}

// Refused connects to the broker anew and reports whether nobody listens there. It
// waits for the network, a second at most. The error is any other failure.
func (p *Peers) Refused(broker kafka.BrokerID) (bool, error) {
	at := p.Address(broker)
	if at == "" {
		return false, ErrUnknown
	}
	nc, err := p.o.Env.Net.Dial(at, dialMax)
	if err != nil {
		if vnet.IsRefused(err) {
			return true, nil
		}
		return false, err
	}
	return false, nc.Close()
}

// candidates are the addresses at which k may be found.
func (p *Peers) candidates(k linkKey) []string {
	if k.broker == kafka.NoBroker {
		return []string{k.address}
	}
	if at := p.Address(k.broker); at != "" {
		return []string{at}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := slices.Collect(maps.Values(p.mu.learned))
	return slices.DeleteFunc(slices.Clone(p.mu.named), func(a string) bool { return slices.Contains(taken, a) })
}

// learn notes at which address a broker has proved itself. It reports whether that
// is news worth a line.
func (p *Peers) learn(broker kafka.BrokerID, address string) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.mu.learned, func(b kafka.BrokerID, a string) bool { return a == address && b != broker })
	p.mu.learned[broker] = address
	news = !p.mu.met[broker]
	p.mu.met[broker] = true
	return news
}

// noteGone notes that a connection was lost and could not be made again, and
// reports whether that is news worth a line.
func (p *Peers) noteGone(broker kafka.BrokerID) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	news = p.mu.met[broker]
	delete(p.mu.met, broker)
	return news
}

// Heard tells that the broker has connected to this one: whoever waits before
// connecting to it again need not. It never waits.
func (p *Peers) Heard(broker kafka.BrokerID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, l := range p.mu.links {
		if k.broker == broker {
			select {
			case l.heard <- struct{}{}:
			default:
			}
		}
	}
}

// unlearn forgets a broker's address: somebody else was there.
func (p *Peers) unlearn(broker kafka.BrokerID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.mu.learned, broker)
}

func (p *Peers) epoch(broker kafka.BrokerID) kafka.BrokerEpoch {
	if p.o.Epoch == nil {
		return -1
	}
	return p.o.Epoch(broker)
}

// allowed refuses an address on another machine.
func (p *Peers) allowed(address string) error {
	if p.o.Trusted {
		return nil
	}
	e, err := config.ParseEndpoint(address)
	if err != nil {
		return err
	}
	if !e.Loopback() {
		return ErrRemote
	}
	return nil
}

// clientID is what requests name as their sender, for logs.
func (p *Peers) clientID() string {
	return "broker-" + strconv.Itoa(int(p.o.Self().Broker))
}
