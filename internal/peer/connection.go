package peer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// connection is one proven connection.
type connection struct {
	l     *link
	nc    net.Conn
	in    *bufio.Reader // the reader's own
	self  auth.Identity // as it was proven
	other auth.Identity
	epoch atomic.Int64 // the other's broker epoch when it last answered
	gone  chan struct{}
	// heard is when bytes last came, in nanoseconds.
	heard atomic.Int64

	mu struct {
		sync.Mutex
		last    int32 // correlation id
		waiting map[int32]*exchange
		err     error // why it ended; set once
	}
}

// readBytes is how much is read at once; what is longer goes to its place directly.
const readBytes = 32 << 10

func newConnection(l *link, nc net.Conn) *connection {
	c := &connection{l: l, nc: nc, in: bufio.NewReaderSize(nc, readBytes), gone: make(chan struct{})}
	c.epoch.Store(-1)
	c.mu.waiting = make(map[int32]*exchange)
	return c
}

func (c *connection) now() time.Time { return c.l.p.o.Env.Clock.Now() }

// proofFrameMax bounds the answers to the proof, in bytes.
const proofFrameMax = 16 << 10

// prove runs the handshake as the side that has connected.
func (c *connection) prove(want kafka.BrokerID) error {
	p := c.l.p
	if err := c.nc.SetDeadline(c.now().Add(proofMax)); err != nil {
		return err
	}
	var nonce auth.Nonce
	p.o.Env.Rand.Read(nonce[:])
	c.self = p.o.Self()
	machine, hello := auth.Start(p.o.Secret, c.self, want, nonce)
	var challenge wire.BrokerHelloResponse
	err := c.ask(wire.KeyBrokerHello, &wire.BrokerHelloRequest{BrokerID: int32(hello.Broker), ClusterID: hello.Cluster, Nonce: hello.Nonce[:]}, &challenge)
	if err != nil {
		return err
	}
	if err := refusal(challenge.ErrorCode, challenge.ErrorMessage); err != nil {
		return err
	}
	got := auth.Challenge{Identity: auth.Identity{Broker: kafka.BrokerID(challenge.BrokerID), Cluster: challenge.ClusterID}, Listener: challenge.Listener}
	if copy(got.Nonce[:], challenge.Nonce) != len(got.Nonce) || len(challenge.Nonce) != len(got.Nonce) {
		return auth.ErrProof
	}
	proof, err := machine.Challenged(got)
	if err != nil {
		return err
	}
	var proven wire.BrokerProofResponse
	if err := c.ask(wire.KeyBrokerProof, &wire.BrokerProofRequest{Proof: proof[:]}, &proven); err != nil {
		return err
	}
	if err := refusal(proven.ErrorCode, proven.ErrorMessage); err != nil {
		return err
	}
	var theirs auth.Proof
	if len(proven.Proof) != len(theirs) {
		return auth.ErrProof
	}
	copy(theirs[:], proven.Proof)
	if c.other, err = machine.Proved(theirs); err != nil {
		return err
	}
	c.heard.Store(c.now().UnixNano())
	return c.nc.SetDeadline(time.Time{})
}

// refusal is the error that the other side has answered with.
func refusal(code int16, message *string) error {
	if code == int16(kafka.ErrNone) {
		return nil
	}
	why := "refused"
	if message != nil {
		why = *message
	}
	return &auth.RefusedError{Code: kafka.ErrorCode(code), Reason: why}
}

// ask sends one request and reads its answer, before anything is pipelined.
func (c *connection) ask(key kafka.APIKey, request, response wire.Message) error {
	e := c.l.exchange(&Call{Key: key, Request: request}, nil)
	if _, err := c.nc.Write(e.sent); err != nil {
		return err
	}
	frame, err := c.readFrame(proofFrameMax)
	if err != nil {
		return err
	}
	_, body, err := wire.ParseResponseHeader(frame, key, 0)
	if err != nil {
		return err
	}
	return response.Decode(body, 0)
}

// send writes requests with one system call. What nobody waits for any more is not
// sent.
func (c *connection) send(list []*exchange) {
	now := c.now()
	out, refused, err := c.await(list, now)
	for _, e := range refused {
		e.answer(nil, err)
	}
	if len(out) == 0 {
		return
	}
	err = c.nc.SetWriteDeadline(now.Add(writeMax))
	if err == nil {
		_, err = out.WriteTo(c.nc)
	}
	if err != nil {
		c.fail(err)
	}
}

// await enters requests among those that wait for an answer. It returns the bytes
// to write, and what cannot be sent with the reason.
func (c *connection) await(list []*exchange, now time.Time) (out net.Buffers, refused []*exchange, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range list {
		switch {
		case c.mu.err != nil:
			refused, why = append(refused, e), c.lost(c.mu.err)
		case len(c.mu.waiting) >= waitingMax:
			refused, why = append(refused, e), ErrBusy
		case !e.dead.Load():
			c.mu.last++
			binary.BigEndian.PutUint32(e.sent[correlationAt:], uint32(c.mu.last))
			e.sentAt.Store(now.UnixNano())
			c.mu.waiting[c.mu.last] = e
			out = append(out, e.sent)
		}
	}
	return out, refused, why
}

func (c *connection) lost(cause error) error {
	return fmt.Errorf("broker %d: %w: %w", c.other.Broker, ErrLost, cause)
}

// fail ends the connection; who waits is told. Only the first reason counts.
func (c *connection) fail(err error) {
	c.mu.Lock()
	if c.mu.err != nil {
		c.mu.Unlock()
		return
	}
	c.mu.err = err
	waiting := c.mu.waiting
	c.mu.waiting = nil
	c.mu.Unlock()
	close(c.gone)
	_ = c.nc.Close()
	for _, e := range waiting {
		e.answer(nil, c.lost(err))
	}
}

func (c *connection) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.err
}

// checkSilence ends a connection on which nothing comes although something should
// have come long ago.
func (c *connection) checkSilence() {
	now, heard := c.now(), c.heard.Load()
	limit := silenceMax(c.l.key.purpose)
	silent := false
	c.mu.Lock()
	for _, e := range c.mu.waiting {
		sent := e.sentAt.Load()
		late := now.Sub(e.deadline) > 0 && now.UnixNano()-sent > int64(limit)
		silent = silent || late && heard <= sent
	}
	c.mu.Unlock()
	if silent {
		c.fail(errSilent)
	}
}

// readAll hands out answers until the connection ends.
func (c *connection) readAll() {
	for {
		if err := c.readOne(); err != nil {
			c.fail(err)
			return
		}
	}
}

// readOne reads one answer and gives it to who waits for it.
func (c *connection) readOne() error {
	var head [8]byte // length and correlation id
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return err
	}
	c.heard.Store(c.now().UnixNano())
	size := int(int32(binary.BigEndian.Uint32(head[:])))
	if size < 4 || size > frameMax {
		return fmt.Errorf("an answer of %d bytes, at most %d", size, frameMax)
	}
	id := int32(binary.BigEndian.Uint32(head[4:]))
	c.mu.Lock()
	e := c.mu.waiting[id]
	delete(c.mu.waiting, id)
	c.mu.Unlock()
	if e == nil {
		return fmt.Errorf("an answer to nothing, correlation id %d", id)
	}
	frame := room(e, size)
	copy(frame, head[4:])
	if _, err := io.ReadFull(c.in, frame[4:]); err != nil {
		e.answer(nil, c.lost(err))
		return err
	}
	c.heard.Store(c.now().UnixNano())
	c.epoch.Store(int64(c.l.p.epoch(c.other.Broker)))
	e.answer(frame, nil)
	return nil
}

// room is the caller's buffer, or a new one.
func room(e *exchange, size int) []byte {
	if cap(e.buffer) < size {
		e.buffer = make([]byte, size)
	}
	e.buffer = e.buffer[:size]
	return e.buffer
}

// readFrame reads one frame of the handshake.
func (c *connection) readFrame(most int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return nil, err
	}
	size := int(int32(binary.BigEndian.Uint32(head[:])))
	if size < 4 || size > most {
		return nil, fmt.Errorf("an answer of %d bytes, at most %d", size, most)
	}
	frame := make([]byte, size)
	_, err := io.ReadFull(c.in, frame)
	return frame, err
}

// isEnd reports whether err is the end of a connection rather than the failure to
// make one.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
