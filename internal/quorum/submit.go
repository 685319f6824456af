package quorum

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
)

// role is what a member knows about who leads.
type role struct {
	leader  kafka.BrokerID
	term    kafka.LeaderEpoch
	leading bool
	over    chan struct{} // closed when another role follows
}

// How long Submit waits before it tries again.
const (
	retryPauseMin = 20 * time.Millisecond
	retryPauseMax = 250 * time.Millisecond
)

// Submit has the controller decide on a command and returns its reply when the
// decision is committed. Where this member leads, it is applied here then; where
// another one does, the command is forwarded, and the reply names the offset to
// wait for. While no leader is known, or while it moves, Submit waits and tries
// again, as long as nothing was done for certain, or as the command can be repeated
// (controller.IsRepeatable).
//
// *controller.Error: the command was refused; errors.As finds its kafka.ErrorCode.
// *NotLeaderError, without a Forwarder, and ErrNoSpace: nothing was done.
// ErrLeadershipLost, ErrClosed, the context's error, or a failure of the disk:
// nobody knows.
func (q *Quorum) Submit(ctx context.Context, command controller.Command) (controller.Reply, error) {
	a := &asking{q: q, command: command, hint: kafka.NoBroker}
	for pause := retryPauseMin; ; pause = min(2*pause, retryPauseMax) {
		reply, err := a.once(ctx)
		if !a.again(ctx, err) {
			return a.end(reply, err)
		}
		if a.hint == kafka.NoBroker || a.hint == q.o.Self {
			q.pause(ctx, pause)
		}
	}
}

// asking is one command that somebody waits for.
type asking struct {
	q       *Quorum
	command controller.Command
	encoded []byte         // nil: not yet
	hint    kafka.BrokerID // who leads, by the word of who does not
	doubt   error          // of an attempt that may have been carried out
}

// once has the command decided, here or where the quorum is led.
func (a *asking) once(ctx context.Context) (controller.Reply, error) {
	leader := a.hint
	a.hint = kafka.NoBroker
	if leader == kafka.NoBroker || leader == a.q.o.Self {
		reply, err := a.q.submitHere(ctx, a.command)
		elsewhere, ok := errors.AsType[*NotLeaderError](err)
		if !ok || a.q.o.Forward == nil || elsewhere.Leader == kafka.NoBroker || elsewhere.Leader == a.q.o.Self {
			return reply, err
		}
		leader = elsewhere.Leader
	}
	if a.encoded == nil {
		var err error
		if a.encoded, err = controller.EncodeCommand(a.command); err != nil {
			return controller.Reply{}, err
		}
	}
	b, err := a.q.submitThere(ctx, leader, a.encoded)
	if err != nil {
		return controller.Reply{}, err
	}
	return decodeOutcome(b)
}

// again reports whether the command is to be tried once more after err.
func (a *asking) again(ctx context.Context, err error) bool {
	if err == nil || a.q.o.Forward == nil || ctx.Err() != nil || a.q.closing.Load() || a.q.Err() != nil {
		return false
	}
	if elsewhere, ok := errors.AsType[*NotLeaderError](err); ok {
		a.hint = elsewhere.Leader
		return true
	}
	if _, refused := errors.AsType[*controller.Error](err); refused || errors.Is(err, ErrNoSpace) {
		return false
	}
	if errors.Is(err, ErrNotSent) {
		return true
	}
	if _, local := errors.AsType[*CorruptionError](err); local || !controller.IsRepeatable(a.command) {
		return false
	}
	a.doubt = err
	return true
}

// end is what the caller is told. After an attempt in doubt, that nothing was done
// in the end says nothing about it.
func (a *asking) end(reply controller.Reply, err error) (controller.Reply, error) {
	switch {
	case err == nil && (a.doubt == nil || !controller.Refuses(reply)):
		return reply, nil
	case a.doubt == nil:
		return controller.Reply{}, err
	}
	return controller.Reply{}, fmt.Errorf("%w: %w", ErrLeadershipLost, errors.Join(err, a.doubt))
}

// pause waits, no longer than until another leader is known.
func (q *Quorum) pause(ctx context.Context, d time.Duration) {
	timer := q.o.Env.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-q.role.Load().over:
	case <-ctx.Done():
	case <-q.stopped:
	}
}

// submitHere has this member decide. While no leader is known it waits.
func (q *Quorum) submitHere(ctx context.Context, command controller.Command) (controller.Reply, error) {
	s := newSubmission(command)
	s.ctx = ctx
	select {
	case q.submits <- s:
	case <-q.stopped:
		return controller.Reply{}, q.ended()
	case <-ctx.Done():
		return controller.Reply{}, fmt.Errorf("submit to the controller: %w", context.Cause(ctx))
	}
	select {
	case <-s.done:
		return s.reply, s.err
	case <-ctx.Done():
		return controller.Reply{}, fmt.Errorf("wait for the controller: %w", context.Cause(ctx))
	case <-q.stopped:
	}
	select {
	case <-s.done: // answered in the moment of the end
		return s.reply, s.err
	default:
		return controller.Reply{}, q.ended()
	}
}

// submitThere forwards a command. It gives up when another leader is known: who led
// may be silent for ever.
func (q *Quorum) submitThere(ctx context.Context, leader kafka.BrokerID, command []byte) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		b   []byte
		err error
	}
	answers := make(chan answer, 1)
	began := q.role.Load()
	go func() {
		b, err := q.o.Forward.Submit(ctx, leader, command)
		answers <- answer{b, err}
	}()
	for over := began.over; ; {
		select {
		case a := <-answers:
			if a.err != nil {
				return nil, fmt.Errorf("forward to the controller on node %d: %w", leader, a.err)
			}
			return a.b, nil
		case <-over:
			now := q.role.Load()
			over = now.over
			if now.leader != kafka.NoBroker && now.leader != leader {
				cancel()
			}
		case <-q.stopped:
			cancel()
			<-answers
			return nil, q.ended()
		}
	}
}

// SubmitEncoded decides on a command that another member forwarded, where this one
// leads, and never forwards it again. The bytes hold every outcome, refusals
// included; what they say is for the Submit that the command came from. The error is
// for a quorum that ends or a context that has.
func (q *Quorum) SubmitEncoded(ctx context.Context, command []byte) ([]byte, error) {
	if r := q.role.Load(); !r.leading {
		return encodeOutcome(controller.Reply{}, &NotLeaderError{Leader: r.leader}), nil
	}
	c, err := controller.DecodeCommand(command)
	if err != nil {
		return encodeOutcome(controller.Reply{}, err), nil
	}
	reply, err := q.submitHere(ctx, c)
	if errors.Is(err, ErrClosed) || err != nil && ctx.Err() != nil {
		return nil, err
	}
	return encodeOutcome(reply, err), nil
}

// An outcome on its way back is its kind and what the kind says.
const (
	outcomeDone      = 0 // an encoded controller.Reply
	outcomeRefused   = 1 // the error code, i16, and the reason
	outcomeNotLeader = 2 // the node that leads, i32
	outcomeNoSpace   = 3
	outcomeUnknown   = 4 // why
)

// outcomeTextMax bounds the reasons.
const outcomeTextMax = 4 << 10

func encodeOutcome(reply controller.Reply, err error) []byte {
	if err == nil {
		b, encodeErr := controller.EncodeReply(reply)
		if encodeErr == nil {
			return append([]byte{outcomeDone}, b...)
		}
		err = encodeErr
	}
	if refusal, ok := errors.AsType[*controller.Error](err); ok {
		b := binary.BigEndian.AppendUint16([]byte{outcomeRefused}, uint16(refusal.Code))
		return append(b, refusal.Message[:min(len(refusal.Message), outcomeTextMax)]...)
	}
	if elsewhere, ok := errors.AsType[*NotLeaderError](err); ok {
		return binary.BigEndian.AppendUint32([]byte{outcomeNotLeader}, uint32(elsewhere.Leader))
	}
	if errors.Is(err, ErrNoSpace) {
		return []byte{outcomeNoSpace}
	}
	text := err.Error()
	return append([]byte{outcomeUnknown}, text[:min(len(text), outcomeTextMax)]...)
}

// decodeOutcome reads what another member said. What cannot be read leaves the
// outcome unknown.
func decodeOutcome(b []byte) (controller.Reply, error) {
	kind := byte(outcomeUnknown)
	if len(b) > 0 {
		kind, b = b[0], b[1:]
	}
	switch {
	case kind == outcomeDone:
		reply, err := controller.DecodeReply(b)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrLeadershipLost, err)
		}
		return reply, err
	case kind == outcomeRefused && len(b) >= 2:
		return controller.Reply{}, &controller.Error{Code: kafka.ErrorCode(binary.BigEndian.Uint16(b)), Message: string(b[2:min(len(b), 2+outcomeTextMax)])}
	case kind == outcomeNotLeader && len(b) == 4:
		return controller.Reply{}, &NotLeaderError{Leader: max(kafka.BrokerID(binary.BigEndian.Uint32(b)), kafka.NoBroker)}
	case kind == outcomeNoSpace:
		return controller.Reply{}, ErrNoSpace
	}
	return controller.Reply{}, fmt.Errorf("%w: %s", ErrLeadershipLost, b[:min(len(b), outcomeTextMax)])
}
