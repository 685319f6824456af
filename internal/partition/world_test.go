package partition_test

// Goal: whatever happens in whatever order, a record that was acknowledged stays
// with every later leader at its offset, and nobody who may read sees an offset
// change its record.
//
// Method: three replicas on crashable disks and a controller of a few lines, all in
// one goroutine; a seed draws appends, flushes, fetches and reports that arrive late
// or never, kills, power cuts, elections, metadata that is not heard, proposals that
// are lost. At the end everything is healed and must agree. Then the same with one
// rule broken: each mutant must be found.

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/isr"
	"holdfast/internal/kafka"
	"holdfast/internal/partition"
)

// broken is a rule that a world breaks on purpose.
type broken uint8

const (
	sound broken = iota
	reportsUnflushed
	reportsUnmatched
	believesProposal
	believesAnyRefusal
	believesLateAnswer
	flushedBeforeSync
	electsAnybody
	acksByOffset
	cutsByHighWatermark
)

var brokenRules = map[broken]string{
	reportsUnflushed:    "a follower reports what it has not flushed",
	reportsUnmatched:    "a follower reports what it has not matched in this epoch",
	believesProposal:    "a leader takes its proposal for the ISR",
	believesAnyRefusal:  "a leader takes the refusal of a repeated proposal for the outcome of the first",
	believesLateAnswer:  "an answer of an earlier epoch is taken for one of this",
	flushedBeforeSync:   "a flush is reported before it happens",
	electsAnybody:       "the controller elects the first in the list",
	acksByOffset:        "an acknowledgement is keyed by its offset only",
	cutsByHighWatermark: "a follower cuts to its high watermark when it starts",
}

// verdict is a tester that keeps the first finding and ends the world with it.
type verdict struct {
	*testing.T
	found    string
	cleanups []func()
}

// Cleanup implements tester. A world's disks are in memory and go with it.
func (v *verdict) Cleanup(f func()) { v.cleanups = append(v.cleanups, f) }

type ended struct{}

func (v *verdict) Errorf(format string, args ...any) { v.end(fmt.Sprintf(format, args...)) }
func (v *verdict) Fatalf(format string, args ...any) { v.end(fmt.Sprintf(format, args...)) }
func (v *verdict) Fatal(args ...any)                 { v.end(fmt.Sprint(args...)) }
func (v *verdict) end(what string) {
	v.found = what
	panic(ended{})
}

// chaos is a world and what is under way in it.
type chaos struct {
	*cluster
	r       *rand.Rand
	broken  broken
	writes  []*write
	fetches []fetching
	reports []func()
	seen    map[kafka.Offset]string // what somebody could read
	next    int
	steps   int
	acks    int
	faults  map[string]int
	trace   []string
}

func (w *chaos) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%3d ", w.steps)+fmt.Sprintf(format, args...))
}

func newChaos(t tester, seed uint64, b broken) *chaos {
	w := &chaos{cluster: newCluster(t, "ABC", 1+int(seed%2)), r: rand.New(rand.NewPCG(seed, 7)), broken: b,
		seen: map[kafka.Offset]string{}, faults: map[string]int{}}
	for _, n := range w.nodes {
		n.early, n.gate.early, n.cuts = b == flushedBeforeSync, b == flushedBeforeSync, b == cutsByHighWatermark
	}
	w.elect(w.nodes[0], w.nodes...)
	return w
}

func (w *chaos) pick() *node { return w.nodes[w.r.IntN(len(w.nodes))] }

// step does one thing.
func (w *chaos) step() {
	n := w.pick()
	switch d := w.r.IntN(100); {
	case d < 14:
		w.produce()
	case d < 17:
		w.hurry()
	case d < 36:
		if !n.down {
			n.flush()
			w.note("%s flushes to %d", n.name, n.Offsets().Durable)
		}
	case d < 60:
		w.fetch(n)
	case d < 76:
		w.report(n)
	case d < 80 && len(w.fetches) > 0:
		i := w.r.IntN(len(w.fetches))
		w.arrive(w.fetches[i])
		w.fetches = slices.Delete(w.fetches, i, i+1)
	case d < 83 && len(w.reports) > 0:
		i := w.r.IntN(len(w.reports))
		w.reports[i]()
		w.reports = slices.Delete(w.reports, i, i+1)
	case d < 86:
		w.clock.Jump(time.Duration(w.r.IntN(7)) * time.Second)
		for _, n := range w.nodes {
			if !n.down {
				n.Tick(w.clock.Now())
				w.believe(n)
			}
		}
	case d < 91:
		w.control()
	case d < 92:
		w.move()
	case d < 93:
		w.faults["metadata not heard"]++
		w.note("%s is deaf", n.name)
		n.deaf = true
	case d < 95:
		for _, n := range w.nodes {
			n.deaf = n.deaf && w.r.IntN(2) == 0
		}
		w.tell()
	case d < 96:
		w.die(n)
	case d < 97:
		w.blackout()
	default:
		w.rise(n)
		w.rise(w.pick())
	}
	w.steps++
	w.settle()
}

func (w *chaos) produce() {
	for _, n := range w.nodes {
		if !n.down && n.Offsets().Leading { // the real leader, and who believes to be one
			w.next++
			p := n.produce(fmt.Sprint("v", w.next))
			w.note("%s appends v%d: %d, offset %d", n.name, w.next, p.Code, p.Receipt.Base)
			w.writes = append(w.writes, p)
		}
	}
}

func (w *chaos) fetch(n *node) {
	if n.down || n.believes == nil || n.believes.down || n.believes == n {
		return
	}
	if _, ok := n.FetchPosition(); !ok {
		return
	}
	f := n.askOf(n.believes, n.epoch)
	w.note("%s fetches %+v from %s: code %d, %d bytes, diverging %+v, hw %d", n.name, f.asked, n.believes.name, f.answer.Code, len(f.answer.Records), f.answer.Diverging, f.answer.HighWatermark)
	if w.r.IntN(4) == 0 {
		w.faults["late answer"]++
		w.fetches = append(w.fetches, f)
		return
	}
	w.arrive(f)
}

func (w *chaos) arrive(f fetching) {
	if f.n.down || f.part != f.n.Partition {
		return
	}
	if w.broken == believesLateAnswer {
		f.answer.Epoch = f.n.Offsets().Epoch
	}
	err := f.arrive()
	w.note("%s takes the answer at %d: %v, log end %d", f.n.name, f.asked.From, err, f.n.Log().End())
	_, code := errors.AsType[kafka.ErrorCode](err)
	// Two answers to one question may come: the second has nothing to cut.
	_, nothing := errors.AsType[*isr.NotDivergingError](err)
	late := f.answer.Diverging != nil && errors.Is(err, partition.ErrUnfit)
	if err != nil && !code && !nothing && !late {
		w.t.Errorf("%s: %v", f.n.name, err)
	}
}

func (w *chaos) report(n *node) {
	if n.down || n.believes == nil || n.believes == n {
		return
	}
	p, ok := n.Progress()
	o := n.Offsets()
	switch {
	case w.broken == reportsUnflushed && ok:
		p.Durable = o.LogEnd
	case w.broken == reportsUnmatched && o.Following:
		p, ok = partition.Progress{Epoch: o.Epoch, Durable: o.Durable}, true
	}
	if !ok {
		return
	}
	to, epoch := n.believes, n.epoch
	send := func() {
		if !to.down {
			w.note("%s (%d) reports %+v to %s", n.name, epoch, p, to.name)
			to.ReplicaDurable(n.id, epoch, p.Epoch, p.Durable)
		}
	}
	if w.r.IntN(6) == 0 {
		w.faults["late report"]++
		w.reports = append(w.reports, send)
		return
	}
	send()
}

// control is the controller at work: a proposal arrives, or is lost.
func (w *chaos) control() {
	for _, n := range w.nodes {
		if n.down {
			continue
		}
		p, ok := n.ISRProposal()
		if !ok {
			continue
		}
		if w.r.IntN(3) == 0 {
			w.faults["lost proposal"]++
			continue
		}
		w.alterISR(n, p)
	}
}

// believe is what no leader may do: it takes what it asks for as given.
func (w *chaos) believe(n *node) {
	if p, ok := n.ISRProposal(); ok && w.broken == believesProposal {
		t := w.leadership()
		t.Epoch, t.PartitionEpoch, t.ISR = p.LeaderEpoch, p.PartitionEpoch, ids(p.ISR)
		n.Lead(t)
	}
}

func ids(members []isr.Candidate) (out []kafka.BrokerID) {
	for _, m := range members {
		out = append(out, m.ID)
	}
	return out
}

// alterISR commits what a leader proposes (R7), or refuses it. Only where the
// partition is what the proposal was made for, a refusal says that it was never
// applied: a leader of the past may be asking again for what it got.
func (w *chaos) alterISR(n *node, p isr.Proposal) {
	if current := n == w.leader && p.LeaderEpoch == w.epoch && p.PartitionEpoch == w.partitionEpoch; !current {
		if w.broken == believesAnyRefusal {
			n.ISRAnswered(isr.Answer{LeaderEpoch: p.LeaderEpoch, Number: p.Number, Refused: true})
		}
		return
	}
	good := true
	for _, m := range p.ISR {
		live := w.nodes[m.ID-1]
		good = good && !live.down && live.epoch == m.Epoch
	}
	if !good {
		n.ISRAnswered(isr.Answer{LeaderEpoch: p.LeaderEpoch, Number: p.Number, Refused: true})
		return
	}
	w.isr = ids(p.ISR)
	w.setISR()
	w.note("ISR %v at %d", w.isr, w.partitionEpoch)
}

// elect begins an epoch with a live member of the ISR, if there is one.
func (w *chaos) move() {
	var live []*node
	for _, n := range w.nodes {
		if !n.down && (slices.Contains(w.isr, n.id) || w.broken == electsAnybody) {
			live = append(live, n)
		}
	}
	if len(live) == 0 {
		return
	}
	leader := live[w.r.IntN(len(live))]
	if w.broken == electsAnybody {
		leader = live[0]
		w.isr = []kafka.BrokerID{leader.id}
	}
	w.elect(leader)
	for _, f := range w.fetches { // what was under way comes right after the news
		if w.r.IntN(2) == 0 {
			w.arrive(f)
		}
	}
	for _, n := range w.nodes {
		if w.r.IntN(2) == 0 {
			w.report(n) // nothing yet
		}
	}
	w.note("%s leads %d, ISR %v", leader.name, w.epoch, w.isr)
}

// die takes a node away, and what follows from that.
func (w *chaos) die(n *node) {
	if n.down {
		return
	}
	if w.r.IntN(2) == 0 {
		w.faults["power cut"]++
		w.note("%s loses power", n.name)
		n.powerCut()
	} else {
		w.faults["kill"]++
		w.note("%s is killed", n.name)
		n.kill()
	}
	w.leaveISR(n)
	if n == w.leader {
		w.move()
	} else {
		w.setISR()
	}
}

// hurry lets everybody do what there is to do, once.
func (w *chaos) hurry() {
	for _, n := range w.nodes {
		if n.down {
			continue
		}
		w.fetch(n)
		n.flush()
		w.report(n)
	}
}

// blackout takes the power from all at once. The controller hears of one after the
// other.
func (w *chaos) blackout() {
	w.faults["power cut of all"]++
	w.note("the power goes")
	for _, n := range w.nodes {
		if !n.down {
			n.powerCut()
		}
	}
	for _, i := range w.r.Perm(len(w.nodes)) {
		w.leaveISR(w.nodes[i])
	}
	for _, i := range w.r.Perm(len(w.nodes)) {
		w.rise(w.nodes[i])
	}
}

// leaveISR takes a broker out of the ISR, unless it is the last.
func (w *chaos) leaveISR(n *node) {
	if len(w.isr) > 1 {
		w.isr = slices.DeleteFunc(slices.Clone(w.isr), func(id kafka.BrokerID) bool { return id == n.id })
	}
}

func (w *chaos) rise(n *node) {
	if !n.down {
		return
	}
	n.open()
	w.note("%s is back as %d: %+v", n.name, n.epoch, n.Offsets())
	n.deaf = false
	if _, lost := n.Lost(); lost && w.broken != flushedBeforeSync {
		w.t.Errorf("%s was found below its high watermark", n.name)
	}
	w.leaveISR(n)
	if w.leader.down || w.leader == n || !w.led() { // a new incarnation, a new epoch
		w.move()
	} else {
		w.setISR()
	}
}

// settle looks what producers are told and what consumers can see.
func (w *chaos) settle() {
	var rest []*write
	for _, p := range w.writes {
		code := p.answer()
		if w.broken == acksByOffset && code != kafka.ErrNone && p.Code == kafka.ErrNone && !w.leader.down &&
			w.leader.Offsets().HighWatermark >= p.Receipt.End && p.Waiting {
			code = kafka.ErrNone
			w.acked[p.Receipt.Base] = p.value
		}
		switch code {
		case waits:
			rest = append(rest, p)
		case kafka.ErrNone:
			w.note("%s is acknowledged at %+v by %s", p.value, p.Receipt, p.n.name)
			w.acks++
		}
	}
	w.writes = rest
}

// look compares what is committed anywhere with what was committed before, and
// what was acknowledged with the leader's log.
func (w *chaos) look() {
	for _, n := range w.nodes {
		if n.down {
			continue
		}
		values := strings.Split(n.holds(), " ")
		for at := range n.Offsets().HighWatermark {
			value, _, _ := strings.Cut(values[at], "@")
			if had, ok := w.seen[at]; ok && had != value {
				w.t.Errorf("%s: offset %d was %s and is %s", n.name, at, had, value)
			}
			w.seen[at] = value
		}
	}
	if !w.leader.down && w.led() && !w.leader.deaf {
		w.lostNothing()
		w.everyMemberHasIt()
	}
}

// everyMemberHasIt checks that whoever is in the ISR has what is committed.
func (w *chaos) everyMemberHasIt() {
	must := strings.Split(w.leader.holds(), " ")[:w.leader.Offsets().HighWatermark]
	for _, n := range w.nodes {
		if n.down || !slices.Contains(w.isr, n.id) {
			continue
		}
		if has := strings.Split(n.holds(), " "); len(has) < len(must) || !slices.Equal(has[:len(must)], must) {
			w.t.Errorf("%s is in the ISR and holds %q; committed is %q", n.name, has, must)
		}
	}
}

// heal brings everything back and lets it come to rest.
func (w *chaos) heal() {
	for _, n := range w.nodes {
		n.deaf = false
		w.rise(n)
	}
	w.tell()
	if w.leader.down || !w.led() {
		w.move()
	}
	for range 40 {
		w.clock.Jump(lagMax / 2)
		for _, n := range w.nodes {
			n.flush()
			w.fetchNow(n)
			n.flush()
			w.report(n)
			n.Tick(w.clock.Now())
			if p, ok := n.ISRProposal(); ok {
				w.alterISR(n, p)
			}
		}
	}
	w.settle()
	w.look()
	want := w.leader.holds()
	for _, n := range w.nodes {
		if n.holds() != want || len(w.isr) != 3 || n.Offsets().HighWatermark != w.leader.Log().End() {
			w.t.Errorf("healed, %s holds %q up to %+v, the leader %s %q; ISR %v", n.name, n.holds(), n.Offsets(), w.leader.name, want, w.isr)
		}
	}
}

func (w *chaos) fetchNow(n *node) {
	if n != n.believes {
		if _, ok := n.FetchPosition(); ok {
			w.arrive(n.askOf(n.believes, n.epoch))
		}
	}
}

// live runs one world and returns what it found.
func live(t *testing.T, seed uint64, b broken, steps int) (w *chaos, found string) {
	v := &verdict{T: t}
	defer func() {
		for _, f := range v.cleanups {
			f()
		}
	}()
	defer func() {
		switch r := recover().(type) {
		case nil:
		case ended:
			found = v.found
		default:
			found = fmt.Sprint(r) // an invariant
			if b == sound {
				panic(r)
			}
		}
	}()
	w = newChaos(v, seed, b)
	for w.steps < steps {
		if w.step(); w.steps%4 == 0 {
			w.look()
		}
	}
	w.heal()
	return w, v.found
}

// More of them: go test ./internal/partition -run 'TestWorld$' -seeds 5000
var worldSeeds = flag.Uint64("seeds", 120, "worlds of TestWorld")

func TestWorld(t *testing.T) {
	seeds, steps := *worldSeeds, 200
	acks, faults := 0, map[string]int{}
	for seed := range seeds {
		w, found := live(t, seed, sound, steps)
		if found != "" {
			t.Fatalf("seed %d: %s\n%s", seed, found, strings.Join(w.trace, "\n"))
		}
		acks += w.acks
		for what, n := range w.faults {
			faults[what] += n
		}
	}
	t.Logf("%d seeds of %d steps: %d acknowledged, 0 lost; faults %v", seeds, steps, acks, faults)
	if acks < int(seeds)*5 {
		t.Errorf("only %d acknowledgements: the world proves little", acks)
	}
}

func TestWorld_MutantsAreFound(t *testing.T) {
	for b := sound + 1; brokenRules[b] != ""; b++ {
		began, found := time.Now(), ""
		for seed := uint64(0); seed < 800 && found == ""; seed++ {
			if _, found = live(t, seed, b, 200); found != "" {
				t.Logf("%s: seed %d, after %s: %.120s", brokenRules[b], seed, time.Since(began).Round(time.Millisecond), found)
			}
		}
		if found == "" {
			t.Errorf("%s: not found", brokenRules[b])
		}
	}
}
