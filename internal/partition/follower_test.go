package partition_test

import (
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/record"
)

// onlyFirst leaves the first batch of an answer.
func (f fetching) onlyFirst() fetching {
	h, err := record.ParseHeader(f.answer.Records)
	f.n.c.must(err)
	f.answer.Records = f.answer.Records[:h.Size()]
	return f
}

// What was durable before a cut is not, when other bytes stand there.
func TestFollower_ACutTakesTheDurableEndBack(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a, b)
	a.produce("x")
	c.catchUp(b)
	a.produce("gone")
	a.produce("gone, too")
	a.flush()
	c.elect(b, b)
	b.produce("y")
	b.flush()
	a.fetch() // cut
	if o := a.Offsets(); o.Durable != 1 || o.LogEnd != 1 {
		t.Fatalf("%+v", o)
	}
	a.fetch()
	a.fetch()
	if p, ok := a.Progress(); !ok || p.Durable != 1 {
		t.Errorf("unflushed, it reports %+v, %v", p, ok)
	}
	a.flush()
	if p, _ := a.Progress(); p.Durable != 2 {
		t.Errorf("flushed, it reports %+v", p)
	}
}

// A follower whose records were all deleted at the leader, and whose epochs the
// leader does not know any more, is told to begin anew. Comparing epochs first, it
// would be told to cut what it knows to be committed.
func TestFollower_BelowTheLogStartBeginsAnew(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a, b)
	a.produce("x")
	a.produce("y")
	c.catchUp(b)
	b.kill()
	c.elect(a, a)
	for range 3 {
		a.produce("z")
	}
	a.flush()
	if _, code := a.DeleteRecords(4); code != kafka.ErrNone {
		t.Fatal(code)
	}
	b.start()
	if f := b.ask(); f.answer.Code != kafka.ErrOffsetOutOfRange {
		t.Errorf("B is answered %+v", f.answer)
	}
	c.catchUp(b)
	b.wantHolds("z@2")
	if err := b.Err(); err != nil {
		t.Error(err)
	}
}

// The leader knows no epoch as old as the follower's last one; above the log start
// the follower keeps what it has below the first that the leader knows.
func TestFollower_OfAnEpochBeforeAllOfTheLeaders(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(b, a, b)
	b.produce("x")
	b.produce("y")
	c.catchUp(a)
	b.produce("gone")
	b.flush()
	c.elect(a, a)
	a.produce("z")
	a.flush()
	if _, code := a.DeleteRecords(2); code != kafka.ErrNone {
		t.Fatal(code)
	}
	b.wantHolds("x@1 y@1 gone@1")
	c.catchUp(b)
	b.wantHolds("z@2")
	if err := b.Err(); err != nil {
		t.Error(err)
	}
}

// A fetch from a position that does not match says nothing about what the follower
// has: in page-cache mode it would count.
func TestLeader_CountsNoFetchThatDiverges(t *testing.T) {
	c := newCluster(t, "AB", 1)
	c.settings.Durability = config.DurabilityPageCache
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a, b)
	a.produce("x")
	b.fetch()
	b.fetch()
	a.wantHigh(1)
	a.produce("gone")
	c.elect(b)
	kept := b.produce("kept")
	a.ask() // at 2, of another record at 1
	kept.want(waits)
	b.wantHigh(1)
}

// What the journal says of the high watermark is a proof of loss for a log that ends
// below it. A follower that lags hears of one above its end.
func TestFollower_LagsAndLosesPower(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a, b := c.nodes[0], c.nodes[1]
	c.elect(a, a)
	for range 4 {
		a.produce("x")
	}
	a.flush()
	for i := range kafka.Offset(3) {
		c.must(b.ask().onlyFirst().arrive())
		b.wantHigh(i + 1)
		b.flush()
	}
	c.must(b.ask().onlyFirst().arrive())
	b.wantHigh(4)
	b.powerCut() // the fourth record was not flushed
	b.open()
	if high, lost := b.Lost(); lost {
		t.Errorf("B says that it lost what was below %d; it ends at %d", high, b.Log().End())
	}
	b.wantHolds("x@1 x@1 x@1")
}

// The epoch of a leadership is in the log from its beginning, where there are
// followers to ask for it, and not where there are none.
func TestLeader_NotesItsEpoch(t *testing.T) {
	c := newCluster(t, "AB", 1)
	a := c.nodes[0]
	c.elect(a, a)
	if got := a.Log().LastEpoch(); got != 1 {
		t.Errorf("epoch %d", got)
	}
	alone := newCluster(t, "A", 1)
	alone.elect(alone.nodes[0], alone.nodes[0])
	if got := alone.nodes[0].Log().LastEpoch(); got != kafka.NoLeaderEpoch {
		t.Errorf("without followers: epoch %d", got)
	}
}
