package api

// The requests of other brokers, keys 30002 to 30009. They come on broker
// connections only and are never advertised.

import (
	"context"
	"errors"
	"strconv"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/kafka"
	"holdfast/internal/quorum"
	"holdfast/internal/wire"
)

// Services are what the requests of other brokers reach. A service that is nil is
// not there yet: BROKER_NOT_AVAILABLE.
type Services struct {
	// Probe answers a broker that looks for a cluster. It never waits.
	Probe func(from auth.Identity, q *wire.FoundingProbeRequest) *wire.FoundingProbeResponse
	// Raft takes an encoded message of another member of the quorum. It never waits
	// and keeps nothing of the bytes.
	Raft func(from auth.Identity, message []byte) error
	// Submit has the controller decide on an encoded command; it is
	// Quorum.SubmitEncoded.
	Submit func(ctx context.Context, command []byte) (reply []byte, err error)
	// Pull returns metadata from an offset on; it is Quorum.Pull.
	Pull func(ctx context.Context, from kafka.Offset, maxBytes int) (quorum.Pulled, error)
	// Heartbeat and Dead are the controller's ears.
	Heartbeat func(ctx context.Context, from auth.Identity, q *wire.ReportHeartbeatRequest) *wire.ReportHeartbeatResponse
	Dead      func(ctx context.Context, from auth.Identity, q *wire.ReportDeadRequest) *wire.ReportDeadResponse
}

// brokerPrincipal is who speaks on a broker connection.
func brokerPrincipal(id kafka.BrokerID) kafka.Principal {
	return kafka.Principal("Broker:" + strconv.Itoa(int(id)))
}

// Times that requests of brokers may take.
const (
	submitWaitMax = 30 * time.Second
	pullWaitMax   = 10 * time.Second
	shortWaitMax  = 5 * time.Second
)

// private answers a request of another broker.
func (d *Door) private(r *Request) (*Reply, Pending) {
	from, ok := r.Conn.Peer()
	if !ok {
		return d.refuse(r, "a client sends what only brokers may"), nil
	}
	q := wire.NewRequest(r.Header.Key)
	if q == nil {
		return d.refuse(r, "a broker sends an unknown request"), nil
	}
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return d.refuse(r, "malformed request: "+err.Error()), nil
	}
	self := d.o.Self()
	switch _, probe := q.(*wire.FoundingProbeRequest); {
	case probe:
	case self.Cluster.IsZero():
		return respond(r, notYet(r.Header.Key)), nil // the other one was faster to come into the cluster
	case from.Cluster != self.Cluster:
		// It belonged to none when the connection was made.
		return d.refuse(r, "a broker that belongs to no cluster, or did not when it connected"), nil
	}
	switch q := q.(type) {
	case *wire.FoundingProbeRequest:
		return d.probe(r, from, q), nil
	case *wire.RaftMessagesRequest:
		return d.raft(r, from, q), nil
	case *wire.SubmitCommandRequest:
		return nil, d.submit(r, q)
	case *wire.PullMetadataRequest:
		return nil, d.pull(r, q)
	case *wire.ReportHeartbeatRequest:
		return nil, d.heartbeat(r, from, q)
	case *wire.ReportDeadRequest:
		return nil, d.dead(r, from, q)
	}
	if a := d.api.Load(); a != nil {
		return a.privateOfAPI(r, from, q), nil
	}
	return respond(r, notYet(r.Header.Key)), nil
}

// notYet answers BROKER_NOT_AVAILABLE: what the request is about is not there yet.
func notYet(key kafka.APIKey) wire.Message {
	out := wire.NewResponse(key)
	switch out := out.(type) {
	case *wire.RaftMessagesResponse:
		out.ErrorCode = notThere
	case *wire.SubmitCommandResponse:
		out.ErrorCode = notThere
	case *wire.PullMetadataResponse:
		out.ErrorCode = notThere
	case *wire.ReplicaProgressResponse:
		out.ErrorCode = notThere
	case *wire.ReportHeartbeatResponse:
		out.ErrorCode = notThere
	case *wire.ReportDeadResponse:
		out.ErrorCode = notThere
	case *wire.ReplicaLogsResponse:
		out.ErrorCode = notThere
	}
	return out
}

const notThere = int16(kafka.ErrBrokerNotAvailable)

func (d *Door) probe(r *Request, from auth.Identity, q *wire.FoundingProbeRequest) *Reply {
	if d.o.Services.Probe == nil {
		out := wire.NewFoundingProbeResponse()
		out.ErrorCode = notThere
		return respond(r, &out)
	}
	return respond(r, d.o.Services.Probe(from, q))
}

func (d *Door) raft(r *Request, from auth.Identity, q *wire.RaftMessagesRequest) *Reply {
	out := wire.NewRaftMessagesResponse()
	switch {
	case kafka.BrokerID(q.BrokerID) != from.Broker:
		return d.refuse(r, "a broker speaks for another one")
	case d.o.Services.Raft == nil:
		out.ErrorCode = notThere
		return respond(r, &out)
	}
	for _, m := range q.Messages {
		if err := d.o.Services.Raft(from, m.Bytes); err != nil {
			why := err.Error()
			out.ErrorCode, out.ErrorMessage = int16(kafka.ErrInvalidRequest), &why
		}
	}
	return respond(r, &out)
}

func (d *Door) submit(r *Request, q *wire.SubmitCommandRequest) Pending {
	command := append([]byte(nil), q.Command...) // the frame ends with Begin
	limit := min(millis(q.TimeoutMillis), submitWaitMax)
	return later(r, limit, func(ctx context.Context) wire.Message {
		out := wire.NewSubmitCommandResponse()
		if d.o.Services.Submit == nil {
			out.ErrorCode = notThere
			return &out
		}
		reply, err := d.o.Services.Submit(ctx, command)
		if err == nil {
			out.Reply = reply
			return &out
		}
		why := err.Error()
		out.ErrorMessage = &why
		out.ErrorCode, out.LeaderID, out.OutcomeUnknown = submitFailed(err)
		return &out
	})
}

// submitFailed says how a command failed: with a code, with who leads instead, and
// whether it may have been carried out nevertheless.
func submitFailed(err error) (code int16, leader int32, unknown bool) {
	var notLeader *quorum.NotLeaderError
	var refused kafka.ErrorCode
	switch {
	case errors.As(err, &notLeader):
		return int16(kafka.ErrNotController), int32(notLeader.Leader), false
	case errors.As(err, &refused):
		return int16(refused), -1, false
	case errors.Is(err, quorum.ErrNoSpace):
		return int16(kafka.ErrKafkaStorageError), -1, false
	case errors.Is(err, context.DeadlineExceeded):
		return int16(kafka.ErrRequestTimedOut), -1, true
	}
	return int16(kafka.ErrUnknownServerError), -1, true
}

func (d *Door) pull(r *Request, q *wire.PullMetadataRequest) Pending {
	from, most := kafka.Offset(q.From), int(q.MaxBytes)
	return later(r, min(max(millis(q.MaxWaitMillis), time.Second), pullWaitMax), func(ctx context.Context) wire.Message {
		out := wire.NewPullMetadataResponse()
		if d.o.Services.Pull == nil {
			out.ErrorCode = notThere
			return &out
		}
		got, err := d.o.Services.Pull(ctx, from, most)
		if err != nil {
			why := err.Error()
			out.ErrorMessage = &why
			out.ErrorCode, out.LeaderID, _ = submitFailed(err)
			return &out
		}
		out.Snapshot, out.Entries, out.Committed = got.Snapshot, got.Entries, int64(got.Committed)
		return &out
	})
}

func (d *Door) heartbeat(r *Request, from auth.Identity, q *wire.ReportHeartbeatRequest) Pending {
	return later(r, shortWaitMax, func(ctx context.Context) wire.Message {
		out := wire.NewReportHeartbeatResponse()
		switch {
		case kafka.BrokerID(q.BrokerID) != from.Broker:
			out.ErrorCode = int16(kafka.ErrClusterAuthorizationFailed)
		case d.o.Services.Heartbeat == nil:
			out.ErrorCode = notThere
		default:
			return d.o.Services.Heartbeat(ctx, from, q)
		}
		return &out
	})
}

func (d *Door) dead(r *Request, from auth.Identity, q *wire.ReportDeadRequest) Pending {
	return later(r, shortWaitMax, func(ctx context.Context) wire.Message {
		if d.o.Services.Dead == nil {
			out := wire.NewReportDeadResponse()
			out.ErrorCode = notThere
			return &out
		}
		return d.o.Services.Dead(ctx, from, q)
	})
}
