package api

// InitProducerId, key 22, versions 0 to 5.
//
//	2 flexible; 3 the epoch is bumped for a known producer (KIP-360)
//	4, 5 transaction versions
//
// Behaviours: ids come in blocks from the metadata log and are never handed out
// twice, whatever dies. A producer without transactions that asks with its old id
// gets a new one with epoch 0, as in Kafka.
//
// Deviations from Apache Kafka: a transactional id is refused until the
// transaction coordinator exists.

import (
	"context"
	"sync"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// producerIDs hands out ids of the block that this broker holds.
type producerIDs struct {
	mu         sync.Mutex
	next, end  kafka.ProducerID
	refilling  chan struct{} // closed when the refill under way ends; nil when none is
	refillFail error
}

// take returns an id when the block has one.
func (p *producerIDs) take() (kafka.ProducerID, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next >= p.end {
		return kafka.NoProducerID, false
	}
	p.next++
	return p.next - 1, true
}

func (a *API) initProducerID(r *Request) (*Reply, Pending) {
	q := wire.NewInitProducerIDRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	refuse := func(code kafka.ErrorCode) *wire.InitProducerIDResponse {
		a.fail(r)
		out := wire.NewInitProducerIDResponse()
		out.ErrorCode, out.ProducerEpoch = int16(code), -1
		return &out
	}
	switch {
	case q.TransactionalID != nil && *q.TransactionalID == "":
		return respond(r, refuse(kafka.ErrInvalidRequest)), nil
	case q.TransactionalID != nil:
		return respond(r, refuse(kafka.ErrTransactionalIDAuthorizationFailed)), nil
	case !a.authorize(r.Conn.Principal, opIdempotentWrite, clusterResource()):
		return respond(r, refuse(kafka.ErrClusterAuthorizationFailed)), nil
	}
	granted := func(id kafka.ProducerID) *wire.InitProducerIDResponse {
		out := wire.NewInitProducerIDResponse()
		out.ProducerID, out.ProducerEpoch = int64(id), 0
		return &out
	}
	if id, ok := a.producers.take(); ok {
		return respond(r, granted(id)), nil
	}
	return nil, a.later(r, commandWait, func(ctx context.Context) wire.Message {
		for {
			if id, ok := a.producers.take(); ok {
				return granted(id)
			}
			if err := a.refillProducerIDs(ctx); err != nil {
				a.o.Log.Warn("no producer ids", "client", r.Conn.Client, "error", err)
				return refuse(kafka.ErrCoordinatorLoadInProgress) // retriable for every client
			}
		}
	})
}

// refillProducerIDs asks the controller for a block; concurrent callers share one
// request.
func (a *API) refillProducerIDs(ctx context.Context) error {
	p := &a.producers
	p.mu.Lock()
	if p.next < p.end {
		p.mu.Unlock()
		return nil
	}
	if wait := p.refilling; wait != nil {
		p.mu.Unlock()
		select {
		case <-wait:
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.refillFail
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done := make(chan struct{})
	p.refilling = done
	p.mu.Unlock()
	reply, err := a.o.Quorum.Submit(ctx, controller.AllocateProducerIDs{Broker: a.o.Self, Epoch: a.o.BrokerEpoch})
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.next, p.end = reply.ProducerIDs.First, reply.ProducerIDs.First+kafka.ProducerID(reply.ProducerIDs.Count)
	}
	p.refilling, p.refillFail = nil, err
	close(done)
	return err
}
