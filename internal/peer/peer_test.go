package peer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/api"
	"holdfast/internal/auth"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/peer"
	"holdfast/internal/server"
	"holdfast/internal/wire"
)

// node is one broker of the test: its door and its connections to others.
type node struct {
	t      *testing.T
	host   string
	ground *env.Test
	id     atomic.Pointer[auth.Identity]
	secret auth.Secret
	server *server.Server
	peers  *peer.Peers

	mu      sync.Mutex
	lost    []peer.Loss
	raft    []string
	submits int
}

func (n *node) self() auth.Identity { return *n.id.Load() }

func start(t *testing.T, network *env.Test, id kafka.BrokerID, cluster kafka.ClusterID, secret auth.Secret) *node {
	n := &node{t: t, host: fmt.Sprintf("b%d", id), secret: secret}
	n.id.Store(&auth.Identity{Broker: id, Cluster: cluster})
	n.ground = network.Host(n.host, uint64(id)+100)
	n.listen()
	n.peers = peer.New(peer.Options{Env: n.ground.Env, Log: quiet(), Secret: secret, Self: n.self, Trusted: true,
		Epoch: func(kafka.BrokerID) kafka.BrokerEpoch { return 77 },
		Lost:  func(l peer.Loss) { n.mu.Lock(); n.lost = append(n.lost, l); n.mu.Unlock() }})
	t.Cleanup(n.stop)
	return n
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func (n *node) listen() {
	door := api.NewDoor(api.DoorOptions{Self: n.self, Secret: n.secret, Trusted: true, Rand: n.ground.Rand, Log: quiet(), Services: api.Services{
		Probe: func(from auth.Identity, q *wire.FoundingProbeRequest) *wire.FoundingProbeResponse {
			out := wire.NewFoundingProbeResponse()
			out.State.BrokerID, out.State.Addresses = int32(n.self().Broker), []string{fmt.Sprint(from.Broker)}
			return &out
		},
		Raft: func(from auth.Identity, m []byte) error {
			n.mu.Lock()
			n.raft = append(n.raft, fmt.Sprintf("%d:%s", from.Broker, m))
			n.mu.Unlock()
			return nil
		},
		Submit: func(ctx context.Context, command []byte) ([]byte, error) {
			n.mu.Lock()
			n.submits++
			n.mu.Unlock()
			if string(command) == "wait" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return []byte(strings.ToUpper(string(command))), nil
		},
	}})
	n.server = server.New(server.Options{Handler: door, Clock: n.ground.Clock, Limits: server.DefaultLimits(), Log: quiet()})
	l, err := n.ground.Net.Listen(n.host + ":9092")
	if err != nil {
		n.t.Fatal(err)
	}
	n.server.Serve(server.Listener{Name: "PLAINTEXT", Listener: l})
}

func (n *node) stop() {
	n.peers.Close()
	n.stopServer()
}

func (n *node) stopServer() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	n.server.Stop(ctx)
}

func (n *node) losses() []peer.Loss {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.lost)
}

// submit asks another broker to do something, and returns its answer.
func (n *node) submit(to kafka.BrokerID, command string, limit time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var out wire.SubmitCommandResponse
	err := n.peers.For(to, peer.Command).Do(ctx, wire.KeySubmitCommand, 0, &wire.SubmitCommandRequest{TimeoutMillis: 20_000, Command: []byte(command)}, &out)
	if err == nil && out.ErrorCode != 0 {
		err = kafka.ErrorCode(out.ErrorCode)
	}
	return string(out.Reply), err
}

func (n *node) probe(address string) (int32, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var out wire.FoundingProbeResponse
	err := n.peers.At(address).Do(ctx, wire.KeyFoundingProbe, 0, &wire.FoundingProbeRequest{}, &out)
	return out.State.BrokerID, err
}

var (
	x = kafka.ClusterID{1}
	y = kafka.ClusterID{2}
)

func secretOf(seed uint64) auth.Secret { return auth.NewSecret(env.NewSeededRand(seed)) }

func TestPeers_AskAndAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := env.NewTest(1)
		a, b := start(t, network, 1, x, secretOf(1)), start(t, network, 2, x, secretOf(1))
		a.peers.Name([]string{"b1:9092", "b2:9092"})
		if _, err := a.submit(2, "nobody", time.Second); err != nil {
			t.Fatalf("a broker among the named addresses was not found: %v", err)
		}
		if got := a.peers.Address(2); got != "b2:9092" {
			t.Errorf("the address of broker 2 is %q", got)
		}
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() {
				got, err := a.submit(2, fmt.Sprintf("do %d", i), 5*time.Second)
				if want := fmt.Sprintf("DO %d", i); got != want || err != nil {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
			})
		}
		group.Wait()
		for i := range 3 {
			a.peers.For(2, peer.Raft).Post(wire.KeyRaftMessages, 0, &wire.RaftMessagesRequest{BrokerID: 1,
				Messages: []wire.RaftMessagesRequestMessage{{Bytes: []byte{'m', '0' + byte(i)}}}}, nil)
		}
		synctest.Wait()
		if got := fmt.Sprint(b.raft); got != "[1:m0 1:m1 1:m2]" {
			t.Errorf("raft messages %s", got)
		}
		if len(a.losses()) > 0 {
			t.Errorf("losses %v", a.losses())
		}
	})
}

// TestPeers_WaitingIsNotInTheWay: what one purpose waits for holds no other up,
// and a caller that gives up leaves the connection as it is.
func TestPeers_WaitingIsNotInTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := env.NewTest(1)
		a := start(t, network, 1, x, secretOf(1))
		start(t, network, 2, x, secretOf(1))
		a.peers.SetAddress(2, "b2:9092")
		began := time.Now()
		if _, err := a.submit(2, "wait", 100*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 100*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		var out wire.RaftMessagesResponse
		if err := a.peers.For(2, peer.Raft).Do(ctx, wire.KeyRaftMessages, 0, &wire.RaftMessagesRequest{BrokerID: 1}, &out); err != nil {
			t.Error(err)
		}
		if got, err := a.submit(2, "next", time.Minute); got != "NEXT" || err != nil {
			t.Errorf("behind it: %q, %v", got, err)
		}
		if len(a.losses()) > 0 {
			t.Errorf("losses %v", a.losses())
		}
	})
}

func TestPeers_Death(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := env.NewTest(1)
		a, b := start(t, network, 1, x, secretOf(1)), start(t, network, 2, x, secretOf(1))
		a.peers.SetAddress(2, "b2:9092")
		if _, err := a.submit(2, "x", time.Second); err != nil {
			t.Fatal(err)
		}
		waiting := make(chan error, 1)
		go func() {
			_, err := a.submit(2, "wait", time.Minute)
			waiting <- err
		}()
		synctest.Wait()
		network.Network.Kill("b2")
		b.stopServer()
		if err := <-waiting; !errors.Is(err, peer.ErrLost) || !peer.Sent(err) {
			t.Errorf("who waited got %v", err)
		}
		synctest.Wait()
		lost := a.losses()
		if len(lost) != 1 || lost[0].Broker != 2 || !lost[0].Refused || lost[0].Epoch != 77 {
			t.Fatalf("losses %+v", lost)
		}
		_, err := a.submit(2, "y", time.Second)
		if peer.Sent(err) || err == nil {
			t.Errorf("to a dead broker: %v", err)
		}
		if refused, err := a.peers.Refused(2); !refused || err != nil {
			t.Errorf("its own look: %v %v", refused, err)
		}
		b.listen()
		if got, err := a.submit(2, "again", 5*time.Second); got != "AGAIN" || err != nil {
			t.Errorf("after the restart: %q, %v", got, err)
		}
		if refused, err := a.peers.Refused(2); refused || err != nil {
			t.Errorf("its own look after the restart: %v %v", refused, err)
		}
	})
}

// TestPeers_ResetIsNoDeath: a connection that breaks while the broker lives is made
// again, and the report says so.
func TestPeers_ResetIsNoDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := env.NewTest(1)
		a := start(t, network, 1, x, secretOf(1))
		start(t, network, 2, x, secretOf(1))
		a.peers.SetAddress(2, "b2:9092")
		if _, err := a.submit(2, "x", time.Second); err != nil {
			t.Fatal(err)
		}
		network.Network.Reset("b1", "b2")
		synctest.Wait()
		if lost := a.losses(); len(lost) != 1 || lost[0].Refused {
			t.Errorf("losses %+v", lost)
		}
		if got, err := a.submit(2, "again", time.Second); got != "AGAIN" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// TestPeers_Silence: a broker that is cut off keeps nobody waiting for ever, is not
// taken for dead, and is found again.
func TestPeers_Silence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := env.NewTest(1)
		a := start(t, network, 1, x, secretOf(1))
		start(t, network, 2, x, secretOf(1))
		a.peers.SetAddress(2, "b2:9092")
		if _, err := a.submit(2, "x", time.Second); err != nil {
			t.Fatal(err)
		}
		network.Network.Partition([]string{"b1"}, []string{"b2"}, true)
		began := time.Now()
		if _, err := a.submit(2, "y", time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("into the cut: %v", err)
		}
		var err error
		for err = nil; !isUnreachable(err); _, err = a.submit(2, "z", 2*time.Second) {
			if time.Since(began) > 45*time.Second {
				t.Fatalf("the silent connection is still in use: %v", err)
			}
		}
		t.Logf("given up after %v: %v", time.Since(began), err)
		for _, l := range a.losses() {
			if l.Refused {
				t.Errorf("a cut was taken for a refusal: %+v", l)
			}
		}
		network.Network.Partition([]string{"b1"}, []string{"b2"}, false)
		a.ground.Clock.Sleep(2 * time.Second)
		if got, err := a.submit(2, "again", 5*time.Second); got != "AGAIN" || err != nil {
			t.Errorf("after the cut: %q, %v", got, err)
		}
	})
}

func isUnreachable(err error) bool {
	var u *peer.UnreachableError
	return errors.As(err, &u)
}

func TestPeers_Strangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := env.NewTest(1)
		a := start(t, network, 1, x, secretOf(1))
		start(t, network, 2, x, secretOf(2))
		start(t, network, 3, y, secretOf(1))
		for id, want := range map[kafka.BrokerID]struct {
			code kafka.ErrorCode
			why  string
		}{2: {kafka.ErrSaslAuthenticationFailed, "broker secret"}, 3: {kafka.ErrInconsistentClusterID, "cluster"}} {
			a.peers.SetAddress(id, fmt.Sprintf("b%d:9092", id))
			_, err := a.submit(id, "x", time.Second)
			var code kafka.ErrorCode
			if !errors.As(err, &code) || code != want.code || !strings.Contains(err.Error(), want.why) || peer.Sent(err) {
				t.Errorf("broker %d: %v", id, err)
			}
		}
		a.peers.SetAddress(4, "b1:9092") // its own address
		if _, err := a.submit(4, "x", time.Second); err == nil || !strings.Contains(err.Error(), "this broker's own") {
			t.Errorf("at its own address: %v", err)
		}
		untrusting := peer.New(peer.Options{Env: a.ground.Env, Log: quiet(), Secret: secretOf(1), Self: a.self})
		defer untrusting.Close()
		untrusting.SetAddress(3, "b3:9092")
		if err := untrusting.Client(3).Do(t.Context(), wire.KeyRaftMessages, 0, &wire.RaftMessagesRequest{}, nil); !errors.Is(err, peer.ErrRemote) {
			t.Errorf("to another machine: %v", err)
		}
	})
}

// TestPeers_Founding: brokers without a cluster may probe and nothing else; when
// they have one, their connections are made anew.
func TestPeers_Founding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := env.NewTest(1)
		a, b := start(t, network, 1, kafka.ClusterID{}, secretOf(1)), start(t, network, 2, kafka.ClusterID{}, secretOf(1))
		if id, err := a.probe("b2:9092"); id != 2 || err != nil {
			t.Fatalf("probe: %d %v", id, err)
		}
		if _, err := a.submit(2, "early", time.Second); err == nil || b.submits > 0 {
			t.Errorf("a command before the founding: %v", err)
		}
		for _, n := range []*node{b, a} {
			n.id.Store(&auth.Identity{Broker: n.self().Broker, Cluster: x})
			if id, err := a.probe("b2:9092"); id != 2 || err != nil {
				t.Fatalf("probe: %d %v", id, err)
			}
		}
		if got, err := a.submit(2, "now", time.Second); got != "NOW" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestPeers_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := env.NewTest(1)
		a := start(t, network, 1, x, secretOf(1))
		start(t, network, 2, x, secretOf(1))
		a.peers.SetAddress(2, "b2:9092")
		waiting := make(chan error, 1)
		go func() {
			_, err := a.submit(2, "wait", time.Minute)
			waiting <- err
		}()
		synctest.Wait()
		a.peers.Close()
		if err := <-waiting; err == nil {
			t.Error("an answer from nowhere")
		}
		if _, err := a.submit(2, "x", time.Second); !errors.Is(err, peer.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
