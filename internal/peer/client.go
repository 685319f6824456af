package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// Client speaks with one broker for one purpose.
type Client struct{ l *link }

// Call is one request and what becomes of it.
type Call struct {
	Key      kafka.APIKey
	Version  int16
	Request  wire.Message
	Response wire.Message // filled in by Do; its byte fields refer to Buffer
	// Buffer, when it is large enough, is read into; else Do replaces it. After an
	// error it is nil: it may still be in use.
	Buffer []byte
}

// Do sends a request and waits for its answer. An error says that there is none;
// whether the request arrived, Sent tells.
func (c *Client) Do(ctx context.Context, key kafka.APIKey, version int16, request, response wire.Message) error {
	return c.Call(ctx, &Call{Key: key, Version: version, Request: request, Response: response})
}

// Call is Do with a buffer that is used again.
func (c *Client) Call(ctx context.Context, q *Call) error {
	e := c.l.exchange(q, ctx)
	q.Buffer = nil
	if err := c.l.enqueue(e); err != nil {
		return err
	}
	select {
	case <-e.done:
	case <-ctx.Done():
		e.dead.Store(true)
		return fmt.Errorf("%s to broker %d: %w", wire.Name(q.Key), c.l.key.broker, context.Cause(ctx))
	case <-c.l.p.ctx.Done():
		e.dead.Store(true)
		return ErrClosed
	}
	if e.err != nil {
		return e.err
	}
	q.Buffer = e.buffer
	_, body, err := wire.ParseResponseHeader(e.frame, q.Key, q.Version)
	if err != nil {
		return err
	}
	return q.Response.Decode(body, q.Version)
}

// Post sends a request and does not wait: done, when it is not nil, hears what
// became of it, must not wait, and may run before Post returns. What does not fit
// is dropped. The answer itself is not looked at.
func (c *Client) Post(key kafka.APIKey, version int16, request wire.Message, done func(error)) {
	e := c.l.exchange(&Call{Key: key, Version: version, Request: request}, nil)
	e.finished = done
	if err := c.l.enqueue(e); err != nil && done != nil {
		done(err)
	}
}

// exchange is a request on its way.
type exchange struct {
	name     string
	sent     []byte // the frame of the request; its correlation id is written last
	deadline time.Time
	sentAt   atomic.Int64 // nanoseconds; 0: not yet
	dead     atomic.Bool  // nobody waits any more

	// Set before done is closed or finished is called.
	frame  []byte // of the answer, without its length
	buffer []byte
	err    error

	done     chan struct{}
	finished func(error) // instead of done
}

// correlationAt is where the correlation id stands in a request's frame: after the
// length, the key and the version.
const correlationAt = 4 + 2 + 2

// callMax bounds a call without a deadline of its own, as far as the health of the
// connection is judged by it.
const callMax = 10 * time.Second

func (l *link) exchange(q *Call, ctx context.Context) *exchange {
	clientID := l.p.clientID()
	header := wire.RequestHeader{Key: q.Key, Version: q.Version, ClientID: &clientID}
	frame := header.Append(make([]byte, 4, 256))
	frame = q.Request.Append(frame, q.Version)
	invariant.Check(len(frame)-4 <= frameMax, "request of %d bytes to a broker", len(frame))
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	e := &exchange{name: wire.Name(q.Key), sent: frame, buffer: q.Buffer, deadline: l.p.o.Env.Clock.Now().Add(callMax), done: make(chan struct{})}
	if ctx != nil {
		if at, ok := ctx.Deadline(); ok {
			e.deadline = at
		}
	}
	return e
}

// answer ends the exchange. It is called once.
func (e *exchange) answer(frame []byte, err error) {
	e.frame, e.err = frame, err
	if e.finished != nil {
		e.finished(err)
		return
	}
	close(e.done)
}

// enqueue hands the exchange to the link. It never waits.
func (l *link) enqueue(e *exchange) error {
	if err := l.p.start(l); err != nil {
		return err
	}
	select {
	case l.queue <- e:
		return nil
	default:
		return ErrBusy
	}
}

// refusedBy reports whether err means that nobody listens at the other end.
func refusedBy(err error) bool {
	var u *UnreachableError
	return errors.As(err, &u) && u.Refused
}
