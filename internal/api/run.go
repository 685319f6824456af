package api

import (
	"context"
	"sync/atomic"
	"time"

	"holdfast/internal/controller"
	"holdfast/internal/wire"
)

// background is a request that waits for the controller or for a disk. The work
// runs on a goroutine of its own, so that other connections and later requests
// of this one go on.
type background struct {
	reply    atomic.Pointer[Reply]
	deadline time.Time
	cancel   context.CancelFunc
}

// backgroundMax bounds a request that names no time of its own.
const backgroundMax = 60 * time.Second

// commandWait bounds a command whose request names no time: with no quorum there is
// an answer then, which clients try again, and not silence.
const commandWait = 10 * time.Second

// later runs work and answers with what it returns. work must end soon after its
// context does. limit is the longest it may take, at most backgroundMax.
func (a *API) later(r *Request, limit time.Duration, work func(context.Context) wire.Message) Pending {
	return later(r, limit, work)
}

func later(r *Request, limit time.Duration, work func(context.Context) wire.Message) Pending {
	if limit <= 0 || limit > backgroundMax {
		limit = backgroundMax
	}
	// The frame is gone when work runs: keep what the reply needs.
	kept := &Request{Conn: r.Conn, Received: r.Received, Header: r.Header}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	b := &background{cancel: cancel, deadline: r.Received.Add(backgroundMax + limit)}
	go func() {
		defer cancel()
		reply := respond(kept, work(ctx))
		b.reply.Store(reply)
		kept.Conn.Wake()
	}()
	return b
}

// Finish implements Pending.
func (b *background) Finish(expired bool) (*Reply, bool) {
	if reply := b.reply.Load(); reply != nil {
		return reply, true
	}
	if expired { // work did not end with its context: nothing true can be said
		b.cancel()
		return dropReply(), true
	}
	return nil, false
}

// Deadline implements Pending.
func (b *background) Deadline() time.Time { return b.deadline }

// Abandon implements Pending.
func (b *background) Abandon() { b.cancel() }

// Holds implements Pending.
func (b *background) Holds() bool { return true }

// Idle implements Pending.
func (b *background) Idle() bool { return false }

// controllerWait bounds how long a command waits for a controller. Clients give up
// a request after 30 s; before that they are told REQUEST_TIMED_OUT, and try again.
const controllerWait = 20 * time.Second

// appliedWait bounds how long the answer to a change waits for this broker.
const appliedWait = 5 * time.Second

// submit hands a command to the controller and waits until this broker has
// applied what it decided, so that a client that was told "created" finds the
// topic here. What takes this broker longer is no failure of the change, which is
// committed: clients meet a retriable error until it is done, as with Kafka.
func (a *API) submit(ctx context.Context, command controller.Command) (controller.Reply, error) {
	asking, cancel := context.WithTimeout(ctx, controllerWait)
	defer cancel()
	reply, err := a.o.Quorum.Submit(asking, command)
	if err != nil {
		return reply, err
	}
	ctx, cancel = context.WithTimeout(ctx, appliedWait)
	defer cancel()
	_ = a.o.Broker.AwaitApplied(ctx, reply.Offset)
	return reply, nil
}
