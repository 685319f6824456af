package isr

// Goal: prove that what a leader calls committed is never lost: whoever may be
// elected (a member of the committed ISR) has every committed record on stable
// storage, whatever crashes, elections, ISR changes and late messages come; that no
// offset is committed twice with different records; that an acknowledgement is for
// the record that is committed; that there are min ISR copies when there must be;
// and that the guard of a follower's own high watermark never fires. And prove that
// the check can fail: each mutant, the true rules changed in one place, is refuted.
//
// Method: breadth-first search of every state that a small world can reach from
// its start (world_test.go, steps_test.go), states identified by 128 bits of hash.
// Each world's bounds are printed, with how far it was searched: completely, or
// every sequence of up to so many steps. HOLDFAST_MODEL_STATES (default below) is
// the number of states after which no further level is begun. A larger world is
// walked at random from a printed seed. Beyond the bounds: answers to fetches that
// arrive late (Follower.Accepts drops them), partial flushes, times between LagMax/8
// and LagMax (leader_test.go), elections of others than members of the ISR.

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
)

var worlds = []bounds{
	{name: "elections", nodes: 2, entries: 2, isr: 0b11, minISR: 1, elections: 2},
	{name: "one election", nodes: 2, entries: 1, isr: 0b11, minISR: 1, elections: 1},
	{name: "shrink and join", nodes: 3, entries: 1, isr: 0b111, minISR: 2, fences: 1},
	{name: "two replicas", nodes: 2, entries: 1, isr: 0b11, minISR: 2, fences: 1},
	{name: "growth", nodes: 3, entries: 1, isr: 0b001, minISR: 1, elections: 1},
	{name: "a new leader and an outsider", nodes: 3, entries: 1, isr: 0b011, minISR: 1, elections: 1},
	{name: "power", nodes: 2, entries: 2, isr: 0b11, minISR: 1, crashes: 2},
	{name: "power and one record", nodes: 2, entries: 1, isr: 0b11, minISR: 1, crashes: 2},
	{name: "one disk of two", nodes: 2, entries: 1, isr: 0b11, minISR: 1, wipes: 1, late: true},
	{name: "disks", nodes: 3, entries: 1, isr: 0b011, minISR: 1, wipes: 1, late: true},
	{name: "late reports", nodes: 3, entries: 1, isr: 0b111, minISR: 1, fences: 1, late: true},
	{name: "min ISR", nodes: 2, entries: 1, isr: 0b11, minISR: 1, minSets: 1, fences: 1},
}

// key is 128 bits of hash of a state.
type key [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func keyOf(b []byte) key {
	return key{maphash.Bytes(seeds[0], b), maphash.Bytes(seeds[1], b)}
}

// visit is a state's way back to the start.
type visit struct {
	parent int32
	step   int16
}

// outcome is what a search found: err is the first broken rule, nil when there is
// none within depth steps, or at all when complete.
type outcome struct {
	states, steps, depth int
	complete             bool
	took                 time.Duration
	err                  error
}

func (o outcome) String() string {
	far := fmt.Sprintf("every sequence of up to %d steps", o.depth)
	if o.complete {
		far = fmt.Sprintf("complete, at most %d steps from the start", o.depth)
	}
	return fmt.Sprintf("%d states, %d transitions, %s, %s", o.states, o.steps, far, o.took.Round(time.Millisecond))
}

// statesMax is the default of HOLDFAST_MODEL_STATES.
const statesMax = 60_000

func statesLimit(t *testing.T) int {
	text := os.Getenv("HOLDFAST_MODEL_STATES")
	switch {
	case text == "" && invariant.ExpensiveEnabled:
		return statesMax / 10 // the race detector finds nothing in pure code
	case text == "":
		return statesMax
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("HOLDFAST_MODEL_STATES=%q: want a number", text)
	}
	return n
}

// explore searches w breadth first and stops at the first broken rule.
func explore(w *world, limit int) (o outcome) {
	begin := time.Now()
	defer func() { o.took = time.Since(begin) }()
	all := w.steps()
	start := w.start()
	first := w.encode(nil, start)
	seen := map[key]struct{}{keyOf(first): {}}
	way := []visit{{-1, -1}}
	type waiting struct {
		id   int32
		data []byte
	}
	level := []waiting{{0, first}}
	var buf []byte
	for len(level) > 0 && len(seen) <= limit {
		var next []waiting
		for _, at := range level {
			s := w.decode(at.data)
			if o.states < 1000 && !bytes.Equal(w.encode(buf, s), at.data) {
				o.err = fmt.Errorf("state %d is not what its bytes say", at.id)
				return o
			}
			o.states++
			for i := range all {
				if !all[i].may(s) {
					continue
				}
				o.steps++
				to := s.clone()
				err := safely(func() error { return all[i].do(to) })
				if err == nil {
					err = w.check(to)
				}
				if err != nil {
					o.err = fmt.Errorf("%w\n%s", err, trace(w, all, append(way[:len(way):len(way)], visit{at.id, int16(i)})))
					return o
				}
				buf = w.encode(buf, to)
				k := keyOf(buf)
				if _, known := seen[k]; known {
					continue
				}
				seen[k] = struct{}{}
				way = append(way, visit{at.id, int16(i)})
				next = append(next, waiting{int32(len(way) - 1), bytes.Clone(buf)})
			}
		}
		if level = next; len(level) > 0 {
			o.depth++
		}
	}
	o.complete = len(level) == 0
	return o
}

// safely turns a failed invariant into an error.
func safely(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return do()
}

// trace tells the way to the last state.
func trace(w *world, all []step, way []visit) string {
	var list []int16
	for at := int32(len(way) - 1); way[at].parent >= 0; at = way[at].parent {
		list = append(list, way[at].step)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  %s", &w.bounds)
	for n := range list {
		fmt.Fprintf(&b, "\n  %d. %s", n+1, all[list[len(list)-1-n]].name)
	}
	return b.String()
}

func TestModel(t *testing.T) {
	limit := statesLimit(t)
	reached := make([]map[string]int, len(worlds))
	t.Run("world", func(t *testing.T) {
		for i, b := range worlds {
			reached[i] = map[string]int{}
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				o := explore(&world{bounds: b, reached: reached[i]}, limit)
				if o.err != nil {
					t.Errorf("%v", o.err)
				}
				t.Logf("%s: %s", &b, o)
			})
		}
	})
	for _, what := range []string{"1 records are committed", "2 records are committed", "a follower cuts", "a joiner is in the ISR",
		"a replica leaves the ISR", "a proposal is refused", "a joiner is held", "a proposal dies with an incarnation"} {
		total := 0
		for _, r := range reached {
			total += r[what]
		}
		if t.Logf("%s: %d times", what, total); total == 0 {
			t.Errorf("no world reaches: %s", what)
		}
	}
}

// everything is a world too large for searching it: it is walked.
var everything = bounds{name: "everything", nodes: 3, entries: 3, isr: 0b111, minISR: 1, elections: 2, fences: 2, crashes: 2, wipes: 1, minSets: 1, late: true}

// walkSeed is the seed of all walks. Of the seeds 1 to 8, 1 and 7 refute every
// mutant within a million steps; the others leave one or two, which the search of
// small worlds refutes.
const walkSeed, walkSteps = 7, 150

// walk makes walks of length steps, each drawn from the seed, and returns what
// explore does.
func walk(w *world, seed uint64, walks, length int) (o outcome) {
	begin := time.Now()
	defer func() { o.took = time.Since(begin) }()
	all := w.steps()
	for n := range walks {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		s, way := w.start(), []visit{{-1, -1}}
		for len(way) <= length {
			i := r.IntN(len(all))
			if !all[i].may(s) {
				continue
			}
			way = append(way, visit{int32(len(way) - 1), int16(i)})
			o.steps++
			s = w.decode(w.encode(nil, s)) // forgets the images that nobody needs
			err := safely(func() error { return all[i].do(s) })
			if err == nil {
				err = w.check(s)
			}
			if err != nil {
				o.err = fmt.Errorf("walk %d of seed %d: %w\n%s", n, seed, err, trace(w, all, way))
				return o
			}
		}
	}
	return o
}

func TestModel_Walks(t *testing.T) {
	walks := statesLimit(t) / 10
	reached := map[string]int{}
	o := walk(&world{bounds: everything, reached: reached}, walkSeed, walks, walkSteps)
	if o.err != nil {
		t.Fatal(o.err)
	}
	t.Logf("%s: seed %d, %d walks of %d steps, %s; %v", &everything, walkSeed, walks, walkSteps, o.took.Round(time.Millisecond), reached)
}

// least is the smallest end over the replicas that belong.
func least(l *Leader, end func(*replica) kafka.Offset, belongs func(*replica) bool) kafka.Offset {
	low := l.end
	for i := range l.replicas {
		if r := &l.replicas[i]; belongs(r) {
			low = min(low, end(r))
		}
	}
	return low
}

func durableEnd(r *replica) kafka.Offset { return r.durable.end }
func committed(r *replica) bool          { return r.committed }
func either(r *replica) bool             { return r.committed || r.proposed }

// raise lifts the high watermark as a mutant would have it.
func raise(l *Leader, to kafka.Offset) { l.highWatermark = max(l.highWatermark, to) }

func unionSize(l *Leader) (n int) {
	for i := range l.replicas {
		if either(&l.replicas[i]) {
			n++
		}
	}
	return n
}

var mutants = []variant{
	{name: "believe a proposed shrink at once", world: "shrink and join", after: func(l *Leader) {
		if l.CanAppend() {
			raise(l, least(l, durableEnd, func(r *replica) bool { return r.proposed }))
		}
	}},
	{name: "do not count a proposed expansion", world: "growth", after: func(l *Leader) {
		if l.CanAppend() {
			raise(l, least(l, durableEnd, committed))
		}
	}},
	{name: "count min ISR on the union", world: "shrink and join",
		canAppend: func(l *Leader) bool { return unionSize(l) >= l.minISR },
		after: func(l *Leader) {
			if unionSize(l) >= l.minISR {
				raise(l, least(l, durableEnd, either))
			}
		}},
	{name: "the high watermark moves below min ISR", world: "shrink and join", after: func(l *Leader) { raise(l, least(l, durableEnd, either)) }},
	{name: "acknowledge at leader + one follower of a larger ISR", world: "shrink and join", after: func(l *Leader) {
		own, best := l.replica(l.self).durable.end, kafka.Offset(0)
		for i := range l.replicas {
			if r := &l.replicas[i]; r.id != l.self && either(r) {
				best = max(best, r.durable.end)
			}
		}
		if l.CanAppend() {
			raise(l, min(own, best))
		}
	}},
	{name: "acknowledge at a majority of the replicas", world: "shrink and join", after: func(l *Leader) {
		for end := l.end; end > 0; end-- {
			n := 0
			for i := range l.replicas {
				if l.replicas[i].durable.end >= end {
					n++
				}
			}
			if n > len(l.replicas)/2 && l.CanAppend() {
				raise(l, end)
			}
		}
	}},
	{name: "acknowledge before the leader's fsync", world: "elections", after: func(l *Leader) {
		if l.CanAppend() {
			raise(l, least(l, func(r *replica) kafka.Offset {
				if r.id == l.self {
					return l.end
				}
				return r.durable.end
			}, either))
		}
	}},
	{name: "acknowledge before a follower's fsync", world: "elections", after: func(l *Leader) {
		if l.CanAppend() {
			raise(l, least(l, func(r *replica) kafka.Offset { return max(r.durable.end, r.fetch.end) }, either))
		}
	}},
	{name: "join with a stale broker epoch", world: "one disk of two",
		fetch:  func(l *Leader, f *Fetch) { f.Epoch = l.replica(f.Replica).epoch },
		report: func(l *Leader, p *Report) { p.Epoch = l.replica(p.Replica).epoch }},
	{name: "another incarnation keeps what was reported", world: "one disk of two", sameBroker: true},
	{name: "a joiner admitted by its fetch end", world: "growth", after: func(l *Leader) {
		if l.pending {
			return
		}
		for i := range l.replicas {
			if r := &l.replicas[i]; r.candidate && !r.committed && r.fetch.end >= l.end && r.fetch.end >= l.highWatermark {
				r.proposed, l.pending = true, true
			}
		}
	}},
	{name: "a joiner admitted by the high watermark alone (KAFKA-7128)", world: "a new leader and an outsider", after: func(l *Leader) {
		if l.pending {
			return
		}
		for i := range l.replicas {
			if r := &l.replicas[i]; r.candidate && !r.committed && r.durable.end >= l.highWatermark {
				r.proposed, l.pending = true, true
			}
		}
	}},
	{name: "an ISR answer acted on before the metadata offset it names", world: "min ISR", answer: func(l *Leader, a *answered) {
		if !l.pending || a.refused || a.number != l.number {
			return
		}
		c := Change{PartitionEpoch: l.partitionEpoch + 1, MinISR: l.minISR, ISR: members(a.isr)}
		for i := range l.replicas {
			r := &l.replicas[i]
			c.Replicas = append(c.Replicas, r.id)
			c.Candidates = append(c.Candidates, Candidate{r.id, r.epoch})
		}
		l.Changed(c, now)
	}},
	{name: "an answer known by its partition epoch only", world: "power and one record", answer: func(l *Leader, a *answered) {
		if kafka.PartitionEpoch(a.partitionEpoch) == l.partitionEpoch {
			l.Answered(Answer{l.epoch, l.number, a.refused}, now)
		}
	}},
	{name: "a lost answer taken for a refusal", world: "growth", lost: func(l *Leader, a *answered) {
		l.Answered(Answer{kafka.LeaderEpoch(a.leaderEpoch), a.number, true}, now)
	}},
	{name: "truncate by high watermark", world: "elections", follow: func(n *node) {
		if n.hw < n.end {
			n.truncate(n.hw)
		}
	}},
	{name: "durable progress reported for bytes not matched in this epoch", world: "elections",
		progress: func(_ *Follower, durable kafka.Offset) (kafka.Offset, bool) { return durable, true }},
	{name: "reports of another leader epoch count", world: "late reports", anyEpoch: true},
	{name: "ack keyed by offset only", world: "elections", byOffset: true},
}

func worldNamed(t *testing.T, name string) bounds {
	for _, b := range worlds {
		if b.name == name {
			return b
		}
	}
	t.Fatalf("no world is named %q", name)
	return bounds{}
}

// mutantStatesMax is far above what the true rules are searched for by default: a
// mutant is searched for until it is refuted.
const mutantStatesMax = 1_000_000

func TestModel_MutantsAreRefuted(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			w := &world{bounds: worldNamed(t, m.world), rules: m, reached: map[string]int{}}
			o := explore(w, mutantStatesMax)
			if o.err == nil {
				t.Fatalf("survived: %s: %s", &w.bounds, o)
			}
			t.Logf("refuted after %d states, %d transitions, %s: %v", o.states, o.steps, o.took.Round(10*time.Microsecond), o.err)
			w.bounds = everything
			if o = walk(w, walkSeed, mutantStatesMax/walkSteps, walkSteps); o.err == nil {
				t.Errorf("survived %d steps in %s", o.steps, &w.bounds)
			}
			t.Logf("in %s: refuted after %d steps, %s", w.name, o.steps, o.took.Round(10*time.Microsecond))
		})
	}
}
