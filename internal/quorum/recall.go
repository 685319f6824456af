package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"

	pb "go.etcd.io/raft/v3/raftpb"

	"holdfast/internal/kafka"
)

// A directory that was copied back from a backup, or cloned, has forgotten votes that
// it gave and entries that it said to have. So a member that starts asks the voters
// what they recall of it, and until all have answered, or a majority and half a second
// has passed, it neither votes nor campaigns. If anybody recalls more than the
// directory has, the member stops.
//
//	+------+---------+------+-----+------+------+-------+------+------+--------+
//	| 0xff | version | kind | to  | from | node | life  | term | last | starts |
//	| u8   | u8      | u8   | u64 | u64  | i32  | u64   | u64  | u64  | u64    |
//	+------+---------+------+-----+------+------+-------+------+------+--------+
//
// No message of the library begins with this byte. A question holds what the member
// has, its answer what is recalled of it, and the life, a number drawn at the start, of
// the question: an answer to an earlier life says nothing. The member compares, when
// the answer comes: what others recall of it can only be less than what it has by then.
// What a witness recalls is the term and the committed entries of a member's messages
// (see memory.go), and the start counter of the registration, which is in the metadata.
// If every witness is down, or died within a second of what only it knew, a copy is not
// found out.
const (
	recallMark    = 0xff
	recallVersion = 1
	recallSize    = 3 + 8 + 8 + 4 + 4*8

	recallAsk    = 0
	recallAnswer = 1
)

// recollection is what a member has, or what another one recalls of it.
type recollection struct {
	term   uint64
	last   uint64 // index of an entry
	starts uint64
}

func (c *core) has() recollection {
	return recollection{c.store.hard.term, c.store.last(), c.o.Starts}
}

// isOlder reports whether somebody recalls more than is there.
func (r recollection) isOlder(recalled recollection) bool {
	return r.term < recalled.term || r.last < recalled.last || r.starts != 0 && r.starts < recalled.starts
}

// recall is a question or an answer.
type recall struct {
	kind     byte
	to, from uint64 // raft ids
	node     kafka.BrokerID
	life     uint64
	has      recollection
}

func (r recall) encode() []byte {
	b := []byte{recallMark, recallVersion, r.kind}
	b = binary.BigEndian.AppendUint64(b, r.to)
	b = binary.BigEndian.AppendUint64(b, r.from)
	b = binary.BigEndian.AppendUint32(b, uint32(r.node))
	for _, n := range [...]uint64{r.life, r.has.term, r.has.last, r.has.starts} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

func decodeRecall(b []byte) (*recall, error) {
	if len(b) != recallSize || b[1] != recallVersion || b[2] > recallAnswer {
		return nil, fmt.Errorf("a question of %d bytes about a directory's age: %w", len(b), errValue)
	}
	u := func(at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }
	return &recall{kind: b[2], to: u(3), from: u(11), node: kafka.BrokerID(binary.BigEndian.Uint32(b[19:])),
		life: u(23), has: recollection{u(31), u(39), u(47)}}, nil
}

// mail is a message of another member: of the library, or about a directory's age.
type mail struct {
	raft   *pb.Message
	recall *recall
}

func decodeMail(b []byte) (mail, error) {
	if len(b) > 0 && b[0] == recallMark {
		r, err := decodeRecall(b)
		return mail{recall: r}, err
	}
	m, err := decodeMessage(b)
	return mail{raft: m}, err
}

// take takes a message of another member.
func (c *core) take(m mail) {
	switch {
	case m.raft != nil:
		c.step(m.raft)
	case m.recall.to != c.id:
	case m.recall.kind == recallAsk:
		c.answerRecall(m.recall)
	default:
		c.noteRecall(m.recall)
	}
}

// ask asks the voters that have not compared yet.
func (c *core) ask() {
	if c.memory.proven {
		return
	}
	var list []Message
	for _, x := range c.store.membership.members {
		if x.raftID != c.id && x.roles&(roleVoter|roleOutgoing) != 0 && !c.memory.vouched[x.raftID] {
			q := recall{kind: recallAsk, to: x.raftID, from: c.id, node: c.o.Self, life: c.memory.life, has: c.has()}
			list = append(list, Message{To: x.node, Bytes: q.encode(), raftID: x.raftID})
		}
	}
	if len(list) > 0 {
		c.o.Transport.Send(list)
	}
	c.prove() // time has passed, or there is nobody else to ask any more
}

func (c *core) answerRecall(q *recall) {
	r := c.memory.of[q.from]
	if b := c.image.Broker(q.node); b != nil {
		for _, id := range b.Directories {
			if RaftID(id) == q.from {
				r.starts = b.Starts
			}
		}
	}
	a := recall{kind: recallAnswer, to: q.from, from: c.id, node: c.o.Self, life: q.life, has: r}
	c.o.Transport.Send([]Message{{To: q.node, Bytes: a.encode(), raftID: q.from}})
}

func (c *core) noteRecall(a *recall) {
	if c.memory.proven || a.life != c.memory.life {
		return
	}
	x, member := c.store.membership.find(a.from)
	if !member || x.roles&(roleVoter|roleOutgoing) == 0 {
		return
	}
	if has := c.has(); has.isOlder(a.has) {
		c.failed = c.rolledBack(fmt.Errorf("node %d recalls term %d, entry %d and start %d of it, and it has term %d, entry %d and start %d",
			a.node, a.has.term, a.has.last, a.has.starts, has.term, has.last, has.starts))
		return
	}
	c.memory.vouched[a.from] = true
	c.prove()
}

// recallTicks is how long a member waits, once a majority has compared, for those that
// have not answered.
const recallTicks = 5

// prove looks whether enough have compared.
func (c *core) prove() {
	silent := false
	for _, role := range [...]roles{roleVoter, roleOutgoing} {
		voters, vouched := c.vouched(role)
		if voters == 0 && role == roleVoter || vouched <= voters/2 && voters > 0 {
			return
		}
		silent = silent || vouched < voters
	}
	if c.memory.enough == 0 {
		c.memory.enough = max(c.ticks, 1)
	}
	if silent && c.ticks < c.memory.enough+recallTicks {
		return
	}
	c.memory.proven = true
	c.begin()
}

// vouched counts the voters with that role, and those that have compared; this member
// has where it votes.
func (c *core) vouched(role roles) (voters, vouched int) {
	for _, x := range c.store.membership.members {
		if x.roles&role == 0 {
			continue
		}
		voters++
		if x.raftID == c.id || c.memory.vouched[x.raftID] {
			vouched++
		}
	}
	return voters, vouched
}

// rolledBack is the error of a directory that is older than it was.
func (c *core) rolledBack(why error) error {
	return &CorruptionError{File: path.Join(c.o.Dir, LogDirectory), Cause: errors.Join(errRolledBack, why)}
}

// believes reports whether this member can follow m. A leader that counts entries
// as stored here which are not here has seen this directory when it was younger.
func (c *core) believes(m *pb.Message) bool {
	switch m.GetType() {
	case pb.MsgVote, pb.MsgPreVote, pb.MsgTimeoutNow:
		return c.memory.proven
	case pb.MsgHeartbeat:
		if m.GetCommit() > c.store.last() && c.stalled == nil && m.GetTerm() >= c.store.hard.term {
			c.failed = c.rolledBack(fmt.Errorf("the leader knows entry %d to be stored here, and entries end at %d", m.GetCommit(), c.store.last()+1))
			return false
		}
	}
	return true
}
