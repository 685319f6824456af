//go:build rig

package groups_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/tests/rig"
)

// TestManyMembersConverge: so many members join one group at once, and within
// ten seconds, the initial delay of three included, all have an assignment of one
// generation. The members speak the protocol and do nothing else, so that it is
// the broker that is measured.
func TestManyMembersConverge(t *testing.T) {
	const many, limit = 1000, 10 * time.Second
	place := rig.NewPlace(t, rig.TempDir(t))
	rig.RunBroker(t, rig.Holdfast{}, place)
	// The internal topic comes with the first group: not what is measured.
	if found := kadm.NewClient(rig.NewClient(t, place.Addr)).FindGroupCoordinators(t.Context(), group); found.Error() != nil {
		t.Fatal(found.Error())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	g := &gathering{want: many, at: map[int]int32{}, done: make(chan struct{})}
	began := time.Now()
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			if err := g.attend(ctx, place.Addr, i); err != nil {
				t.Error(err)
				cancel()
			}
		})
	}
	wg.Wait()
	took := g.took(began)
	if took == 0 || took > limit {
		t.Errorf("%d members converged after %v, want within %v", many, took, limit)
	}
	rig.Record(t, rig.Result{What: fmt.Sprintf("%d members join one group", many), Seconds: took.Seconds(),
		Figures: fmt.Sprintf("all assigned in one generation after %.1f s, of which 3 s and more are the initial delay", took.Seconds())})
}

// gathering knows in which generation each member was assigned something.
type gathering struct {
	mu   sync.Mutex
	want int
	at   map[int]int32
	end  time.Time
	done chan struct{}
}

func (g *gathering) took(from time.Time) time.Duration {
	if g.end.IsZero() {
		return 0
	}
	return g.end.Sub(from)
}

// assigned notes a member's assignment and reports whether all have one of the
// same generation.
func (g *gathering) assigned(member int, generation int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at[member] = generation
	same := 0
	for _, other := range g.at {
		if other == generation {
			same++
		}
	}
	if same == g.want && g.end.IsZero() {
		g.end = time.Now()
		close(g.done)
	}
}

// attend is one member, until all have gathered.
func (g *gathering) attend(ctx context.Context, addr string, member int) error {
	client, err := newClient(addr)
	if err != nil {
		return err
	}
	defer client.Close()
	id := ""
	for ctx.Err() == nil {
		joined, err := join(ctx, client, id)
		if joined != nil {
			id = joined.MemberID
		}
		if err == nil {
			err = synchronise(ctx, client, joined)
		}
		if err == nil {
			g.assigned(member, joined.Generation)
			err = g.beat(ctx, client, joined)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, kerr.MemberIDRequired), errors.Is(err, kerr.RebalanceInProgress), errors.Is(err, kerr.IllegalGeneration):
		default:
			return fmt.Errorf("member %d: %w", member, err)
		}
	}
	return ctx.Err()
}

func join(ctx context.Context, client *kgo.Client, id string) (*kmsg.JoinGroupResponse, error) {
	q := kmsg.NewPtrJoinGroupRequest()
	q.Group, q.MemberID, q.ProtocolType = group, id, "consumer"
	q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = 30_000, 60_000
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name, protocol.Metadata = "range", make([]byte, 60)
	q.Protocols = append(q.Protocols, protocol)
	got, err := q.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	return got, kerr.ErrorForCode(got.ErrorCode)
}

func synchronise(ctx context.Context, client *kgo.Client, joined *kmsg.JoinGroupResponse) error {
	q := kmsg.NewPtrSyncGroupRequest()
	q.Group, q.MemberID, q.Generation = group, joined.MemberID, joined.Generation
	q.ProtocolType, q.Protocol = joined.ProtocolType, joined.Protocol
	if joined.LeaderID == joined.MemberID {
		for _, m := range joined.Members {
			q.GroupAssignment = append(q.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: m.MemberID, MemberAssignment: make([]byte, 30)})
		}
	}
	got, err := q.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(got.ErrorCode)
}

// beat keeps the member alive until all have gathered.
func (g *gathering) beat(ctx context.Context, client *kgo.Client, joined *kmsg.JoinGroupResponse) error {
	for {
		select {
		case <-g.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		q := kmsg.NewPtrHeartbeatRequest()
		q.Group, q.MemberID, q.Generation = group, joined.MemberID, joined.Generation
		got, err := q.RequestWith(ctx, client)
		if err == nil {
			err = kerr.ErrorForCode(got.ErrorCode)
		}
		if err != nil {
			return err
		}
	}
}
