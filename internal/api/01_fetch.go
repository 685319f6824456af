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
// answer. The request waits without polling: the partitions it names wake it.
//
// Deviations from Apache Kafka: a replica id of 0 or above is refused on a client
// connection.

import (
	"encoding/binary"
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
	session  *session       // locked from here to the reply only within Finish
	seen     []kafka.Offset // high watermarks of the last look, in reading order
	full     bool           // every partition is answered, not only what changed
	started  bool
}

func (a *API) fetch(r *Request) (*Reply, Pending) {
	f := &fetching{a: a, request: Request{Conn: r.Conn, Received: r.Received, Header: r.Header}, q: wire.NewFetchRequest()}
	if err := f.q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	if f.q.ReplicaID >= 0 || f.q.ReplicaState.ID >= 0 {
		a.o.Log.Warn("closing connection: a client claims to be a replica", "client", r.Conn.Client)
		a.fail(r)
		return dropReply(), nil
	}
	wait := min(time.Duration(max(0, f.q.MaxWaitMillis))*time.Millisecond, fetchWaitMax)
	f.deadline = r.Received.Add(wait)
	return nil, f
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
			if f.session != nil {
				f.session.epoch = nextEpoch(f.session.epoch)
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
			f.a.sessions.close(id, owner)
		}
		if epoch == 0 && f.request.Header.Version >= 7 {
			wanted := f.wanted()
			if len(wanted) > 0 {
				f.session = f.a.sessions.open(owner, byID, wanted)
			}
		}
		return kafka.ErrNone
	}
	s := f.a.sessions.find(id, owner)
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
	if !f.a.sessions.recount(s) {
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
		part, code = f.a.o.Broker.ByID(w.key.id.TopicID, w.key.id.Partition)
	} else {
		part, code = f.a.o.Broker.ByName(w.key.name, w.key.id.Partition)
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
		from := want.from
		if f.q.MinBytes > 1 {
			// More than the first byte is asked for: wake when the high watermark
			// is not what the last look saw, and look again.
			from = max(from, f.seen[i])
		}
		parked = part.AwaitData(from, w)
	})
	if !parked {
		w.Finish()
		return false
	}
	f.waiter = w
	return true
}

// building is a fetch reply in the making.
type building struct {
	reply   *Reply
	version int16
	bytes   int // of records so far
	left    int // of the reply's limit
	copied  int // of bytes, the part that is in the buffer
	errors  bool
	topicAt int // where the count of the open topic's partitions stands
	topics  int
	inTopic int
	topic   sessionKey
	open    bool
	changed []sessionChange
	body    replyMarks
}

// replyMarks are places in the reply whose value is known only at the end.
type replyMarks struct{ topicCount int }

// enough reports whether the reply can be sent without waiting.
func (b *building) enough(f *fetching) bool {
	return b.bytes >= min(int(f.q.MinBytes), f.limit()) || b.errors || f.deadline.Equal(f.request.Received) || !f.hasPartitions()
}

func (f *fetching) hasPartitions() bool {
	if f.session != nil {
		return f.session.partitions.Len() > 0
	}
	return len(f.q.Topics) > 0
}

// limit is the most record bytes that the reply may hold, its first batch apart.
func (f *fetching) limit() int {
	most := min(fetchBytesMax, f.a.settings().FetchBytesMax)
	if f.q.MaxBytes > 0 {
		most = min(most, int(f.q.MaxBytes))
	}
	return most
}

// build reads every partition once and encodes what there is.
func (f *fetching) build() *building {
	b := &building{reply: NewReply(&f.request), version: f.request.Header.Version, left: f.limit()}
	b.head(f)
	f.seen = f.seen[:0]
	f.each(func(w wantedPartition, s *sessionPartition) {
		part, code := f.find(w)
		var res partition.ReadResult
		if code == kafka.ErrNone {
			res = part.Read(partition.ReadRequest{From: w.from, MaxBytes: min(w.maxBytes, b.left), MinOne: b.bytes == 0,
				CurrentEpoch: w.currentEpoch, LastFetchedEpoch: w.lastFetchedEpoch, Committed: f.q.IsolationLevel == 1, Replica: kafka.NoBroker})
		} else {
			res.Code = code
		}
		f.seen = append(f.seen, res.Offsets.HighWatermark)
		b.add(f, w, s, res)
	})
	return b
}

// add encodes one partition unless the session's client knows all of it.
func (b *building) add(f *fetching, w wantedPartition, s *sessionPartition, res partition.ReadResult) {
	n := int(res.Range.Length)
	b.bytes += n
	b.left -= n
	failed := res.Code != kafka.ErrNone || res.Diverging != nil
	b.errors = b.errors || failed
	if s != nil {
		same := s.told && n == 0 && !failed && s.code == kafka.ErrNone &&
			s.hw == res.Offsets.HighWatermark && s.logStart == res.Offsets.LogStart
		if same && !f.full {
			return
		}
		b.changed = append(b.changed, sessionChange{partition: s, hw: res.Offsets.HighWatermark,
			logStart: res.Offsets.LogStart, code: res.Code, read: n > 0})
	}
	b.enterTopic(w.key)
	b.partition(f, w, res)
}

// sessionChange is what a session will remember once the reply is sent.
type sessionChange struct {
	partition    *sessionPartition
	hw, logStart kafka.Offset
	code         kafka.ErrorCode
	read         bool
}

// settle advances the session: the client will know what this reply tells. The
// partitions that were read from move to the end of the order, so that a full
// reply does not starve the others.
func (b *building) settle(s *session) {
	for _, c := range b.changed {
		p := c.partition
		p.told, p.hw, p.logStart, p.code = true, c.hw, c.logStart, c.code
		if e := s.index[p.key]; e != nil && c.read {
			s.partitions.MoveToBack(e)
		}
	}
}

func (b *building) flexible() bool { return b.version >= 12 }

func (b *building) i16(v int16) { b.reply.buf = binary.BigEndian.AppendUint16(b.reply.buf, uint16(v)) }
func (b *building) i32(v int32) { b.reply.buf = binary.BigEndian.AppendUint32(b.reply.buf, uint32(v)) }
func (b *building) i64(v int64) { b.reply.buf = binary.BigEndian.AppendUint64(b.reply.buf, uint64(v)) }
func (b *building) uv(v int)    { b.reply.buf = binary.AppendUvarint(b.reply.buf, uint64(v)) }

// count reserves room for a number of elements that is filled in later. A
// compact count is written as a padded varint of five bytes: longer than need be
// and legal, because a varint's length is not canonical in the protocol.
func (b *building) count() int {
	at := len(b.reply.buf)
	if b.flexible() {
		b.reply.buf = append(b.reply.buf, 0, 0, 0, 0, 0)
	} else {
		b.i32(0)
	}
	return at
}

func (b *building) fill(at, n int) {
	if !b.flexible() {
		binary.BigEndian.PutUint32(b.reply.buf[at:], uint32(n))
		return
	}
	v := uint32(n + 1)
	for i := range 4 {
		b.reply.buf[at+i] = byte(v) | 0x80
		v >>= 7
	}
	b.reply.buf[at+4] = byte(v)
}

func (b *building) tags() {
	if b.flexible() {
		b.reply.buf = append(b.reply.buf, 0)
	}
}

func (b *building) head(f *fetching) {
	b.i32(0) // throttle
	if b.version >= 7 {
		b.i16(int16(kafka.ErrNone))
		id := int32(0)
		if f.session != nil {
			id = f.session.id
		}
		b.i32(id)
	}
	b.body.topicCount = b.count()
}

func (b *building) enterTopic(k sessionKey) {
	k.id.Partition = 0
	if b.open && b.topic == k {
		b.inTopic++
		return
	}
	b.leaveTopic()
	b.open, b.topic, b.inTopic = true, k, 1
	b.topics++
	switch {
	case b.version >= 13:
		b.reply.buf = append(b.reply.buf, k.id.TopicID[:]...)
	case b.flexible():
		b.uv(len(k.name) + 1)
		b.reply.buf = append(b.reply.buf, k.name...)
	default:
		b.i16(int16(len(k.name)))
		b.reply.buf = append(b.reply.buf, k.name...)
	}
	b.topicAt = b.count()
}

func (b *building) leaveTopic() {
	if b.open {
		b.fill(b.topicAt, b.inTopic)
		b.tags()
		b.open = false
	}
}

// partition encodes one partition and places its records.
func (b *building) partition(f *fetching, w wantedPartition, res partition.ReadResult) {
	marks := res.Offsets
	hw, lso, start := int64(marks.HighWatermark), int64(marks.LastStable), int64(marks.LogStart)
	if res.Code != kafka.ErrNone {
		hw, lso, start = -1, -1, -1
	}
	b.i32(int32(w.key.id.Partition))
	b.i16(int16(res.Code))
	b.i64(hw)
	b.i64(lso)
	if b.version >= 5 {
		b.i64(start)
	}
	b.aborted(f.q.IsolationLevel == 1)
	if b.version >= 11 {
		b.i32(-1) // preferred read replica
	}
	b.records(res)
	if b.flexible() {
		b.partitionTags(res)
	}
}

// aborted encodes the aborted transactions: none exist yet. Null means that the
// client did not ask.
func (b *building) aborted(committed bool) {
	switch {
	case b.flexible() && committed:
		b.uv(1)
	case b.flexible():
		b.uv(0)
	case committed:
		b.i32(0)
	default:
		b.i32(-1)
	}
}

func (b *building) records(res partition.ReadResult) {
	n := int(res.Range.Length)
	if b.flexible() {
		b.uv(n + 1)
	} else {
		b.i32(int32(n))
	}
	if n == 0 {
		return
	}
	if n > copyBelow || b.copied+n > copyTotal {
		b.reply.place(FilePart{Source: res.Range.Source, Position: res.Range.Position, Length: res.Range.Length})
		return
	}
	b.copied += n
	at := len(b.reply.buf)
	b.reply.buf = append(b.reply.buf, make([]byte, n)...)
	_, err := res.Range.Source.ReadAt(b.reply.buf[at:], res.Range.Position)
	res.Range.Source.Release()
	if err != nil {
		// The header says n bytes follow: nothing true can be sent any more.
		b.reply.dropped = true
	}
}

func (b *building) partitionTags(res partition.ReadResult) {
	if res.Diverging == nil {
		b.tags()
		return
	}
	b.uv(1) // one tag: 0, the diverging epoch, 13 bytes
	b.uv(0)
	b.uv(13)
	b.i32(int32(res.Diverging.Epoch))
	b.i64(int64(res.Diverging.End))
	b.reply.buf = append(b.reply.buf, 0)
}

func (b *building) seal(*fetching) *Reply {
	b.leaveTopic()
	b.fill(b.body.topicCount, b.topics)
	b.tags()
	return b.reply
}

// errorReply answers the whole request with one code.
func (f *fetching) errorReply(code kafka.ErrorCode) *Reply {
	f.a.fail(&f.request)
	out := wire.NewFetchResponse()
	out.ErrorCode = int16(code)
	return respond(&f.request, &out)
}
