package api

// Fetch, key 1, versions 4 to 18.
//
//	4  isolation level, last stable offset, aborted transactions
//	5  log start offset
//	7  sessions (KIP-227)
//	9  the client's leader epoch (KIP-320)
//	11 the client's rack (KIP-392)
//	12 flexible; last fetched epoch (KIP-595)
//	13 topic ids (KIP-516)
//	15 replica state as a tag; 16 leader hints (KIP-951); 17, 18 replica fields
//
// Behaviours: at least one whole batch even when it is larger than the limits; a
// fetch inside a batch returns the whole batch; nothing at or above the high
// watermark; an offset between the high watermark and the log end is an empty
// answer. The request waits without polling: the partitions it names wake it. A
// broker fetches for its own replicas, to the end of the log; its position counts
// as its progress, and it is woken by a high watermark that moves as well.
//
// Deviations from Apache Kafka: a replica id of 0 or above is refused on a client
// connection, and that of another broker on a broker's. A consumer that names its
// rack is sent to an in-sync follower there without replica.selector.class.

import (
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/partition"
	"holdfast/internal/purgatory"
	"holdfast/internal/wire"
)

// fetchBytesMax bounds one reply in bytes, whatever the client asks for and
// fetch.max.bytes allows: the size of a reply has 31 bits.
const fetchBytesMax = 1 << 30

// fetchWaitMax bounds how long a fetch may be parked.
const fetchWaitMax = 5 * time.Minute

// copyBelow is the largest range that is copied into the reply; above it the
// range stays a file range for sendfile. Below about 32 KiB one write of a copied
// buffer is cheaper than two system calls.
const copyBelow = 32 << 10

// copyTotal bounds what is copied into one reply, so that a small request for
// many small ranges does not make a large buffer.
const copyTotal = 1 << 20

// wantedPartition is one partition that a client asks for.
type wantedPartition struct {
	key              sessionKey
	from             kafka.Offset
	maxBytes         int
	currentEpoch     kafka.LeaderEpoch
	lastFetchedEpoch kafka.LeaderEpoch
}

// fetching is a fetch request from its decoding to its reply.
type fetching struct {
	a        *API
	request  Request
	q        wire.FetchRequest
	deadline time.Time
	waiter   *purgatory.Waiter
	session  *session            // locked from here to the reply only within Finish
	seen     []partition.Offsets // of the last look, in reading order
	full     bool                // every partition is answered, not only what changed
	started  bool
	reader   reader
}

// reader is who fetches.
type reader struct {
	replica kafka.BrokerID // NoBroker: a consumer
	epoch   kafka.BrokerEpoch
	rack    string // of a consumer; empty: it has not said
}

func (r reader) isReplica() bool { return r.replica != kafka.NoBroker }

func (a *API) fetch(r *Request) (*Reply, Pending) {
	f := &fetching{a: a, request: Request{Conn: r.Conn, Received: r.Received, Header: r.Header}, q: wire.NewFetchRequest()}
	if err := f.q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	if !f.identify() {
		a.o.Log.Warn("closing connection: somebody claims to be a replica", "client", r.Conn.Client, "principal", r.Conn.Principal,
			"replica", max(f.q.ReplicaID, f.q.ReplicaState.ID))
		a.fail(r)
		return dropReply(), nil
	}
	wait := min(time.Duration(max(0, f.q.MaxWaitMillis))*time.Millisecond, fetchWaitMax)
	f.deadline = r.Received.Add(wait)
	return nil, f
}

// identify says who fetches. It reports false where a client, or another broker,
// claims to be a replica (CVE-2018-1288).
func (f *fetching) identify() bool {
	f.reader = reader{replica: kafka.NoBroker, epoch: -1, rack: f.q.Rack}
	claimed := kafka.BrokerID(max(f.q.ReplicaID, f.q.ReplicaState.ID))
	if claimed < 0 {
		return true
	}
	if peer, ok := f.request.Conn.Peer(); !ok || peer.Broker != claimed {
		return false
	}
	f.reader = reader{replica: claimed, epoch: kafka.BrokerEpoch(f.q.ReplicaState.Epoch)}
	return true
}

// sessions are those of consumers or, never pushed out by these, those of brokers.
func (f *fetching) sessions() *sessions {
	if f.reader.isReplica() {
		return f.a.replicas
	}
	return f.a.sessions
}

// Finish implements Pending. It reads every partition; when that is too little
// and there is time left it registers with the partitions and waits.
func (f *fetching) Finish(expired bool) (*Reply, bool) {
	if f.waiter != nil && !f.waiter.Done() && !expired {
		return nil, false
	}
	if !f.started {
		if code := f.start(); code != kafka.ErrNone {
			return f.errorReply(code), true
		}
		f.started = true
	}
	if f.session != nil {
		f.session.mu.Lock()
		defer f.session.mu.Unlock()
	}
	for {
		b := f.build()
		if b.enough(f) || expired {
			f.Abandon() // what has its answer waits at no partition any more
			if f.session != nil {
				f.session.epoch = kafka.NextSessionEpoch(f.session.epoch)
				b.settle(f.session)
			}
			return b.seal(f), true
		}
		b.reply.Release()
		if f.park() {
			return nil, false
		}
	}
}

// Deadline implements Pending.
func (f *fetching) Deadline() time.Time { return f.deadline }

// Holds implements Pending.
func (f *fetching) Holds() bool { return true }

// Idle implements Pending.
func (f *fetching) Idle() bool { return true }

// Abandon implements Pending.
func (f *fetching) Abandon() {
	if f.waiter != nil {
		f.waiter.Finish()
	}
}

// start finds or opens the session that the request names.
func (f *fetching) start() kafka.ErrorCode {
	owner, byID := f.request.Conn.Principal, f.request.Header.Version >= 13
	id, epoch := f.q.SessionID, f.q.SessionEpoch
	f.full = true
	if epoch <= 0 { // a full fetch: 0 asks for a new session, -1 for none
		if id != 0 {
			f.sessions().close(id, owner)
		}
		if epoch == 0 && f.request.Header.Version >= 7 {
			wanted := f.wanted()
			if len(wanted) > 0 {
				f.session = f.sessions().open(owner, byID, wanted)
			}
		}
		return kafka.ErrNone
	}
	s := f.sessions().find(id, owner)
	if s == nil {
		return kafka.ErrFetchSessionIDNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return kafka.ErrInvalidFetchSessionEpoch
	}
	if s.byID != byID {
		return kafka.ErrFetchSessionTopicIDError
	}
	for _, w := range f.wanted() {
		s.set(w)
	}
	for _, t := range f.q.ForgottenTopics {
		for _, p := range t.Partitions {
			s.forget(f.key(t.Topic, t.TopicID, p))
		}
	}
	if !f.sessions().recount(s) {
		return kafka.ErrFetchSessionIDNotFound
	}
	f.session, f.full = s, false
	return kafka.ErrNone
}

func (f *fetching) key(name string, id [16]byte, p int32) sessionKey {
	k := sessionKey{id: kafka.TopicIDPartition{Partition: kafka.PartitionIndex(p)}}
	if f.request.Header.Version >= 13 {
		k.id.TopicID = id
	} else {
		k.name = name
	}
	return k
}

// wanted flattens the partitions that this request names.
func (f *fetching) wanted() []wantedPartition {
	n := 0
	for i := range f.q.Topics {
		n += len(f.q.Topics[i].Partitions)
	}
	out := make([]wantedPartition, 0, n)
	for i := range f.q.Topics {
		t := &f.q.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			out = append(out, wantedPartition{
				key: f.key(t.Topic, t.TopicID, p.Partition), from: kafka.Offset(p.FetchOffset), maxBytes: int(p.PartitionMaxBytes),
				currentEpoch: kafka.LeaderEpoch(p.CurrentLeaderEpoch), lastFetchedEpoch: kafka.LeaderEpoch(p.LastFetchedEpoch),
			})
		}
	}
	return out
}

// each calls visit for every partition of this fetch, in reading order.
func (f *fetching) each(visit func(wantedPartition, *sessionPartition)) {
	if f.session == nil {
		for _, w := range f.wanted() {
			visit(w, nil)
		}
		return
	}
	for e := f.session.partitions.Front(); e != nil; e = e.Next() {
		s := e.Value.(*sessionPartition)
		visit(s.want, s)
	}
}

func (f *fetching) find(w wantedPartition) (*partition.Partition, kafka.ErrorCode) {
	var part *partition.Partition
	code := kafka.ErrNone
	if w.key.name == "" {
		part, code = f.a.byID(w.key.id.TopicID, int32(w.key.id.Partition))
	} else {
		part, code = f.a.byName(w.key.name, int32(w.key.id.Partition))
	}
	if code == kafka.ErrNone && !f.a.authorize(f.request.Conn.Principal, opRead, topicResource(part.Topic())) {
		return nil, kafka.ErrTopicAuthorizationFailed
	}
	return part, code
}

// park registers the request with every partition it names. It reports false
// when one of them has data already.
func (f *fetching) park() bool {
	w := purgatory.New(1, f.request.Conn.Wake)
	parked := true
	i := -1
	f.each(func(want wantedPartition, _ *sessionPartition) {
		i++
		if !parked {
			return
		}
		part, code := f.find(want)
		if code != kafka.ErrNone {
			return // answered as an error when the wait ends
		}
		parked = part.Await(f.await(want, f.seen[i]), w)
	})
	if !parked {
		w.Finish()
		return false
	}
	f.waiter = w
	return true
}

// await says what a partition has to wake this fetch for, after a look that saw
// these marks.
func (f *fetching) await(want wantedPartition, seen partition.Offsets) partition.Await {
	wait := partition.Await{From: want.from, Replica: f.reader.replica, HighWatermark: seen.HighWatermark, FromFollower: f.fromFollower()}
	if f.q.MinBytes > 1 {
		// More than the first byte is asked for: wake when there is more than what
		// the last look saw, and look again.
		saw := seen.HighWatermark
		if f.reader.isReplica() {
			saw = seen.LogEnd
		}
		wait.From = max(wait.From, saw)
	}
	return wait
}

// fromFollower reports whether a follower may answer: a consumer that names its
// rack was sent there (KIP-392).
func (f *fetching) fromFollower() bool { return f.request.Header.Version >= 11 && f.reader.rack != "" }

// prefer is the in-sync follower in the consumer's rack that it had better read
// from, NoBroker when that is this leader or nobody (KIP-392).
func (f *fetching) prefer(part *partition.Partition, w wantedPartition) kafka.BrokerID {
	if !f.fromFollower() || f.reader.isReplica() {
		return kafka.NoBroker
	}
	image := f.a.o.Quorum.Image()
	if self := image.Broker(f.a.o.Self); self == nil || self.Rack == f.reader.rack {
		return kafka.NoBroker
	}
	best, end := kafka.NoBroker, w.from
	for _, r := range part.Replicas() {
		b := image.Broker(r.ID)
		if !r.InSync || r.ID == f.a.o.Self || b == nil || b.Fenced || b.Rack != f.reader.rack || r.FetchEnd < end {
			continue
		}
		if _, ok := b.Endpoint(f.request.Conn.Listener); ok {
			best, end = r.ID, r.FetchEnd+1
		}
	}
	return best
}

// errorReply answers the whole request with one code.
func (f *fetching) errorReply(code kafka.ErrorCode) *Reply {
	f.a.fail(&f.request)
	out := wire.NewFetchResponse()
	out.ErrorCode = int16(code)
	return respond(&f.request, &out)
}
