package producer_test

// Bounds of the model: one partition and one producer, whose sequences wrap in
// the middle; batches of one record, at most 5 in flight; a new incarnation of
// the producer, with one batch, at any moment. Around it, by turns of the budget:
//
//	4 batches  1 lost connection, 2 restarts or truncations, 1 failed append, 1 snapshot
//	5 batches  1 lost connection, 1 restart or truncation,   1 failed append, 1 snapshot
//	6 batches  2 lost connections, 1 restart or truncation,  1 failed append
//
// Requests of a lost connection linger and are handled at any later moment. A
// restart or truncation cuts the log anywhere at or above what is committed.
// Within these every interleaving is visited, with the real Table in the loop.
//
// Not modelled: expiry and eviction of a living producer, which may cost it its
// protection by design, and a client that keeps more than five in flight.
//
// What must hold, after KIP-98 and KIP-360:
//
//	no duplicate, no gap   each incarnation's batches are in the log once, in order
//	no zombie              nothing of an incarnation follows a later one's batch
//	no phantom             what was answered with success is in the log, at that offset, for ever
//	no false refusal       a retry of a stored batch is answered with success, the next batch is accepted

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/producer"
	"holdfast/internal/record"
)

const (
	modelWindow   = 5
	modelProducer = 7
	failed        = 0xff // outcome of a request that was answered with an error
)

// budget is what may happen in one exploration.
type budget struct {
	batches                                  uint8 // of incarnation 0; incarnation 1 has one
	reconnects, crashes, failures, snapshots uint8
}

var modelBudgets = []budget{
	{batches: 4, reconnects: 1, crashes: 2, failures: 1, snapshots: 1},
	{batches: 5, reconnects: 1, crashes: 1, failures: 1, snapshots: 1},
	{batches: 6, reconnects: 2, crashes: 1, failures: 1},
}

// batchID names a batch: incarnation and index. The first record in the log is
// history's: the batch before index 0 of incarnation 0.
type batchID uint8

const history batchID = 0x0f

func id(epoch, index uint8) batchID { return batchID(epoch<<4 | index) }
func (b batchID) epoch() uint8      { return uint8(b >> 4) }
func (b batchID) index() uint8      { return uint8(b & 0x0f) }
func (b batchID) String() string    { return fmt.Sprintf("%d.%d", b.epoch(), b.index()) }
func (b batchID) after() batchID    { return (b + 1) & 0x0f }
func (b batchID) isAfter(prev batchID) bool {
	return b.epoch() == prev.epoch() && b.index() == uint8(prev.after())
}

// header is the batch as the client sends it. Sequences of incarnation 0 run
// from the largest but two over the wrap.
func (b batchID) header() record.Header {
	seq := kafka.Sequence(b.index())
	switch {
	case b == history:
		seq = math.MaxInt32 - 3
	case b.epoch() == 0:
		seq = kafka.Sequence(math.MaxInt32 - 2).Add(int32(b.index()))
	}
	return record.Header{ProducerID: modelProducer, ProducerEpoch: kafka.ProducerEpoch(b.epoch()), BaseSequence: seq, Count: 1}
}

// conn carries the requests [pos, to) of an incarnation that are not handled yet.
type conn struct {
	epoch, pos, to uint8
}

// world is a state of the model; it is comparable and so its own hash.
type world struct {
	log       string // a batchID per offset
	committed uint8  // offsets below it are never cut
	table     string // the table, as a window
	snapshot  string // the newest snapshot file, "" for none

	epoch, acked, sent uint8  // client: batches [acked, sent) are in flight
	live, old          conn   // the client's connection, and one it gave up
	outcomes           string // answers that wait on live, for batches from acked on: an offset, or failed

	left budget
}

// broker is the rule under test; the mutants replace parts of it.
type broker struct {
	check         func(*producer.Table, record.Header) (producer.Verdict, error)
	applyFirst    bool // Apply before the append
	answerEarly   bool // success for what is not committed
	keepOnCut     bool // truncation leaves the table as it is
	snapshotAny   bool // a restart takes the snapshot whatever its offset
	snapshotStays bool // a truncation leaves the snapshots above the cut
	snapshotKafka bool // the snapshot is Kafka's file: one batch per producer
	forget        bool // a restart begins with an empty table
}

func realCheck(t *producer.Table, h record.Header) (producer.Verdict, error) { return t.Check(h, 0) }

func load(window string) *producer.Table {
	t, err := producer.DecodeWindow([]byte(window), 0)
	if err != nil {
		panic(err)
	}
	return t
}

func initial(left budget) world {
	t := producer.New()
	t.Apply(history.header(), 0)
	return world{log: string([]byte{byte(history)}), committed: 1, table: string(t.EncodeWindow()), left: left}
}

// step is a transition: what happened, where it led, and what it broke.
type step struct {
	what   string
	to     world
	broken string
}

// batches is how many the client's incarnation sends.
func (w world) batches() uint8 {
	if w.epoch == 0 {
		return w.left.batches
	}
	return 1
}

// steps are all transitions out of w.
func (b broker) steps(w world) []step {
	var out []step
	add := func(to world, broken, format string, args ...any) {
		if broken == "" {
			broken = to.broken()
		}
		out = append(out, step{what: fmt.Sprintf(format, args...), to: to, broken: broken})
	}
	if w.sent < w.batches() && w.sent-w.acked < modelWindow {
		to := w
		to.sent++
		to.live.to++
		add(to, "", "client sends %v", id(w.epoch, w.sent))
	}
	for _, fail := range []bool{false, true} {
		if fail && w.left.failures == 0 {
			continue
		}
		if w.live.pos < w.live.to {
			to, what, broken := b.handle(w, true, fail)
			add(to, broken, "%s", what)
		}
		if w.old.pos < w.old.to {
			to, what, broken := b.handle(w, false, fail)
			add(to, broken, "lingering: %s", what)
		}
	}
	if int(w.committed) < len(w.log) {
		to := w
		to.committed = uint8(len(w.log))
		add(to, "", "commit up to %d", to.committed)
	}
	if to, what, broken, ok := b.answer(w); ok {
		add(to, broken, "%s", what)
	}
	if w.left.reconnects > 0 && w.sent > w.acked {
		to := w
		to.left.reconnects--
		to.reconnect(true)
		add(to, "", "connection lost; client sends %v.. again", id(to.epoch, to.acked))
	}
	if w.epoch == 0 {
		to := w
		to.reconnect(true)
		to.epoch, to.acked, to.sent = 1, 0, 0
		to.live = conn{epoch: 1}
		add(to, "", "client begins incarnation 1")
	}
	if w.left.snapshots > 0 {
		to := w
		to.left.snapshots--
		to.snapshot = w.table
		add(to, "", "snapshot at %d", len(w.log))
	}
	if w.left.crashes > 0 {
		for end := int(w.committed); end <= len(w.log); end++ {
			add(b.cut(w, end, true), "", "broker restarts with a log of %d", end)
			add(b.cut(w, end, false), "", "log is truncated to %d", end)
		}
	}
	return out
}

// reconnect gives live up; its requests linger or vanish.
func (w *world) reconnect(linger bool) {
	w.old = conn{}
	if linger {
		w.old = w.live
	}
	w.live = conn{epoch: w.epoch, pos: w.acked, to: w.sent}
	w.outcomes = ""
}

// handle lets the broker take the next request, of the living connection or of
// the one that was given up.
func (b broker) handle(w world, live, fail bool) (world, string, string) {
	to := w
	from := &to.old
	if live {
		from = &to.live
	}
	batch := id(from.epoch, from.pos)
	from.pos++
	if fail {
		to.left.failures--
	}
	h := batch.header()
	h.BaseOffset = kafka.Offset(len(w.log))
	t := load(w.table)
	v, err := b.check(t, h)
	outcome, what := byte(failed), ""
	switch {
	case err != nil:
		what = fmt.Sprintf("%v is refused: %v", batch, err)
	case v.Duplicate:
		outcome = byte(v.Base)
		what = fmt.Sprintf("%v is a duplicate of offset %d", batch, v.Base)
	case fail:
		what = fmt.Sprintf("append of %v fails", batch)
		if b.applyFirst {
			t.Apply(h, 0)
		}
	default:
		outcome = byte(len(w.log))
		to.log += string([]byte{byte(batch)})
		t.Apply(h, 0)
		what = fmt.Sprintf("%v is appended at %d", batch, outcome)
	}
	to.table = string(t.EncodeWindow())
	broken := ""
	if live {
		to.outcomes += string([]byte{outcome})
		broken = w.misjudged(batch, v, err)
	}
	return to, what, broken
}

// misjudged compares the verdict on a request of the living client with the log.
func (w world) misjudged(batch batchID, v producer.Verdict, err error) string {
	at := strings.IndexByte(w.log, byte(batch))
	last := batchID(w.log[len(w.log)-1])
	switch {
	case v.Duplicate && at != int(v.Base):
		return fmt.Sprintf("phantom: %v is called a duplicate of offset %d, where it is not", batch, v.Base)
	case at >= 0 && err != nil:
		return fmt.Sprintf("false refusal: %v is stored at %d, but its retry got: %v", batch, at, err)
	case at >= 0 && !v.Duplicate:
		return fmt.Sprintf("duplicate: %v is stored at %d, but its retry is taken as new", batch, at)
	case at < 0 && err != nil && (batch.isAfter(last) || batch.epoch() > last.epoch() && batch.index() == 0):
		return fmt.Sprintf("false refusal: %v is next, but got: %v", batch, err)
	}
	return ""
}

// answer sends the oldest waiting answer on the living connection.
func (b broker) answer(w world) (to world, what, broken string, ok bool) {
	if w.outcomes == "" {
		return w, "", "", false
	}
	to = w
	batch, outcome := id(w.epoch, w.acked), w.outcomes[0]
	if outcome == failed {
		to.reconnect(false)
		return to, fmt.Sprintf("client hears an error for %v and sends again from it", batch), "", true
	}
	if outcome >= w.committed && !b.answerEarly {
		return w, "", "", false
	}
	to.acked++
	to.outcomes = w.outcomes[1:]
	return to, fmt.Sprintf("client hears that %v is at %d", batch, outcome), "", true
}

// cut is a restart, or a truncation under a running broker.
func (b broker) cut(w world, end int, restart bool) world {
	to := w
	to.left.crashes--
	to.log = w.log[:end]
	if restart {
		to.reconnect(false)
		to.old = conn{}
	} else {
		to.outcomes = strings.Repeat(string([]byte{failed}), len(w.outcomes)) // the leadership was lost
	}
	if !restart && b.keepOnCut {
		return to
	}
	if w.snapshot != "" && int(load(w.snapshot).End()) > end && !b.snapshotAny && !b.snapshotStays {
		to.snapshot = ""
	}
	t := producer.New()
	if w.snapshot != "" && (b.snapshotAny || int(load(w.snapshot).End()) <= end) {
		t = load(w.snapshot)
		if b.snapshotKafka {
			mapEnd := t.End()
			t, _ = producer.Decode(t.Encode(mapEnd), mapEnd, 0)
		}
	}
	if b.forget {
		t = producer.New()
		t.ForgetUnknown()
	} else {
		for offset := range end {
			h := batchID(to.log[offset]).header()
			h.BaseOffset = kafka.Offset(offset)
			t.Apply(h, 0)
		}
	}
	to.table = string(t.EncodeWindow())
	return to
}

// broken names the property that w violates, "" for none.
func (w world) broken() string {
	prev := batchID(w.log[0])
	for offset, b := range []byte(w.log[1:]) {
		batch := batchID(b)
		switch {
		case batch.isAfter(prev), batch.epoch() > prev.epoch() && batch.index() == 0:
		case batch.epoch() < prev.epoch():
			return fmt.Sprintf("zombie: %v at %d follows %v", batch, offset+1, prev)
		case strings.IndexByte(w.log, b) <= offset:
			return fmt.Sprintf("duplicate: %v at %d again", batch, offset+1)
		default:
			return fmt.Sprintf("gap: %v at %d follows %v", batch, offset+1, prev)
		}
		prev = batch
	}
	for i := range w.acked {
		if strings.IndexByte(w.log, byte(id(w.epoch, i))) < 0 {
			return fmt.Sprintf("phantom: %v was answered with success and is not in the log", id(w.epoch, i))
		}
	}
	return ""
}

// explore visits every state within the budget and returns their number, and
// the shortest trace to a violation if there is one.
func (b broker) explore(left budget) (int, []string) {
	type from struct {
		prev world
		what string
	}
	start := initial(left)
	seen := map[world]from{start: {}}
	for frontier := []world{start}; len(frontier) > 0; {
		var next []world
		for _, w := range frontier {
			for _, s := range b.steps(w) {
				if s.broken != "" {
					trace := []string{s.what, "=> " + s.broken}
					for at := w; at != start; at = seen[at].prev {
						trace = append([]string{seen[at].what}, trace...)
					}
					return len(seen), trace
				}
				if _, ok := seen[s.to]; !ok {
					seen[s.to] = from{w, s.what}
					next = append(next, s.to)
				}
			}
		}
		frontier = next
	}
	return len(seen), nil
}

func TestModel_EveryInterleavingKeepsThePromises(t *testing.T) {
	for _, left := range modelBudgets {
		states, trace := broker{check: realCheck}.explore(left)
		for i, line := range trace {
			t.Errorf("%2d  %s", i+1, line)
		}
		t.Logf("%+v: %d states", left, states)
	}
}

// rememberOnly forgets all but the last n batches of the producer.
func rememberOnly(n kafka.Offset) func(*producer.Table, record.Header) (producer.Verdict, error) {
	return func(t *producer.Table, h record.Header) (producer.Verdict, error) {
		v, err := t.Check(h, 0)
		if v.Duplicate && v.Last <= t.Producers()[0].LastOffset-n {
			return producer.Verdict{}, kafka.ErrOutOfOrderSequenceNumber
		}
		return v, err
	}
}

// accept turns one refusal into acceptance.
func accept(code kafka.ErrorCode) func(*producer.Table, record.Header) (producer.Verdict, error) {
	return func(t *producer.Table, h record.Header) (producer.Verdict, error) {
		v, err := t.Check(h, 0)
		if errors.Is(err, code) {
			return producer.Verdict{}, nil
		}
		return v, err
	}
}

func noWrap(t *producer.Table, h record.Header) (producer.Verdict, error) {
	v, err := t.Check(h, 0)
	if err == nil && !v.Duplicate && h.BaseSequence == 0 && h.ProducerEpoch == t.Producers()[0].Epoch {
		return v, kafka.ErrOutOfOrderSequenceNumber
	}
	return v, err
}

// mutant is a broker with one mistake, and the property that it must break.
type mutant struct {
	name   string
	rule   broker
	breaks string
}

// refute explores one budget after the other until the mutant is caught.
func (m mutant) refute() (int, []string) {
	total := 0
	for _, left := range modelBudgets {
		states, trace := m.rule.explore(left)
		total += states
		if trace != nil {
			return total, trace
		}
	}
	return total, nil
}

// TestModel_EveryMutantIsRefuted: a model that refutes nothing proves nothing.
func TestModel_EveryMutantIsRefuted(t *testing.T) {
	for _, m := range []mutant{
		{"apply before the append", broker{check: realCheck, applyFirst: true}, "gap"},
		{"remember one batch", broker{check: rememberOnly(1)}, "false refusal"},
		{"remember four batches", broker{check: rememberOnly(4)}, "false refusal"},
		{"never find a duplicate", broker{check: rememberOnly(0)}, "false refusal"},
		{"accept what is out of order", broker{check: accept(kafka.ErrOutOfOrderSequenceNumber)}, "gap"},
		{"accept a lower epoch", broker{check: accept(kafka.ErrInvalidProducerEpoch)}, "zombie"},
		{"no wrap of sequences", broker{check: noWrap}, "false refusal"},
		{"forget at restart", broker{check: realCheck, forget: true}, "duplicate"},
		{"take a snapshot from beyond the log's end", broker{check: realCheck, snapshotAny: true}, "phantom"},
		{"keep a snapshot from above the cut", broker{check: realCheck, snapshotStays: true}, "duplicate"},
		{"restart from Kafka's file alone", broker{check: realCheck, snapshotKafka: true}, "false refusal"},
		{"truncate without reloading", broker{check: realCheck, keepOnCut: true}, "gap"},
		{"answer before the commit", broker{check: realCheck, answerEarly: true}, "phantom"},
	} {
		t.Run(m.name, func(t *testing.T) {
			states, trace := m.refute()
			if trace == nil {
				t.Fatalf("not refuted in %d states", states)
			}
			if last := trace[len(trace)-1]; !strings.HasPrefix(last, "=> "+m.breaks) {
				t.Errorf("refuted by %q, want %q", last, m.breaks)
			}
			var picture bytes.Buffer
			for i, line := range trace {
				fmt.Fprintf(&picture, "\n%2d  %s", i+1, line)
			}
			t.Logf("refuted after %d states:%s", states, picture.String())
		})
	}
}
