package founding

// Goal: brokers with empty directories found one cluster and never a second one
// beside it, whatever they hear late, whoever crashes, and whoever's disk is
// replaced (DESIGN: founding and joining).
//
// Bounds: three brokers with one list (and four other ways to give lists), every
// order of: one broker asks another (it keeps the answer, however old it gets, until
// it crashes), one decides and stores, one crashes, up to two disks are replaced by
// empty ones. All reachable states.
//
// Checked in every state: who founds has a vote; before the first founding of a
// cluster every voter had stored its proposal; a cluster is never founded while a
// directory holds another one that was founded. And from every state without a
// replaced disk, asking and deciding leads every broker into the same cluster.

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/kafka"
)

const brokers = 3

// dir is a directory in the model: broker*4 + its generation, 0 is none.
type dir uint8

// plan is a proposal in the model.
type plan struct {
	cluster  uint8
	proposer uint8
	voters   [brokers]dir
}

// told is what one broker shows.
type told struct {
	dir   dir
	phase Phase
	plan  plan // its cluster is also that of a founded directory without a plan
}

// world is everything; two equal worlds are one state.
type world struct {
	now      [brokers]told
	seen     [brokers][brokers]told // dir 0: not asked since the start
	clusters uint8                  // ids drawn so far
	wiped    uint8
	founded  uint8     // bit per cluster id
	held     [4]uint16 // by cluster id: directories that ever stored its proposal
}

func bit(d dir) uint16 { return 1 << d }

// lists says which addresses each broker was started with.
type lists [brokers][]int

type rules struct {
	decide func(State, []Answer) Decision
	// volatile: a proposer forgets its own proposal in a crash.
	volatile bool
	// drops: a proposal whose directories are gone is forgotten.
	drops bool
}

type model struct {
	lists lists
	rules rules
	crash bool
	wipes uint8
}

func address(i int) string { return fmt.Sprintf("broker%d:9092", i) }

func (m *model) addresses(i int) []string {
	var out []string
	for _, j := range m.lists[i] {
		out = append(out, address(j))
	}
	return Canonical(out)
}

func clusterID(n uint8) kafka.ClusterID {
	if n == 0 {
		return kafka.ClusterID{}
	}
	return kafka.ClusterID{15: n}
}

func directoryID(d dir) kafka.DirectoryID { return kafka.DirectoryID{15: byte(d)} }

func (m *model) state(i int, t told) State {
	s := State{Broker: kafka.BrokerID(i), Directory: directoryID(t.dir), Addresses: m.addresses(i), Phase: t.phase}
	if t.phase == Founded {
		s.ClusterID = clusterID(t.plan.cluster)
	}
	if t.plan.voters != [brokers]dir{} {
		s.Proposal = Proposal{ClusterID: clusterID(t.plan.cluster), Proposer: kafka.BrokerID(t.plan.proposer)}
		for _, d := range t.plan.voters {
			if d != 0 {
				s.Proposal.Voters = append(s.Proposal.Voters, Voter{Broker: kafka.BrokerID(d / 4), Directory: directoryID(d)})
			}
		}
	}
	return s
}

func planOf(p Proposal) plan {
	out := plan{cluster: p.ClusterID[15], proposer: uint8(p.Proposer)}
	for i, v := range p.Voters {
		out.voters[i] = dir(v.Directory[15])
	}
	return out
}

func (m *model) start() world {
	var w world
	for i := range w.now {
		w.now[i].dir = dir(i*4 + 1)
	}
	return w
}

// decision is what a broker would do now.
func (m *model) decision(w world, i int) Decision {
	var answers []Answer
	for _, j := range m.lists[i] {
		a := Answer{Address: address(j)}
		switch {
		case j == i:
			a.State = m.state(i, w.now[i])
		case w.seen[i][j].dir == 0:
			a.Silent = "no answer"
		default:
			a.State = m.state(j, w.seen[i][j])
		}
		answers = append(answers, a)
	}
	return m.rules.decide(m.state(i, w.now[i]), answers)
}

// act carries the decision of a broker out. The error is a broken promise.
func (m *model) act(w world, i int) (world, string, error) {
	d := m.decision(w, i)
	me := &w.now[i]
	what := fmt.Sprintf("broker %d: %s", i, d.Action)
	switch d.Action {
	case Wait:
		if m.rules.drops && strings.Contains(d.Reason, "which is gone") {
			me.phase, me.plan = Empty, plan{}
			return w, fmt.Sprintf("broker %d drops its proposal", i), nil
		}
		return w, "", nil
	case Propose:
		if w.clusters == 3 {
			return w, "", nil
		}
		w.clusters++
		me.phase, me.plan = Proposed, planOf(Proposal{ClusterID: clusterID(w.clusters), Proposer: kafka.BrokerID(i), Voters: d.Voters})
		w.held[w.clusters] |= bit(me.dir)
	case Adopt:
		me.phase, me.plan = Proposed, planOf(d.Proposal)
		w.held[me.plan.cluster] |= bit(me.dir)
	case Found:
		me.phase, me.plan = Founded, planOf(d.Proposal)
		if err := w.mayFound(me); err != nil {
			return w, what, err
		}
		w.founded |= 1 << me.plan.cluster
	case Join:
		me.phase, me.plan = Founded, plan{cluster: d.ClusterID[15]}
		w.held[me.plan.cluster] |= bit(me.dir)
	}
	return w, fmt.Sprintf("%s, cluster %d", what, me.plan.cluster), nil
}

func (w world) mayFound(me *told) error {
	if !slices.Contains(me.plan.voters[:], me.dir) {
		return fmt.Errorf("directory %d founds cluster %d and has no vote in it", me.dir, me.plan.cluster)
	}
	for _, v := range me.plan.voters {
		if v != 0 && w.held[me.plan.cluster]&bit(v) == 0 {
			return fmt.Errorf("cluster %d is founded before directory %d has stored its proposal", me.plan.cluster, v)
		}
	}
	for _, other := range w.now {
		for c := range w.held {
			if uint8(c) != me.plan.cluster && w.founded&(1<<c) != 0 && w.held[c]&bit(other.dir) != 0 {
				return fmt.Errorf("cluster %d is founded beside cluster %d, of which directory %d is left", me.plan.cluster, c, other.dir)
			}
		}
	}
	return nil
}

type edge struct {
	next world
	what string
	err  error
}

func (m *model) edges(w world) (out []edge) {
	for i := range w.now {
		if w.now[i].phase != Founded { // who is in does not ask any more
			for _, j := range m.lists[i] {
				if j != i && w.seen[i][j] != w.now[j] {
					n := w
					n.seen[i][j] = w.now[j]
					out = append(out, edge{n, fmt.Sprintf("broker %d asks broker %d (%s)", i, j, w.now[j].phase), nil})
				}
			}
			if n, what, err := m.act(w, i); what != "" {
				out = append(out, edge{n, what, err})
			}
		}
		if n := w.crashed(i, m.rules.volatile); m.crash && n != w {
			out = append(out, edge{n, fmt.Sprintf("broker %d crashes", i), nil})
		}
		// Who names only itself founds alone, also on a new disk: it asks nobody.
		if w.wiped < m.wipes && w.now[i].dir%4 < 3 && len(m.lists[i]) > 1 {
			n := w.crashed(i, false)
			n.now[i], n.wiped = told{dir: w.now[i].dir + 1}, w.wiped+1
			out = append(out, edge{n, fmt.Sprintf("the disk of broker %d is replaced", i), nil})
		}
	}
	return out
}

func (w world) crashed(i int, forgets bool) world {
	w.seen[i] = [brokers]told{}
	if forgets && w.now[i].phase == Proposed && w.now[i].plan.proposer == uint8(i) {
		w.now[i].phase, w.now[i].plan = Empty, plan{}
		for c := range w.held {
			w.held[c] &^= bit(w.now[i].dir)
		}
	}
	return w
}

// settles lets everybody ask and decide until nothing changes, and reports whether
// all belong to one cluster.
func (m *model) settles(w world) error {
	for range 12 {
		for i := range w.now {
			if w.now[i].phase == Founded {
				continue
			}
			for _, j := range m.lists[i] {
				w.seen[i][j] = w.now[j]
			}
			next, _, err := m.act(w, i)
			if err != nil {
				return err
			}
			w = next
		}
	}
	for i := range w.now {
		if w.now[i].phase != Founded || w.now[i].plan.cluster != w.now[0].plan.cluster {
			return fmt.Errorf("the brokers do not come together: broker %d is %s of cluster %d, broker 0 %s of cluster %d, and says %q",
				i, w.now[i].phase, w.now[i].plan.cluster, w.now[0].phase, w.now[0].plan.cluster, m.decision(w, i).Reason)
		}
	}
	return nil
}

// explore visits every reachable state and returns the first broken promise with
// the way to it.
func (m *model) explore(mustSettle bool) (states int, err error) {
	type step struct {
		from world
		what string
	}
	first := m.start()
	came := map[world]step{first: {}}
	queue := []world{first}
	trace := func(w world, last string) string {
		list := []string{last}
		for w != first {
			s := came[w]
			list = append(list, s.what)
			w = s.from
		}
		slices.Reverse(list)
		for i := range list {
			list[i] = fmt.Sprintf("  %d. %s", i+1, list[i])
		}
		return strings.Join(list, "\n")
	}
	for len(queue) > 0 {
		w := queue[0]
		queue = queue[1:]
		if mustSettle && w.wiped == 0 {
			if err := m.settles(w); err != nil {
				return len(came), fmt.Errorf("%w\n%s", err, trace(w, "everybody asks and decides"))
			}
		}
		for _, e := range m.edges(w) {
			if e.err != nil {
				return len(came), fmt.Errorf("%w\n%s", e.err, trace(w, e.what))
			}
			if _, known := came[e.next]; !known {
				came[e.next] = step{w, e.what}
				queue = append(queue, e.next)
			}
		}
	}
	return len(came), nil
}

var all = lists{{0, 1, 2}, {0, 1, 2}, {0, 1, 2}}

func TestDecide_FoundsOneCluster(t *testing.T) {
	for _, x := range []struct {
		name    string
		lists   lists
		settles bool
		wipes   uint8
	}{
		{"one list", all, true, 2},
		{"two name themselves, the third names all", lists{{0, 1, 2}, {1, 2}, {1, 2}}, true, 1},
		{"one founds alone, two name it", lists{{0}, {0, 1}, {0, 2}}, true, 1},
		{"one founds alone, two name all", lists{{0}, {0, 1, 2}, {0, 1, 2}}, true, 1},
		{"everybody has another list", lists{{0, 1}, {1, 2}, {0, 1, 2}}, false, 1},
	} {
		m := model{lists: x.lists, rules: rules{decide: Decide}, crash: x.wipes < 2, wipes: x.wipes}
		states, err := m.explore(x.settles)
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
		t.Logf("%s: %d states", x.name, states)
	}
}

// mutants are wrong rules. Each is written as the right rule that is told something
// else, or whose answer is changed.
var mutants = map[string]struct {
	rules rules
	lists lists
	wipes uint8
}{
	"a silent address counts as empty": {rules{decide: func(self State, answers []Answer) Decision {
		return Decide(self, slices.DeleteFunc(answers, func(a Answer) bool { return a.Silent != "" }))
	}}, all, 2},
	"a founded directory counts as empty": {rules{decide: func(self State, answers []Answer) Decision {
		for i := range answers {
			if answers[i].State.Phase == Founded {
				answers[i].State.Phase, answers[i].State.Proposal = Empty, Proposal{}
			}
		}
		return Decide(self, answers)
	}}, all, 1},
	"a proposal is taken though a directory that it names is gone": {rules{decide: func(self State, answers []Answer) Decision {
		for _, a := range answers {
			for _, v := range a.State.Proposal.Voters {
				for i := range answers {
					if answers[i].State.Broker == v.Broker && answers[i].State.Phase != Founded {
						answers[i].State.Directory = v.Directory
					}
				}
				if v.Broker == self.Broker {
					self.Directory = v.Directory
				}
			}
		}
		return Decide(self, answers)
	}}, all, 1},
	"a majority that has stored the proposal is enough": {rules{decide: func(self State, answers []Answer) Decision {
		d, n := Decide(self, answers), 0
		for _, a := range answers {
			if a.Silent == "" && a.State.Phase == Proposed && a.State.Proposal.Equal(self.Proposal) {
				n++
			}
		}
		if d.Action == Wait && self.Phase == Proposed && n >= 2 {
			return Decision{Action: Found, Proposal: self.Proposal}
		}
		return d
	}}, all, 1},
	"the proposer founds at once": {rules{decide: func(self State, answers []Answer) Decision {
		if self.Phase == Proposed && self.Proposal.Proposer == self.Broker {
			return Decision{Action: Found, Proposal: self.Proposal}
		}
		return Decide(self, answers)
	}}, all, 1},
	"everybody may propose": {rules{decide: func(self State, answers []Answer) Decision {
		d := Decide(self, answers)
		if strings.Contains(d.Reason, "proposes the cluster") {
			var present []State
			for _, a := range answers {
				present = append(present, a.State)
			}
			return Decision{Action: Propose, Voters: votersOf(present)}
		}
		return d
	}}, all, 1},
	"another proposal takes the place of the own one": {rules{decide: func(self State, answers []Answer) Decision {
		for _, a := range answers {
			if a.Silent == "" && self.Phase == Proposed && a.State.Phase == Proposed && !a.State.Proposal.Equal(self.Proposal) {
				return Decision{Action: Adopt, Proposal: a.State.Proposal}
			}
		}
		return Decide(self, answers)
	}}, all, 1},
	"a proposal is dropped when a directory that it names is gone": {rules{decide: Decide, drops: true}, all, 2},
	"lists are not compared": {rules{decide: func(self State, answers []Answer) Decision {
		for i := range answers {
			answers[i].State.Addresses = self.Addresses
		}
		return Decide(self, answers)
	}}, lists{{0, 1, 2}, {1, 2}, {1, 2}}, 1},
	"a proposal is shown before it is durable": {rules{decide: Decide, volatile: true}, all, 1},
}

func TestDecide_MutantsAreRefuted(t *testing.T) {
	for name, x := range mutants {
		m := model{lists: x.lists, rules: x.rules, crash: x.wipes < 2, wipes: x.wipes}
		states, err := m.explore(x.wipes < 2)
		if err == nil {
			t.Errorf("the wrong rule %q is not refuted in %d states", name, states)
			continue
		}
		t.Logf("%s, after %d states: %v", name, states, err)
	}
}
