package api

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/partition"
)

// acksUpgradeMin is the shortest wait of an upgraded acks=1 request: a
// REQUEST_TIMED_OUT to a client without idempotence becomes a duplicate, so it
// must be rare.
const acksUpgradeMin = 10 * time.Second

// acksRule is what a produce request's acks mean under the topic's policy.
type acksRule struct {
	wait partition.Wait
	// atLeast is the shortest time that the request may wait.
	atLeast time.Duration
	refuse  bool // answer INVALID_REQUIRED_ACKS; with acks=0 close the connection
	warn    bool // say once per client that the acknowledgement is weak
}

// acksPolicy applies acks.policy (docs/DIFFERENCES.md) to 0, 1 and -1.
func acksPolicy(policy config.AcksPolicy, acks int16) acksRule {
	if acks == -1 {
		return acksRule{wait: partition.WaitISR}
	}
	weak := acksRule{wait: partition.WaitNone}
	if acks == 1 {
		weak.wait = partition.WaitLocal
	}
	switch policy {
	case config.AcksReject:
		weak.refuse = true
	case config.AcksWarn:
		weak.warn = true
	case config.AcksAllow:
	default: // upgrade
		if acks == 1 {
			return acksRule{wait: partition.WaitISR, atLeast: acksUpgradeMin}
		}
	}
	return weak
}

// weakClientsMax bounds how many clients are told apart; what more of them ask for
// is counted by partition only.
const weakClientsMax = 1000

// clientIDMax is how much of a client id is remembered, in bytes.
const clientIDMax = 128

// weakClients remembers who asked for less than acks=all, so that an operator
// finds them and each costs one log line.
type weakClients struct {
	mu   sync.RWMutex
	seen map[weakClient]*atomic.Int64
}

type weakClient struct {
	topic, client string
	acks          int16
}

// count notes one request and reports whether this client was not seen before.
func (w *weakClients) count(c weakClient) (first bool) {
	w.mu.RLock()
	n := w.seen[c]
	w.mu.RUnlock()
	if n == nil {
		if n, first = w.add(c); n == nil {
			return false
		}
	}
	n.Add(1)
	return first
}

func (w *weakClients) add(c weakClient) (n *atomic.Int64, first bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.seen[c]; n != nil || len(w.seen) >= weakClientsMax {
		return n, false
	}
	if w.seen == nil {
		w.seen = make(map[weakClient]*atomic.Int64)
	}
	// The strings alias the request's frame, or are as long as a stranger likes.
	c.topic, c.client = strings.Clone(c.topic), strings.Clone(c.client)
	n = new(atomic.Int64)
	w.seen[c] = n
	return n, true
}

// WeakClient counts the batches of one client id for one topic that asked for
// less than acks=all.
type WeakClient struct {
	Topic, ClientID string
	Acks            int16
	Batches         int64
}

// WeakClients lists who asked for less than acks=all since the start, at most
// 1,000 of them.
func (a *API) WeakClients() []WeakClient {
	a.weak.mu.RLock()
	defer a.weak.mu.RUnlock()
	var list []WeakClient
	for c, n := range a.weak.seen {
		list = append(list, WeakClient{Topic: c.topic, ClientID: c.client, Acks: c.acks, Batches: n.Load()})
	}
	return list
}

// noteWeakAcks counts a batch with acks 0 or 1, and says so where the policy
// wants it.
func (a *API) noteWeakAcks(r *Request, topic string, acks int16, warn bool) {
	id := r.clientID()
	if len(id) > clientIDMax {
		id = id[:clientIDMax]
	}
	if a.weak.count(weakClient{topic: topic, client: id, acks: acks}) && warn {
		a.o.Log.Warn("a producer asks for less than acks=all", "topic", topic, "client_id", id, "client", r.Conn.Client, "acks", acks)
	}
}
