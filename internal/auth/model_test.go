package auth

// Goal: whoever does not know the secret cannot make a broker believe anything
// that another broker did not say on that very connection.
//
// Method: every order of everything that an attacker in the middle can do. The
// honest sessions are the brokers 1 and 2; the attacker is "broker" 3, sees every
// message, and sends whatever it can put together from what it has seen.
//
// Bounds: three honest sessions at a time (one connects and two are connected to;
// two connect and one is connected to), one nonce of the attacker's, two names of
// listeners, all proofs that were seen and one of zeroes.
//
// A responder may accept broker X only if X has signed this transcript; an
// initiator may accept broker Y only if Y has accepted this transcript.

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"holdfast/internal/kafka"
)

// protocol is the real one or a worse one.
type protocol struct {
	prove func(transcript, Secret, role) Proof
	// eager: the responder proves itself before the initiator has.
	eager bool
}

// session is one honest end of a connection.
type session struct {
	self      kafka.BrokerID
	initiator *Initiator
	responder *Responder
	stage     int
	signed    *transcript // what it has signed
	accepted  *transcript
}

type world struct {
	sessions []session
	nonces   []Nonce
	proofs   []Proof
	trace    []string
}

func (w *world) clone() *world {
	next := &world{sessions: slices.Clone(w.sessions), nonces: slices.Clone(w.nonces), proofs: slices.Clone(w.proofs), trace: slices.Clone(w.trace)}
	for i := range next.sessions {
		s := &next.sessions[i]
		if s.initiator != nil {
			c := *s.initiator
			s.initiator = &c
		}
		if s.responder != nil {
			c := *s.responder
			s.responder = &c
		}
	}
	return next
}

var (
	secret    = Secret{key: []byte("0123456789abcdef0123456789abcdef")}
	cluster   = kafka.ClusterID{1}
	listeners = []string{"PLAINTEXT", "INTERNAL"}
)

func nonceOf(n int) (out Nonce) { out[0] = byte(n); return out }

// attack explores everything from w on. It returns the first violation.
func attack(p protocol, w *world, states *int) error {
	*states++
	for i := range w.sessions {
		var moves []func(*world) error
		s := w.sessions[i]
		switch {
		case s.initiator != nil:
			moves = initiatorMoves(w, i, s)
		case s.responder != nil || s.stage < 2:
			moves = responderMoves(p, w, i, s)
		}
		for _, move := range moves {
			next := w.clone()
			if err := move(next); err != nil {
				return err
			}
			if len(next.trace) == len(w.trace) {
				continue // refused: nothing was learned
			}
			if err := attack(p, next, states); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) learnProof(p Proof) {
	if !slices.Contains(w.proofs, p) {
		w.proofs = append(w.proofs, p)
	}
}

func initiatorMoves(w *world, i int, s session) (moves []func(*world) error) {
	switch s.stage {
	case 1: // its Hello was seen from the start
		for id := kafka.BrokerID(1); id <= 3; id++ {
			for _, nonce := range w.nonces {
				for _, listener := range listeners {
					moves = append(moves, func(n *world) error {
						me := &n.sessions[i]
						proof, err := me.initiator.Challenged(Challenge{Identity: Identity{id, cluster}, Listener: listener, Nonce: nonce})
						if err != nil {
							return nil
						}
						t := me.initiator.t
						me.stage, me.signed = 2, &t
						n.note("broker %d, session %d, is challenged as by broker %d with nonce %d at %s", me.self, i, id, nonce[0], listener)
						n.learnProof(proof)
						return nil
					})
				}
			}
		}
	case 2:
		for k, proof := range w.proofs {
			moves = append(moves, func(n *world) error {
				me := &n.sessions[i]
				t := me.initiator.t
				got, err := me.initiator.Proved(proof)
				if err != nil {
					return nil
				}
				me.stage, me.accepted = 3, &t
				n.note("broker %d, session %d, gets proof %d and accepts broker %d", me.self, i, k, got.Broker)
				for _, other := range n.sessions {
					if other.self == got.Broker && other.initiator == nil && other.accepted != nil && *other.accepted == t {
						return nil
					}
				}
				return violation(n, "broker %d took somebody for broker %d", me.self, got.Broker)
			})
		}
	}
	return moves
}

func responderMoves(p protocol, w *world, i int, s session) (moves []func(*world) error) {
	switch s.stage {
	case 0:
		for id := kafka.BrokerID(1); id <= 3; id++ {
			for _, nonce := range w.nonces {
				moves = append(moves, func(n *world) error { return greet(p, n, i, Hello{Identity{id, cluster}, nonce}) })
			}
		}
	case 1:
		for k, proof := range w.proofs {
			moves = append(moves, func(n *world) error {
				me := &n.sessions[i]
				t := me.responder.t
				got, own, err := me.responder.Proved(proof)
				if err != nil {
					return nil
				}
				me.stage, me.accepted = 2, &t
				n.note("broker %d, session %d, gets proof %d and accepts broker %d", me.self, i, k, got.Broker)
				n.learnProof(own)
				for _, other := range n.sessions {
					if other.self == got.Broker && other.signed != nil && *other.signed == t {
						return nil
					}
				}
				return violation(n, "broker %d took somebody for broker %d", me.self, got.Broker)
			})
		}
	}
	return moves
}

func greet(p protocol, n *world, i int, h Hello) error {
	me := &n.sessions[i]
	r, c, err := Answer(secret, Identity{me.self, cluster}, listeners[0], nonceOf(10+i), h)
	if err != nil {
		return nil
	}
	r.prove = p.prove
	me.responder, me.stage = r, 1
	n.note("broker %d, session %d, is greeted as by broker %d with nonce %d", me.self, i, h.Broker, h.Nonce[0])
	n.nonces = append(n.nonces, c.Nonce)
	if p.eager {
		n.learnProof(p.prove(r.t, secret, roleResponder))
	}
	return nil
}

func violation(w *world, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	for i, line := range w.trace {
		text += fmt.Sprintf("\n  %d. %s", i+1, line)
	}
	return fmt.Errorf("%s", text)
}

// attackAll tries both casts.
func attackAll(p protocol) (states int, err error) {
	if p.prove == nil {
		p.prove = transcript.prove
	}
	for _, cast := range [][]kafka.BrokerID{{1, -1, -2}, {1, 2, -1}, {1, 2, -2}} { // negative: is connected to
		w := &world{nonces: []Nonce{nonceOf(99)}, proofs: []Proof{{}}}
		for i, id := range cast {
			if id < 0 {
				w.sessions = append(w.sessions, session{self: -id})
				continue
			}
			m, hello := Start(secret, Identity{id, cluster}, kafka.NoBroker, nonceOf(10+i))
			m.prove = p.prove
			w.sessions = append(w.sessions, session{self: id, initiator: m, stage: 1})
			w.nonces = append(w.nonces, hello.Nonce)
		}
		if err := attack(p, w, &states); err != nil {
			return states, err
		}
	}
	return states, nil
}

func TestHandshake_NobodyIsMistaken(t *testing.T) {
	states, err := attackAll(protocol{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d states, no violation", states)
	forget := func(change func(*transcript)) protocol {
		return protocol{prove: func(x transcript, s Secret, r role) Proof {
			change(&x)
			return x.prove(s, r)
		}}
	}
	mutants := map[string]protocol{
		"the role is not covered":              {prove: func(x transcript, s Secret, _ role) Proof { return x.prove(s, roleInitiator) }},
		"the initiator's nonce is not covered": forget(func(x *transcript) { x.nonces[0] = Nonce{} }),
		"the responder's nonce is not covered": forget(func(x *transcript) { x.nonces[1] = Nonce{} }),
		"the initiator's id is not covered":    forget(func(x *transcript) { x.initiator.Broker = 0 }),
		"the responder's id is not covered":    forget(func(x *transcript) { x.responder.Broker = 0 }),
		"the listener is not covered":          forget(func(x *transcript) { x.listener = "" }),
		"the responder proves itself first":    {eager: true},
	}
	for _, name := range slices.Sorted(keys(mutants)) {
		began := time.Now()
		states, err := attackAll(mutants[name])
		if err == nil {
			t.Errorf("mutant %q was not refuted in %d states", name, states)
			continue
		}
		t.Logf("mutant %q refuted after %d states, %v: %v", name, states, time.Since(began).Round(time.Microsecond), err)
	}
}

func keys(m map[string]protocol) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
