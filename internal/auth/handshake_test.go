package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"holdfast/internal/auth"
	"holdfast/internal/kafka"
)

type counter byte

func (c *counter) Read(p []byte) {
	for i := range p {
		*c++
		p[i] = byte(*c)
	}
}

func nonce(c *counter) (n auth.Nonce) { c.Read(n[:]); return n }

// shake runs a whole handshake between two brokers.
func shake(a, b auth.Identity, as, bs auth.Secret, want kafka.BrokerID) (met [2]auth.Identity, err error) {
	var c counter
	i, hello := auth.Start(as, a, want, nonce(&c))
	r, challenge, err := auth.Answer(bs, b, "PLAINTEXT", nonce(&c), hello)
	if err != nil {
		return met, fmt.Errorf("hello: %w", err)
	}
	proof, err := i.Challenged(challenge)
	if err != nil {
		return met, fmt.Errorf("challenge: %w", err)
	}
	if met[1], proof, err = r.Proved(proof); err != nil {
		return met, fmt.Errorf("proof: %w", err)
	}
	met[0], err = i.Proved(proof)
	return met, err
}

func TestHandshake_TellsWhoIsThere(t *testing.T) {
	var c counter
	secret, other := auth.NewSecret(&c), auth.NewSecret(&c)
	x, y := kafka.ClusterID{1}, kafka.ClusterID{2}
	id := func(n kafka.BrokerID, cluster kafka.ClusterID) auth.Identity {
		return auth.Identity{Broker: n, Cluster: cluster}
	}
	for _, test := range []struct {
		what       string
		a, b       auth.Identity
		theirs     auth.Secret
		want       kafka.BrokerID
		code       kafka.ErrorCode
		stage, why string
	}{
		{what: "two brokers of a cluster", a: id(1, x), b: id(2, x), theirs: secret, want: 2},
		{what: "whoever is there", a: id(1, x), b: id(2, x), theirs: secret, want: kafka.NoBroker},
		{what: "one without a cluster", a: id(1, kafka.ClusterID{}), b: id(2, x), theirs: secret, want: kafka.NoBroker},
		{what: "both without a cluster", a: id(1, kafka.ClusterID{}), b: id(2, kafka.ClusterID{}), theirs: secret, want: kafka.NoBroker},
		{what: "another secret", a: id(1, x), b: id(2, x), theirs: other, want: 2, code: kafka.ErrSaslAuthenticationFailed, stage: "proof", why: "secret"},
		{what: "no secret", a: id(1, x), b: id(2, x), want: 2, code: kafka.ErrSaslAuthenticationFailed, stage: "hello", why: "clients only"},
		{what: "another cluster", a: id(1, x), b: id(2, y), theirs: secret, want: 2, code: kafka.ErrInconsistentClusterID, stage: "hello", why: "cluster"},
		{what: "the same id", a: id(1, x), b: id(1, x), theirs: secret, want: 1, code: kafka.ErrInvalidRequest, stage: "hello", why: "two brokers with one id"},
		{what: "another broker than wanted", a: id(1, x), b: id(3, x), theirs: secret, want: 2, code: kafka.ErrBrokerNotAvailable, stage: "challenge", why: "broker 3 answers"},
		{what: "no id", a: id(-1, x), b: id(3, x), theirs: secret, want: 3, code: kafka.ErrInvalidRequest, stage: "hello", why: "none"},
	} {
		met, err := shake(test.a, test.b, secret, test.theirs, test.want)
		if test.code == kafka.ErrNone {
			if err != nil || met != [2]auth.Identity{test.b, test.a} {
				t.Errorf("%s: met %v, error %v", test.what, met, err)
			}
			continue
		}
		var refused *auth.RefusedError
		if !errors.As(err, &refused) || refused.Code != test.code || !strings.HasPrefix(err.Error(), test.stage) || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%s: error %v, want %v at the %s with %q", test.what, err, test.code, test.stage, test.why)
		}
	}
}

// TestHandshake_IsUsedOnce: after any outcome a machine accepts nothing more.
func TestHandshake_IsUsedOnce(t *testing.T) {
	var c counter
	secret := auth.NewSecret(&c)
	a, b := auth.Identity{Broker: 1}, auth.Identity{Broker: 2}
	i, hello := auth.Start(secret, a, 2, nonce(&c))
	r, challenge, err := auth.Answer(secret, b, "L", nonce(&c), hello)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Proved(auth.Proof{}); err == nil {
		t.Error("a proof before the challenge was accepted")
	}
	if _, err := i.Challenged(challenge); err == nil {
		t.Error("a challenge after a wrong proof was answered")
	}
	i, _ = auth.Start(secret, a, 2, hello.Nonce)
	proof, err := i.Challenged(challenge)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Challenged(challenge); err == nil {
		t.Error("a second challenge was answered")
	}
	bad := proof
	bad[3] ^= 1
	if _, _, err := r.Proved(bad); err == nil {
		t.Error("a wrong proof was accepted")
	}
	if _, _, err := r.Proved(proof); err == nil {
		t.Error("a second guess was allowed")
	}
}

func TestHandshake_OwnNonceComesBack(t *testing.T) {
	var c counter
	secret := auth.NewSecret(&c)
	n := nonce(&c)
	i, hello := auth.Start(secret, auth.Identity{Broker: 1}, 2, n)
	if _, err := i.Challenged(auth.Challenge{Identity: auth.Identity{Broker: 2}, Nonce: n}); err == nil {
		t.Error("the initiator's own nonce was accepted")
	}
	if _, _, err := auth.Answer(secret, auth.Identity{Broker: 2}, "L", n, hello); err == nil {
		t.Error("the responder's own nonce was accepted")
	}
}

func TestSecret_TextAndHiding(t *testing.T) {
	var c counter
	s := auth.NewSecret(&c)
	again, err := auth.ParseSecret(" \n" + s.Text() + "\n")
	if err != nil || again.Text() != s.Text() {
		t.Fatalf("%v, %q becomes %q", err, s.Text(), again.Text())
	}
	for _, bad := range []string{"", "abc", strings.Repeat("0", 62), strings.Repeat("g", 64), strings.Repeat("0", 1<<20)} {
		if _, err := auth.ParseSecret(bad); !errors.Is(err, auth.ErrSecret) {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s", s, s, s, s)} {
		if strings.Contains(shown, s.Text()[:8]) || strings.Contains(shown, "[1 2") {
			t.Errorf("a secret is shown as %s", shown)
		}
	}
}
