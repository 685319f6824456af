package api

import (
	"encoding/binary"

	"holdfast/internal/kafka"
	"holdfast/internal/partition"
)

// building is a fetch reply in the making.
type building struct {
	reply   *Reply
	version int16
	bytes   int // of records so far
	left    int // of the reply's limit
	copied  int // of bytes, the part that is in the buffer
	errors  bool
	news    bool // a follower learns of a high watermark
	hints   hints
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
	return b.bytes >= min(int(f.q.MinBytes), f.limit()) || b.errors || b.news || f.deadline.Equal(f.request.Received) || !f.hasPartitions()
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
	b := &building{reply: NewReply(&f.request), version: f.request.Header.Version, left: f.limit(), hints: f.a.newHints(f.request.Conn)}
	b.head(f)
	f.seen = f.seen[:0]
	f.each(func(w wantedPartition, s *sessionPartition) {
		res := f.look(b, w)
		f.seen = append(f.seen, res.Offsets)
		b.add(f, w, s, res)
	})
	return b
}

// answered is what there is to say of one partition.
type answered struct {
	partition.ReadResult
	preferred kafka.BrokerID // read there instead
	hint      leaderHint
}

// look reads one partition.
func (f *fetching) look(b *building, w wantedPartition) answered {
	out := answered{preferred: kafka.NoBroker, hint: noHint}
	part, code := f.find(w)
	if out.Code = code; code == kafka.ErrNone {
		read := partition.ReadRequest{From: w.from, MaxBytes: min(w.maxBytes, b.left), MinOne: b.bytes == 0,
			CurrentEpoch: w.currentEpoch, LastFetchedEpoch: w.lastFetchedEpoch, Committed: f.q.IsolationLevel == 1,
			Replica: f.reader.replica, ReplicaEpoch: f.reader.epoch, FromFollower: f.fromFollower()}
		if out.preferred = f.prefer(part, w); out.preferred != kafka.NoBroker {
			read.MaxBytes, read.MinOne = 0, false
		}
		out.ReadResult = part.Read(read)
	}
	if b.version >= 16 && explains(out.Code) {
		if w.key.name == "" {
			out.hint = b.hints.byID(w.key.id.TopicID, w.key.id.Partition)
		} else {
			out.hint = b.hints.byName(w.key.name, w.key.id.Partition)
		}
	}
	return out
}

// add encodes one partition unless the session's client knows all of it.
func (b *building) add(f *fetching, w wantedPartition, s *sessionPartition, res answered) {
	n := int(res.Range.Length)
	b.bytes += n
	b.left -= n
	failed := res.Code != kafka.ErrNone || res.Diverging != nil || res.preferred != kafka.NoBroker
	b.errors = b.errors || failed
	if s != nil {
		same := s.told && n == 0 && !failed && s.code == kafka.ErrNone &&
			s.hw == res.Offsets.HighWatermark && s.logStart == res.Offsets.LogStart
		b.news = b.news || f.reader.isReplica() && !same
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
func (b *building) partition(f *fetching, w wantedPartition, res answered) {
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
		b.i32(int32(res.preferred))
	}
	b.records(res.ReadResult)
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

// partitionTags encodes the tagged fields: 0 is a divergence, 1 the leader.
func (b *building) partitionTags(res answered) {
	n := 0
	if res.Diverging != nil {
		n++
	}
	if res.hint != noHint {
		n++
	}
	b.uv(n)
	if res.Diverging != nil {
		b.uv(0)
		b.uv(4 + 8 + 1)
		b.i32(int32(res.Diverging.Epoch))
		b.i64(int64(res.Diverging.End))
		b.uv(0)
	}
	if res.hint != noHint {
		b.uv(1)
		b.uv(4 + 4 + 1)
		b.i32(int32(res.hint.leader))
		b.i32(int32(res.hint.epoch))
		b.uv(0)
	}
}

func (b *building) seal(*fetching) *Reply {
	b.leaveTopic()
	b.fill(b.body.topicCount, b.topics)
	if len(b.hints.nodes) == 0 {
		b.tags()
		return b.reply
	}
	nodes := b.hints.append(nil)
	b.uv(1) // one tag: 0, where the leaders are
	b.uv(0)
	b.uv(len(nodes))
	b.reply.buf = append(b.reply.buf, nodes...)
	return b.reply
}
