package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/broker"
	"holdfast/internal/clock"
	"holdfast/internal/coord"
	"holdfast/internal/kafka"
	"holdfast/internal/quorum"
	"holdfast/internal/wire"
)

// Conn is what a request knows about its connection.
type Conn struct {
	Listener string // name of the listener it came in through
	// Principal is who speaks. It changes once at most, when a broker has proved
	// itself; nothing else has been asked on the connection then.
	Principal kafka.Principal
	Client    string // remote address
	// Wake tells the connection's writer that a Pending may be ready. It never
	// waits and is safe to call at any time.
	Wake func()
	// Software is what the client said it is (KIP-511), for logs and metrics.
	Software atomic.Pointer[Software]

	peer atomic.Pointer[auth.Identity]
	// The reader's own: whether anything was asked, and the handshake under way.
	asked     bool
	handshake *auth.Responder
}

// Peer is the broker that has proved itself at the other end; ok is false on a
// client's connection.
func (c *Conn) Peer() (who auth.Identity, ok bool) {
	if p := c.peer.Load(); p != nil {
		return *p, true
	}
	return auth.Identity{Broker: kafka.NoBroker}, false
}

// Software is a client's own name and version.
type Software struct{ Name, Version string }

// Request is one request between its frame and its reply.
type Request struct {
	Conn     *Conn
	Received time.Time
	Header   wire.RequestHeader
	body     []byte // valid during Begin only
}

// Parse reads the request header of a frame. The body stays in the frame.
func (r *Request) Parse(frame []byte) error {
	header, body, err := wire.ParseRequestHeader(frame)
	if _, unknown := errors.AsType[*wire.VersionError](err); unknown {
		// The head of the header is readable in every version; Begin answers
		// ApiVersions and closes the connection for all others.
		r.Header = header
		return nil
	}
	if err != nil {
		return fmt.Errorf("parse request header: %w", err)
	}
	r.Header, r.body = header, body
	return nil
}

// clientID is the client's id, empty when it sent none.
func (r *Request) clientID() string {
	if r.Header.ClientID == nil {
		return ""
	}
	return *r.Header.ClientID
}

func (r *Request) appendHeader(dst []byte) []byte {
	return wire.AppendResponseHeader(dst, r.Header.Key, r.Header.Version, r.Header.CorrelationID)
}

// Pending is a request that Begin has accepted and that cannot be answered yet.
// Its methods are called by one goroutine at a time.
type Pending interface {
	// Finish returns the reply, or false when it still has to wait; the
	// connection's Wake announces the next chance. expired says that the deadline
	// has passed: then Finish answers in any case.
	Finish(expired bool) (*Reply, bool)
	// Deadline is the latest time of the answer. It may change after Finish.
	Deadline() time.Time
	// Abandon gives up: the connection is gone and no reply will be sent.
	Abandon()
	// Holds reports whether the request's decoded body is kept until the reply:
	// its memory then stays reserved.
	Holds() bool
	// Idle reports whether the request waits for something that may never come,
	// so that a broker that stops answers it at once.
	Idle() bool
}

// Options are what the API is made of. All fields but Forward are set.
type Options struct {
	Broker *broker.Broker
	Coord  *coord.Coordinator
	Quorum *quorum.Quorum
	Clock  clock.Clock
	Log    *slog.Logger
	Self   kafka.BrokerID
	// BrokerEpoch names this incarnation: what its registration was answered.
	BrokerEpoch kafka.BrokerEpoch
	// Forward asks another broker what a client has asked this one. Nil: this one
	// answers as well as it can.
	Forward func(ctx context.Context, to kafka.BrokerID, version int16, request, response wire.Message) error
}

// API answers requests. It is safe for concurrent use.
type API struct {
	o         Options
	sessions  *sessions // of consumers
	replicas  *sessions // of brokers
	stats     Stats
	weak      weakClients
	producers producerIDs
	served    []handler
	handlers  map[kafka.APIKey]*handler
}

// Stats counts requests by API key and by what weak clients ask for.
type Stats struct {
	requests [apiKeys]atomic.Int64
	failures [apiKeys]atomic.Int64
	WeakOne  atomic.Int64 // produce requests with acks=1
	WeakZero atomic.Int64 // produce requests with acks=0
}

const apiKeys = 128

// Requests returns how many requests of the API came, and how many of them were
// answered with an error or by closing the connection.
func (s *Stats) Requests(key kafka.APIKey) (total, failed int64) {
	if key < 0 || key >= apiKeys {
		return 0, 0
	}
	return s.requests[key].Load(), s.failures[key].Load()
}

// New makes the API of a broker.
func New(o Options) *API {
	a := &API{o: o, sessions: newSessions(o.Broker.Settings().FetchSessions), replicas: newSessions(replicaSessions), served: served()}
	a.handlers = make(map[kafka.APIKey]*handler, len(a.served))
	for i := range a.served {
		a.handlers[a.served[i].key] = &a.served[i]
	}
	return a
}

// replicaSessions is how many fetch sessions brokers may have, a few for each.
const replicaSessions = 256

// Stats returns the API's counters.
func (a *API) Stats() *Stats { return &a.stats }

// Limits implements server.Handler. A key that is not served costs nothing: its
// frames are refused.
func (a *API) Limits(_ *Conn, key kafka.APIKey) (frameMax, decodeFactor int) {
	if a.handlers[key] == nil {
		return 0, 1
	}
	return wire.Limits(key)
}

// Begin implements server.Handler.
func (a *API) Begin(r *Request) (*Reply, Pending) {
	h := a.handlers[r.Header.Key]
	if h == nil || r.Header.Version < h.min || r.Header.Version > h.max {
		if r.Header.Key == wire.KeyApiVersions {
			return a.unsupportedApiVersions(r), nil
		}
		a.o.Log.Warn("closing connection: unsupported request", "client", r.Conn.Client,
			"key", int16(r.Header.Key), "version", r.Header.Version)
		return dropReply(), nil
	}
	if int(r.Header.Key) < apiKeys {
		a.stats.requests[r.Header.Key].Add(1)
	}
	return h.begin(a, r)
}

// malformed answers a body that does not decode: the connection is closed, as
// nothing after it can be trusted either.
func (a *API) malformed(r *Request, err error) *Reply {
	a.fail(r)
	a.o.Log.Warn("closing connection: malformed request", "client", r.Conn.Client,
		"key", int16(r.Header.Key), "version", r.Header.Version, "error", err)
	return dropReply()
}

func (a *API) fail(r *Request) {
	if int(r.Header.Key) < apiKeys {
		a.stats.failures[r.Header.Key].Add(1)
	}
}

// respond encodes a whole response. One that is larger than the protocol can say
// ends the connection: strangers decide how much there is to tell.
func respond(r *Request, m wire.Message) *Reply {
	reply := NewReply(r)
	reply.buf = m.Append(reply.buf, r.Header.Version)
	if int64(len(reply.buf)) > replyMax {
		return dropReply()
	}
	return reply
}

// codeOf is the code for an error of the controller or of a wait.
func codeOf(err error) kafka.ErrorCode {
	var code kafka.ErrorCode
	var notLeader *quorum.NotLeaderError
	switch {
	case err == nil:
		return kafka.ErrNone
	case errors.As(err, &code):
		return code
	case errors.As(err, &notLeader):
		return kafka.ErrNotController
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, quorum.ErrLeadershipLost):
		return kafka.ErrRequestTimedOut // nobody knows what became of it
	case errors.Is(err, context.Canceled), errors.Is(err, quorum.ErrClosed):
		return kafka.ErrNotController
	}
	return kafka.ErrUnknownServerError
}
