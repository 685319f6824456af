package api_test

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/api"
	"holdfast/internal/auth"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/server"
	"holdfast/internal/wire"
)

// doorRig is a broker's door without anything behind it, and how often something
// passed.
type doorRig struct {
	ground *env.Test
	secret auth.Secret
	passed int
}

func openDoor(t *testing.T) *doorRig {
	d := &doorRig{ground: env.NewTest(7)}
	d.secret = auth.NewSecret(d.ground.Rand)
	door := api.NewDoor(api.DoorOptions{Self: func() auth.Identity { return auth.Identity{Broker: 1, Cluster: kafka.ClusterID{1}} }, Secret: d.secret,
		Rand: d.ground.Rand, Log: slog.New(slog.DiscardHandler), Services: api.Services{Raft: func(auth.Identity, []byte) error { d.passed++; return nil }}})
	s := server.New(server.Options{Handler: door, Clock: d.ground.Clock, Limits: server.DefaultLimits(), Log: slog.New(slog.DiscardHandler)})
	l, err := d.ground.Net.Listen("127.0.0.1:9092")
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(server.Listener{Name: "PLAINTEXT", Listener: l})
	t.Cleanup(func() { s.Stop(t.Context()) })
	return d
}

// visitor is a connection whose other end may be anybody.
type visitor struct {
	t  *testing.T
	nc net.Conn
}

func (d *doorRig) visit(t *testing.T) *visitor {
	nc, err := d.ground.Net.Dial("127.0.0.1:9092", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &visitor{t, nc}
}

// say sends a request; alive is false when the connection is closed instead of an
// answer.
func (v *visitor) say(request, response wire.Message) (alive bool) {
	v.t.Helper()
	return v.sayAt(0, request, response)
}

func (v *visitor) sayAt(version int16, request, response wire.Message) (alive bool) {
	v.t.Helper()
	h := wire.RequestHeader{Key: request.Key(), Version: version}
	frame := request.Append(h.Append(make([]byte, 4)), version)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	if _, err := v.nc.Write(frame); err != nil {
		return false
	}
	var size [4]byte
	if _, err := io.ReadFull(v.nc, size[:]); err != nil {
		return false
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(v.nc, answer); err != nil {
		return false
	}
	_, body, err := wire.ParseResponseHeader(answer, request.Key(), version)
	if err == nil {
		err = response.Decode(body, version)
	}
	if err != nil {
		v.t.Fatal(err)
	}
	return true
}

var raftMessages = &wire.RaftMessagesRequest{BrokerID: 2, Messages: []wire.RaftMessagesRequestMessage{{Bytes: []byte("m")}}}

// prove goes through the handshake as broker 2, with a proof that change has
// changed.
func (v *visitor) prove(secret auth.Secret, change func(*auth.Proof)) (code int16) {
	v.t.Helper()
	return v.proveAs(auth.Identity{Broker: 2, Cluster: kafka.ClusterID{1}}, secret, change)
}

func (v *visitor) proveAs(who auth.Identity, secret auth.Secret, change func(*auth.Proof)) (code int16) {
	v.t.Helper()
	m, hello := auth.Start(secret, who, 1, auth.Nonce{9})
	var c wire.BrokerHelloResponse
	if !v.say(&wire.BrokerHelloRequest{BrokerID: int32(who.Broker), ClusterID: hello.Cluster, Nonce: hello.Nonce[:]}, &c) || c.ErrorCode != 0 {
		v.t.Fatalf("hello: %+v", c)
	}
	proof, err := m.Challenged(auth.Challenge{Identity: auth.Identity{Broker: kafka.BrokerID(c.BrokerID), Cluster: c.ClusterID}, Listener: c.Listener, Nonce: auth.Nonce(c.Nonce)})
	if err != nil {
		v.t.Fatal(err)
	}
	change(&proof)
	var p wire.BrokerProofResponse
	if !v.say(&wire.BrokerProofRequest{Proof: proof[:]}, &p) {
		v.t.Fatal("no answer to the proof")
	}
	if p.ErrorCode == 0 {
		if _, err := m.Proved(auth.Proof(p.Proof)); err != nil {
			v.t.Error(err)
		}
	}
	return p.ErrorCode
}

func TestDoor_OnlyBrokersSpeakAsBrokers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDoor(t)
		for what, try := range map[string]func(*visitor) (alive bool){
			"no proof at all": func(v *visitor) bool { return v.say(raftMessages, &wire.RaftMessagesResponse{}) },
			"a probe without proof": func(v *visitor) bool {
				return v.say(&wire.FoundingProbeRequest{}, &wire.FoundingProbeResponse{})
			},
			"a proof without hello": func(v *visitor) bool { return v.say(&wire.BrokerProofRequest{}, &wire.BrokerProofResponse{}) },
			"hello and no proof": func(v *visitor) bool {
				nonce := auth.Nonce{8}
				return v.say(&wire.BrokerHelloRequest{BrokerID: 2, Nonce: nonce[:]}, &wire.BrokerHelloResponse{}) && v.say(raftMessages, &wire.RaftMessagesResponse{})
			},
			"hello twice": func(v *visitor) bool {
				nonce := auth.Nonce{8}
				hello := &wire.BrokerHelloRequest{BrokerID: 2, Nonce: nonce[:]}
				return v.say(hello, &wire.BrokerHelloResponse{}) && v.say(hello, &wire.BrokerHelloResponse{})
			},
			"a short nonce": func(v *visitor) bool {
				return v.say(&wire.BrokerHelloRequest{BrokerID: 2, Nonce: make([]byte, 31)}, &wire.BrokerHelloResponse{})
			},
			"a wrong proof": func(v *visitor) bool {
				if code := v.prove(d.secret, func(p *auth.Proof) { p[0] ^= 1 }); code != int16(kafka.ErrSaslAuthenticationFailed) {
					t.Errorf("a wrong proof is answered with %d", code)
				}
				return v.say(raftMessages, &wire.RaftMessagesResponse{})
			},
			"another secret": func(v *visitor) bool {
				if code := v.prove(auth.NewSecret(env.NewSeededRand(99)), func(*auth.Proof) {}); code != int16(kafka.ErrSaslAuthenticationFailed) {
					t.Errorf("a proof with another secret is answered with %d", code)
				}
				return v.say(raftMessages, &wire.RaftMessagesResponse{})
			},
			"a large frame before the proof": func(v *visitor) bool {
				return v.say(&wire.RaftMessagesRequest{Messages: []wire.RaftMessagesRequestMessage{{Bytes: make([]byte, 1<<20)}}}, &wire.RaftMessagesResponse{})
			},
			"for another broker": func(v *visitor) bool {
				if code := v.prove(d.secret, func(*auth.Proof) {}); code != 0 {
					t.Errorf("a right proof is answered with %d", code)
				}
				return v.say(&wire.RaftMessagesRequest{BrokerID: 3}, &wire.RaftMessagesResponse{})
			},
			"a client's request while starting": func(v *visitor) bool { return v.say(&wire.MetadataRequest{}, &wire.MetadataResponse{}) },
		} {
			if try(d.visit(t)) {
				t.Errorf("%s: was answered", what)
			}
		}
		if d.passed > 0 {
			t.Errorf("%d messages passed", d.passed)
		}
		v := d.visit(t)
		if code := v.prove(d.secret, func(*auth.Proof) {}); code != 0 {
			t.Fatalf("a right proof is answered with %d", code)
		}
		for range 2 {
			if !v.say(raftMessages, &wire.RaftMessagesResponse{}) {
				t.Fatal("a broker was not answered")
			}
		}
		if d.passed != 2 {
			t.Errorf("%d messages passed, want 2", d.passed)
		}
	})
}

// TestDoor_BrokersHaveMemoryOfTheirOwn: clients that hold all memory for requests
// keep other clients waiting and no broker.
func TestDoor_BrokersHaveMemoryOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startCluster(t)
		hog := c.visit()
		head := wire.RequestHeader{Key: wire.KeyProduce, Version: 9}
		frame := head.Append(binary.BigEndian.AppendUint32(nil, 99<<20)) // the rest never comes
		for range 2 {
			if _, err := hog.nc.Write(frame); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			hog = c.visit()
		}
		large := &wire.RaftMessagesRequest{BrokerID: 2, Messages: []wire.RaftMessagesRequestMessage{{Bytes: make([]byte, 1<<20)}}}
		began := c.ground.Clock.Now()
		if f := c.follower(2); !f.say(large, &wire.RaftMessagesResponse{}) {
			t.Fatal("a broker was not answered")
		}
		if took := c.ground.Clock.Since(began); took > 0 {
			t.Errorf("a broker waited %v for the memory of clients", took)
		}
		topics := wire.NewMetadataRequest()
		for range 80 << 10 {
			topics.Topics = append(topics.Topics, wire.MetadataRequestTopic{Topic: new(string)})
		}
		began = c.ground.Clock.Now()
		c.visit().sayAt(9, &topics, &wire.MetadataResponse{}) // it waits until the hogs are closed, and is closed itself
		if c.ground.Clock.Since(began) < time.Second {
			t.Errorf("this test holds no memory: a client was answered after %v", c.ground.Clock.Since(began))
		}
	})
}
