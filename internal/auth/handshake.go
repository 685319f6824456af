package auth

import (
	"crypto/hmac"
	"fmt"

	"holdfast/internal/kafka"
)

// Hello opens a handshake.
type Hello struct {
	Identity
	Nonce Nonce
}

// Challenge answers a Hello.
type Challenge struct {
	Identity
	Listener string // name of the responder's listener
	Nonce    Nonce
}

// listenerMax bounds the name of a listener in bytes.
const listenerMax = 255

// RefusedError says why a handshake ends without a broker connection.
type RefusedError struct {
	Code   kafka.ErrorCode
	Reason string
}

// Error gives the reason.
func (e *RefusedError) Error() string { return e.Reason }

// Unwrap gives the protocol's code.
func (e *RefusedError) Unwrap() error { return e.Code }

func refuse(code kafka.ErrorCode, format string, args ...any) error {
	return &RefusedError{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// ErrProof is what a wrong proof is answered with.
var ErrProof = &RefusedError{Code: kafka.ErrSaslAuthenticationFailed,
	Reason: "the proof does not fit: the other side has another broker secret, or is not who it says"}

// Initiator is the side that has connected. It is used once: Start, Challenged,
// Proved.
type Initiator struct {
	signing
	want kafka.BrokerID
}

// signing is what both machines are made of.
type signing struct {
	secret Secret
	t      transcript
	state  state
	prove  func(transcript, Secret, role) Proof // transcript.prove, but in tests of worse ones
}

func (s *signing) verify(r role, p Proof) bool {
	want := s.prove(s.t, s.secret, r)
	return hmac.Equal(want[:], p[:]) // in constant time
}

// state is how far a handshake has come.
type state uint8

const (
	fresh state = iota
	greeted
	proven
	over
)

// Start begins a handshake with the broker want, or with any when want is
// NoBroker. The nonce must never have been used before.
func Start(secret Secret, self Identity, want kafka.BrokerID, nonce Nonce) (*Initiator, Hello) {
	i := &Initiator{signing: signing{secret: secret, state: greeted, prove: transcript.prove}, want: want}
	i.t.initiator, i.t.nonces[0] = self, nonce
	return i, Hello{Identity: self, Nonce: nonce}
}

// Challenged takes the responder's answer and returns the proof to send. The error
// is a *RefusedError: nothing is to be sent.
func (i *Initiator) Challenged(c Challenge) (Proof, error) {
	if i.state != greeted {
		return Proof{}, refuse(kafka.ErrInvalidRequest, "a challenge out of turn")
	}
	i.state = over
	self := i.t.initiator
	switch {
	case c.Broker < 0:
		return Proof{}, refuse(kafka.ErrInvalidRequest, "broker id %d is none", c.Broker)
	case len(c.Listener) > listenerMax:
		return Proof{}, refuse(kafka.ErrInvalidRequest, "a listener's name of %d bytes", len(c.Listener))
	case c.Broker == self.Broker:
		return Proof{}, refuse(kafka.ErrInvalidRequest, "the broker at that address has this broker's own id %d: "+
			"two brokers with one id, or an address of this broker", c.Broker)
	case c.Nonce == i.t.nonces[0]:
		return Proof{}, refuse(kafka.ErrInvalidRequest, "this broker's own nonce came back")
	case i.want != kafka.NoBroker && c.Broker != i.want:
		return Proof{}, refuse(kafka.ErrBrokerNotAvailable, "broker %d answers where broker %d is looked for", c.Broker, i.want)
	case foreign(self.Cluster, c.Cluster):
		return Proof{}, foreignError(c.Identity, self)
	}
	i.t.responder, i.t.nonces[1], i.t.listener = c.Identity, c.Nonce, c.Listener
	i.state = proven
	return i.prove(i.t, i.secret, roleInitiator), nil
}

// Proved takes the responder's proof. The responder is then who it says.
func (i *Initiator) Proved(p Proof) (Identity, error) {
	ok := i.state == proven && i.verify(roleResponder, p)
	i.state = over
	if !ok {
		return Identity{}, ErrProof
	}
	return i.t.responder, nil
}

// Responder is the side that was connected to. It is used once: Answer, Proved.
type Responder struct{ signing }

// Answer takes a Hello that came in through the named listener. The error is a
// *RefusedError. The nonce must never have been used before.
func Answer(secret Secret, self Identity, listener string, nonce Nonce, h Hello) (*Responder, Challenge, error) {
	switch {
	case secret.IsZero():
		return nil, Challenge{}, refuse(kafka.ErrSaslAuthenticationFailed, "this broker has no broker secret: it speaks with clients only")
	case h.Broker < 0:
		return nil, Challenge{}, refuse(kafka.ErrInvalidRequest, "broker id %d is none", h.Broker)
	case h.Broker == self.Broker:
		return nil, Challenge{}, refuse(kafka.ErrInvalidRequest, "broker id %d is this broker's own: two brokers with one id, "+
			"or an address of this broker", h.Broker)
	case h.Nonce == nonce:
		return nil, Challenge{}, refuse(kafka.ErrInvalidRequest, "this broker's own nonce came back")
	case foreign(self.Cluster, h.Cluster):
		return nil, Challenge{}, foreignError(h.Identity, self)
	}
	r := &Responder{signing{secret: secret, state: greeted, prove: transcript.prove}}
	r.t = transcript{initiator: h.Identity, responder: self, nonces: [2]Nonce{h.Nonce, nonce}, listener: listener}
	return r, Challenge{Identity: self, Listener: listener, Nonce: nonce}, nil
}

// Proved takes the initiator's proof and returns who it is and the proof to
// answer with.
func (r *Responder) Proved(p Proof) (Identity, Proof, error) {
	ok := r.state == greeted && r.verify(roleInitiator, p)
	r.state = over
	if !ok {
		return Identity{}, Proof{}, ErrProof
	}
	return r.t.initiator, r.prove(r.t, r.secret, roleResponder), nil
}

// foreign reports whether two brokers belong to different clusters. One that
// belongs to none yet may speak with anybody.
func foreign(a, b kafka.ClusterID) bool { return !a.IsZero() && !b.IsZero() && a != b }

func foreignError(other, self Identity) error {
	return refuse(kafka.ErrInconsistentClusterID, "broker %d belongs to cluster %s, and this is broker %d of cluster %s",
		other.Broker, other.Cluster, self.Broker, self.Cluster)
}
