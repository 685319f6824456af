package group

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// The model: two worlds of up to three clients and one group. In the first, two
// dynamic clients; in the second, a dynamic one and two incarnations of a static
// one. Clients join, sync (the leader with an assignment for all that it was
// told), commit and leave; a commit of the first comes a generation late; somebody
// commits without being a member; the log
// commits what was appended; time goes on to the next deadline; and the shell
// crashes, which loses what is not committed. All sequences of modelDepth actions
// are tried, from an empty group and from a stable one (states that were seen
// with as many steps left are not tried again). After every action the promises
// are checked, and at the end of every path that time alone answers every call:
//
//	once      each call is answered once, or the machine owes it
//	after     SyncGroup and OffsetCommit succeed only with what is committed
//	own       SyncGroup of generation g gives what g's leader gave that member
//	one       one generation has one list of members
//	fence     nobody commits for a generation that is over, not assigned yet, or
//	          as an instance that was replaced
//	offsets   OffsetFetch gives the last commit of the log, and says what it waits for
//	retain    no offset goes while the group has members
//
// Each mutant changes one rule and must be refuted.
const modelDepth = 5

// driver is the machine as the model calls it; mutants replace parts.
type driver struct {
	join    func(m *Machine, now kafka.Timestamp, c CallID, q JoinRequest) Effects
	sync    func(m *Machine, now kafka.Timestamp, c CallID, q *wire.SyncGroupRequest) Effects
	commit  func(m *Machine, now kafka.Timestamp, c CallID, q CommitRequest) Effects
	tick    func(m *Machine, now kafka.Timestamp) Effects
	replay  func(m *Machine, l logged) error
	release func(reply Reply, committed Seq) bool
}

func honest() driver {
	return driver{
		join:    (*Machine).Join,
		sync:    (*Machine).Sync,
		commit:  (*Machine).Commit,
		tick:    (*Machine).Tick,
		replay:  apply,
		release: func(reply Reply, committed Seq) bool { return reply.After <= committed },
	}
}

// client is what a client knows.
type client struct {
	name       string
	instance   *string
	id         string
	generation int32
	list       []wire.JoinGroupResponseMember // if it leads
	call       CallID                         // that it waits for
}

// asked is a call that is not answered.
type asked struct {
	kind       string
	who        *client // nil: the one that is no member
	id         string
	generation int32
	offset     int64
	mustFail   string
}

type world struct {
	d         driver
	m         *Machine
	now       kafka.Timestamp
	log       []logged
	committed Seq
	waiting   []Reply
	calls     CallID
	open      map[CallID]asked
	clients   []*client
	newest    int32            // generation that was ever answered, in this life of the machine
	lists     map[int32]string // of each generation, in this life of the machine
	owner     *client          // of the static instance
	trace     []string
}

func modelSettings() Settings {
	s := testSettings()
	s.InitialDelay, s.OffsetRetention, s.RetentionCheck = time.Second, time.Millisecond, 8*time.Second
	return s
}

func newWorld(d driver, static bool) *world {
	w := &world{d: d, m: New(modelSettings()), now: 1000, open: map[CallID]asked{}, lists: map[int32]string{}}
	instance := "s"
	w.clients = []*client{{name: "a", generation: -1}, {name: "b", generation: -1}}
	if static {
		w.clients = []*client{{name: "a", generation: -1}, {name: "s1", instance: &instance, generation: -1}, {name: "s2", instance: &instance, generation: -1}}
	}
	w.m.Loaded(w.now)
	return w
}

var errSkip = errors.New("makes no sense here")

// label is what the leader writes into an assignment; a replaced member inherits it.
func label(generation int32, id string, instance *string) string {
	if instance != nil {
		id = *instance
	}
	return fmt.Sprintf("%d/%s", generation, id)
}

func (w *world) ask(a asked) CallID {
	w.calls++
	w.open[w.calls] = a
	if a.who != nil {
		a.who.call = w.calls
	}
	return w.calls
}

func (w *world) join(c *client) error {
	if c.call != 0 {
		return errSkip
	}
	q := joinRequest(c.id)
	q.Version, q.NewMemberID, q.InstanceID = 3, fmt.Sprintf("%s%d", c.name, w.calls), c.instance
	if c.instance != nil {
		q.Version = 9
		if c.id == "" {
			w.owner = c
		}
	}
	return w.take(w.d.join(w.m, w.now, w.ask(asked{kind: "join", who: c, id: c.id}), q))
}

func (w *world) sync(c *client) error {
	if c.call != 0 || c.generation < 0 {
		return errSkip
	}
	q := wire.NewSyncGroupRequest()
	q.Group, q.MemberID, q.InstanceID, q.Generation = "g", c.id, c.instance, c.generation
	for _, m := range c.list {
		q.GroupAssignment = append(q.GroupAssignment, wire.SyncGroupRequestGroupAssignment{MemberID: m.MemberID, MemberAssignment: []byte(label(c.generation, m.MemberID, m.InstanceID))})
	}
	return w.take(w.d.sync(w.m, w.now, w.ask(asked{kind: "sync", who: c, id: c.id, generation: c.generation}), &q))
}

func (w *world) commit(c *client) error { return w.commitOf(c, 0) }

// commitOf sends a commit that was on its way for so many generations.
func (w *world) commitOf(c *client, late int32) error {
	a := asked{kind: "commit", who: c, offset: int64(w.calls), generation: -1}
	if c != nil {
		if c.call != 0 || c.generation < 0 {
			return errSkip
		}
		if a.id, a.generation = c.id, c.generation-late; a.generation < 0 {
			return errSkip
		}
		switch {
		case a.generation < w.newest:
			a.mustFail = "its generation is over"
		case !w.assigned(c.generation) && w.m.Describe(0, "g").Value.State == "CompletingRebalance":
			a.mustFail = "its generation has no assignment"
		case c.instance != nil && w.owner != c:
			a.mustFail = "its instance was replaced"
		}
	}
	q := commitRequest(a.id, a.generation, a.offset)
	if c != nil {
		q.InstanceID = c.instance
	}
	return w.take(w.d.commit(w.m, w.now, w.ask(a), q))
}

// assigned reports whether the log has an assignment of the generation.
func (w *world) assigned(generation int32) bool {
	return slices.ContainsFunc(w.log, func(l logged) bool {
		s := groupIn(l)
		return s != nil && s.generation == generation && len(s.members) > 0
	})
}

func groupIn(l logged) *saved {
	if k, _ := decodeKey(l.Key); k.offset || l.Value == nil {
		return nil
	}
	s, _, _ := decodeGroup(l.Value)
	return &s
}

func (w *world) leave(c *client) error {
	if c.call != 0 || c.id == "" {
		return errSkip
	}
	q := wire.NewLeaveGroupRequest()
	q.Group, q.Members = "g", []wire.LeaveGroupRequestMember{{MemberID: c.id, InstanceID: c.instance}}
	return w.take(w.m.Leave(w.now, w.ask(asked{kind: "leave", who: c, id: c.id}), 5, &q))
}

func (w *world) tick() error {
	at, ok := w.m.Next()
	if !ok {
		return errSkip
	}
	w.now = max(w.now, at)
	return w.take(w.d.tick(w.m, w.now))
}

func (w *world) flush() error {
	if w.committed == w.m.seq {
		return errSkip
	}
	w.committed = w.m.seq
	return w.take(Effects{})
}

// crash loses the machine and what is not committed; clients learn that the
// coordinator is gone, and keep what they know.
func (w *world) crash() error {
	w.log = slices.DeleteFunc(w.log, func(l logged) bool { return l.seq > w.committed })
	m := New(modelSettings())
	for _, l := range w.log {
		if err := w.d.replay(m, l); err != nil {
			return err
		}
	}
	for _, a := range w.open {
		if a.who != nil {
			a.who.call = 0
		}
	}
	m.seq = w.committed
	w.m, w.waiting, w.open, w.lists, w.newest = m, nil, map[CallID]asked{}, map[int32]string{}, 0
	for _, l := range w.log {
		if s := groupIn(l); s != nil {
			w.newest = s.generation
		}
	}
	w.owner = nil // a replacement that is not in the log did not happen
	for _, c := range w.clients {
		if g := m.groups["g"]; c.instance != nil && g != nil && g.static["s"] != nil && g.static["s"].id == c.id {
			w.owner = c
		}
	}
	return w.take(m.Loaded(w.now))
}

// take appends the records, releases what may be released, and checks.
func (w *world) take(e Effects) error {
	for _, r := range e.Records {
		w.log = append(w.log, logged{r, e.Seq, w.now})
		k, _ := decodeKey(r.Key)
		if !k.offset && r.Value == nil { // the group is gone; one of its name begins anew
			w.newest, w.lists = 0, map[int32]string{}
		}
		if k.offset && r.Value == nil {
			if s := w.m.Describe(0, "g").Value.State; s != "Empty" && s != "Dead" {
				return fmt.Errorf("retain: an offset is deleted while the group is %s", s)
			}
		}
	}
	for _, reply := range e.Replies {
		if j, ok := reply.Response.(*wire.JoinGroupResponse); ok && j.ErrorCode == 0 {
			w.newest = max(w.newest, j.Generation)
		}
	}
	w.waiting = append(w.waiting, e.Replies...)
	var kept []Reply
	for _, reply := range w.waiting {
		if !w.d.release(reply, w.committed) {
			kept = append(kept, reply)
			continue
		}
		if err := w.answered(reply); err != nil {
			return err
		}
	}
	w.waiting = kept
	return w.check()
}

func (w *world) answered(reply Reply) error {
	a, open := w.open[reply.Call]
	if !open {
		return fmt.Errorf("once: call %d is answered again", reply.Call)
	}
	delete(w.open, reply.Call)
	if a.who != nil && a.who.call == reply.Call {
		a.who.call = 0
	}
	switch r := reply.Response.(type) {
	case *wire.JoinGroupResponse:
		return w.joined(a, r)
	case *wire.SyncGroupResponse:
		if r.ErrorCode == 0 {
			return w.synced(a, r)
		}
		a.who.lost(kafka.ErrorCode(r.ErrorCode))
	case *wire.OffsetCommitResponse:
		code := kafka.ErrorCode(r.Topics[0].Partitions[0].ErrorCode)
		if code == kafka.ErrNone {
			return w.wasCommitted(a)
		}
		if a.who != nil {
			a.who.lost(code)
		}
	case *wire.LeaveGroupResponse:
		a.who.lost(kafka.ErrUnknownMemberID)
	}
	return nil
}

// lost is what a client does with an error.
func (c *client) lost(code kafka.ErrorCode) {
	if code == kafka.ErrUnknownMemberID {
		c.id, c.generation, c.list = "", -1, nil
	}
}

func (w *world) joined(a asked, r *wire.JoinGroupResponse) error {
	if r.ErrorCode != 0 {
		a.who.lost(kafka.ErrorCode(r.ErrorCode))
		return nil
	}
	a.who.id, a.who.generation, a.who.list = r.MemberID, r.Generation, nil
	if len(r.Members) == 0 || r.SkipAssignment {
		return nil
	}
	a.who.list = r.Members
	var labels []string
	for _, m := range r.Members {
		labels = append(labels, label(0, m.MemberID, m.InstanceID))
	}
	list := strings.Join(labels, " ")
	if before, twice := w.lists[r.Generation]; twice && before != list {
		return fmt.Errorf("one: generation %d has members %s and %s", r.Generation, before, list)
	}
	w.lists[r.Generation] = list
	return nil
}

func (w *world) synced(a asked, r *wire.SyncGroupResponse) error {
	want := label(a.generation, a.id, a.who.instance)
	if got := string(r.MemberAssignment); got != want {
		return fmt.Errorf("own: %s of generation %d gets %q", a.id, a.generation, got)
	}
	there := slices.ContainsFunc(w.log, func(l logged) bool {
		s := groupIn(l)
		return l.seq <= w.committed && s != nil && slices.ContainsFunc(s.members, func(m savedMember) bool { return string(m.assignment) == want })
	})
	if !there {
		return fmt.Errorf("after: %s has %q, which is not committed", a.id, want)
	}
	return nil
}

func (w *world) wasCommitted(a asked) error {
	if a.mustFail != "" {
		return fmt.Errorf("fence: %s commits for generation %d, but %s", a.id, a.generation, a.mustFail)
	}
	for _, l := range w.log {
		if k, _ := decodeKey(l.Key); k.offset && l.Value != nil && l.seq <= w.committed {
			if c, _, _ := decodeOffset(l.Value); c.offset == kafka.Offset(a.offset) {
				return nil
			}
		}
	}
	return fmt.Errorf("after: offset %d is acknowledged and not committed", a.offset)
}

func (w *world) check() error {
	owed := w.m.Owed()
	for call, a := range w.open {
		waits := slices.ContainsFunc(w.waiting, func(r Reply) bool { return r.Call == call })
		if !waits && !slices.Contains(owed, call) {
			return fmt.Errorf("once: the %s of %s is forgotten", a.kind, a.id)
		}
	}
	want, at := int64(-1), Seq(0)
	for _, l := range w.log {
		if k, _ := decodeKey(l.Key); k.offset {
			want, at = -1, l.seq
			if l.Value != nil {
				c, _, _ := decodeOffset(l.Value)
				want = int64(c.offset)
			}
		}
	}
	read := w.m.Fetch(wire.OffsetFetchRequestGroup{Group: "g", Topics: []wire.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}}}, false)
	if got := read.Value.Topics[0].Partitions[0].Offset; got != want {
		return fmt.Errorf("offsets: OffsetFetch gives %d, the log %d", got, want)
	}
	if read.After < at {
		return fmt.Errorf("offsets: OffsetFetch waits for %d, its offset is in %d", read.After, at)
	}
	return nil
}

// settle lets time and the log go on until nobody has any more to say.
func (w *world) settle() error {
	for range 60 {
		if len(w.open) == 0 {
			return nil
		}
		if err := w.flush(); err != nil && err != errSkip {
			return err
		}
		if err := w.tick(); err != nil && err != errSkip {
			return err
		}
	}
	for _, a := range w.open {
		return fmt.Errorf("once: the %s of %s is never answered", a.kind, a.id)
	}
	return nil
}

// fingerprint is all that decides what can happen next; times are relative.
func (w *world) fingerprint() string {
	var b strings.Builder
	for _, g := range w.m.groups {
		fmt.Fprintf(&b, "%s %v %v %d %s %d|", g.phase, g.initial, g.joinedMore, g.generation, g.leader, g.deadline.due-w.now)
		for m := g.first; m != nil; m = m.next {
			fmt.Fprintf(&b, "%s %v %v %v %v %d %q|", m.id, m.fresh, m.owesSync, m.join.set, m.sync.set, m.session.due-w.now, m.assignment)
		}
		fmt.Fprintf(&b, "%v|", len(g.offsets))
	}
	for _, c := range w.clients {
		a := w.open[c.call]
		fmt.Fprintf(&b, "%s %s %d %d %s %d %s|", c.name, c.id, c.generation, len(c.list), a.kind, a.generation, a.mustFail)
	}
	fmt.Fprintf(&b, "%d %d %d %d", w.newest, w.m.seq-w.committed, len(w.waiting), w.m.nextCheck-w.now)
	for _, r := range w.waiting {
		fmt.Fprintf(&b, "|%d %d %x", w.m.seq-r.After, r.Response.Key(), r.Response.Append(nil, 0))
	}
	for _, l := range w.log {
		if l.seq > w.committed {
			fmt.Fprintf(&b, "|%x", l.Key)
		}
	}
	return b.String()
}

// actions are what can happen, by name; the client's place is in the name's number.
func (w *world) act(i int) (string, error) {
	n := len(w.clients)
	if i < 4*n {
		c := w.clients[i%n]
		switch i / n {
		case 0:
			return "join " + c.name, w.join(c)
		case 1:
			return "sync " + c.name, w.sync(c)
		case 2:
			return "commit " + c.name, w.commit(c)
		default:
			return "leave " + c.name, w.leave(c)
		}
	}
	switch i - 4*n {
	case 0:
		return "time", w.tick()
	case 1:
		return "log", w.flush()
	case 2:
		return "crash", w.crash()
	case 3:
		return "commit of nobody", w.commit(nil)
	default:
		return "late commit " + w.clients[0].name, w.commitOf(w.clients[0], 1)
	}
}

func (w *world) actions() int { return 4*len(w.clients) + 5 }

// explorer tries all paths by running each from its start again.
type explorer struct {
	d      driver
	static bool
	prefix []int
	seen   map[string]int // steps left when it was seen
	steps  int
}

func (x *explorer) run(path []int) (*world, error) {
	w := newWorld(x.d, x.static)
	for _, a := range append(slices.Clone(x.prefix), path...) {
		x.steps++
		name, err := w.act(a)
		w.trace = append(w.trace, name)
		if err != nil {
			return w, err
		}
	}
	return w, nil
}

func (x *explorer) explore(path []int) error {
	w, err := x.run(path)
	if err == errSkip {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w\n\tafter %s", err, strings.Join(w.trace, ", "))
	}
	left := modelDepth - len(path)
	state := w.fingerprint()
	if before, seen := x.seen[state]; seen && before >= left {
		return nil
	}
	x.seen[state] = left
	n := w.actions()
	if err := w.settle(); err != nil {
		return fmt.Errorf("%w\n\tafter %s", err, strings.Join(w.trace, ", "))
	}
	for a := 0; a < n && left > 0; a++ {
		if err := x.explore(append(path[:len(path):len(path)], a)); err != nil {
			return err
		}
	}
	return nil
}

// The prefixes, in numbers of actions: a joins, the others join, time ends the
// initial delay, they sync, the leader last, the log commits.
var (
	dynamicStable = []int{0, 1, 8, 8, 3, 2, 9}
	staticStable  = []int{0, 1, 12, 12, 4, 3, 13}
)

func exploreAll(d driver) (steps, states int, err error) {
	for _, x := range []*explorer{
		{d: d}, {d: d, prefix: dynamicStable},
		{d: d, static: true}, {d: d, static: true, prefix: staticStable},
	} {
		x.seen = map[string]int{}
		err := x.explore(nil)
		steps, states = steps+x.steps, states+len(x.seen)
		if err != nil {
			return steps, states, err
		}
	}
	return steps, states, nil
}

func TestMachine_Model(t *testing.T) {
	steps, states, err := exploreAll(honest())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d states in %d steps", states, steps)
	if states < 5000 {
		t.Errorf("only %d states: a prefix makes no sense any more", states)
	}
}
