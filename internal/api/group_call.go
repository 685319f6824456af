package api

import (
	"net"
	"time"

	"holdfast/internal/coord"
	"holdfast/internal/group"
	"holdfast/internal/kafka"
	"holdfast/internal/purgatory"
	"holdfast/internal/wire"
)

// groupWait is how long a request that waits for the disk only may take.
const groupWait = 30 * time.Second

// memberWait is what a request that waits for other members may take beyond the
// timeouts that it names: the coordinator answers it, unless its clock is gone.
const memberWait = 5 * time.Minute

// grouped is a request that package coord answers, perhaps in several parts.
type grouped struct {
	a        *API
	request  Request
	waiter   *purgatory.Waiter
	tickets  []*coord.Ticket
	deadline time.Time
	// members says that the request waits for other members, perhaps for long;
	// answer then keeps nothing of its body.
	members bool
	answer  func(parts []coord.Outcome) wire.Message
}

// newGrouped begins a request of n parts, which are asked for with its waiter.
func (a *API) newGrouped(r *Request, n int, limit time.Duration) *grouped {
	return &grouped{a: a, request: Request{Conn: r.Conn, Received: r.Received, Header: r.Header},
		waiter: purgatory.New(n+1, r.Conn.Wake), deadline: r.Received.Add(limit)}
}

// await answers with what answer makes of the parts, now or later.
func (g *grouped) await(answer func(parts []coord.Outcome) wire.Message, tickets ...*coord.Ticket) (*Reply, Pending) {
	g.answer, g.tickets = answer, tickets
	g.waiter.Arrive()
	if reply, ok := g.Finish(false); ok {
		return reply, nil
	}
	return nil, g
}

// Finish implements Pending. A part without an outcome at the deadline is
// answered like one whose coordinator is gone: the client asks again.
func (g *grouped) Finish(expired bool) (*Reply, bool) {
	if !g.waiter.Done() && !expired {
		return nil, false
	}
	g.waiter.Finish()
	parts := make([]coord.Outcome, len(g.tickets))
	for i, t := range g.tickets {
		o, ok := t.Outcome()
		if !ok {
			t.Abandon()
			o = coord.Outcome{Code: kafka.ErrNotCoordinator}
		}
		parts[i] = o
		if o.Code != kafka.ErrNone {
			g.a.fail(&g.request)
		}
	}
	return respond(&g.request, g.answer(parts)), true
}

// Deadline implements Pending.
func (g *grouped) Deadline() time.Time { return g.deadline }

// Abandon implements Pending.
func (g *grouped) Abandon() {
	g.waiter.Finish()
	for _, t := range g.tickets {
		t.Abandon()
	}
}

// Holds implements Pending: what waits for the disk keeps its request; what waits
// for members does not, or a few of them would hold everybody's memory for as
// long as they like.
func (g *grouped) Holds() bool { return !g.members }

// Idle implements Pending.
func (g *grouped) Idle() bool { return g.members }

// caller says who sent a request, as DescribeGroups shows it.
func caller(r *Request) group.Caller {
	host, _, err := net.SplitHostPort(r.Conn.Client)
	if err != nil {
		host = r.Conn.Client
	}
	return group.Caller{ClientID: r.clientID(), Host: "/" + host}
}

// mayUseGroup reports whether the client may do op to the group.
func (a *API) mayUseGroup(r *Request, op operation, name string) bool {
	return a.authorize(r.Conn.Principal, op, resource{kind: onGroup, name: name})
}

// once makes the tickets of a request that names several groups. The second time
// that it names one is refused: the answers of a short request would have no end.
func (a *API) once(r *Request, w *purgatory.Waiter, op operation, names []string, ask func(i int) *coord.Ticket) []*coord.Ticket {
	tickets := make([]*coord.Ticket, len(names))
	seen := make(map[string]struct{}, len(names))
	for i, name := range names {
		_, again := seen[name]
		seen[name] = struct{}{}
		switch {
		case again:
			tickets[i] = coord.Refused(w, kafka.ErrInvalidRequest)
		case !a.mayUseGroup(r, op, name):
			tickets[i] = coord.Refused(w, kafka.ErrGroupAuthorizationFailed)
		default:
			tickets[i] = ask(i)
		}
	}
	return tickets
}

func millis(n int32) time.Duration { return time.Duration(max(0, n)) * time.Millisecond }
