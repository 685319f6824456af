package api

import (
	"sync"
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

// weakClientsMax bounds how many clients are remembered as warned about.
const weakClientsMax = 10_000

// weakClients remembers who has been warned about, so that each client costs one
// log line.
type weakClients struct {
	mu   sync.Mutex
	seen map[weakClient]struct{}
}

type weakClient struct {
	topic, client string
	acks          int16
}

// first reports whether this client was not seen before.
func (w *weakClients) first(c weakClient) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, seen := w.seen[c]; seen || len(w.seen) >= weakClientsMax {
		return false
	}
	if w.seen == nil {
		w.seen = make(map[weakClient]struct{})
	}
	w.seen[c] = struct{}{}
	return true
}

func (a *API) warnWeakAcks(r *Request, topic string, acks int16) {
	if a.weak.first(weakClient{topic: topic, client: r.clientID(), acks: acks}) {
		a.o.Log.Warn("a producer asks for less than acks=all", "topic", topic, "client_id", r.clientID(), "client", r.Conn.Client, "acks", acks)
	}
}
