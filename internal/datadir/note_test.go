package datadir

import (
	"log/slog"
	"testing"

	"holdfast/internal/env"
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
)

// noteGround is a directory with two logs of one batch each.
type noteGround struct {
	t      *testing.T
	ground *env.Test
	d      *Dir
	logs   [2]*log.Log
}

func newNoteGround(t *testing.T) *noteGround {
	g := &noteGround{t: t, ground: env.NewTest(1)}
	g.open()
	t.Cleanup(func() { _ = g.d.Close() })
	g.write(0)
	g.write(1)
	return g
}

func (g *noteGround) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *noteGround) open() {
	g.t.Helper()
	var err error
	g.d, err = Open(Options{Env: g.ground.Env, Dir: "/data", NodeID: kafka.NoBroker, Log: slog.New(slog.DiscardHandler)})
	g.must(err)
	for i := range g.logs {
		topic, id := topicOf(i)
		g.logs[i], _, err = g.d.OpenLog(topic, id, smallConfig())
		g.must(err)
	}
}

// write appends a batch to a log and waits for its flush.
func (g *noteGround) write(i int) {
	g.t.Helper()
	g.must(appendLife(g.d, g.logs[i], &reported{}, 0, 0))
	g.must(g.d.Barrier(g.d.ctx))
}

func (g *noteGround) crash() {
	g.t.Helper()
	g.ground = g.ground.Crash(1)
	_ = g.d.Close()
	g.open()
}

func (g *noteGround) want(high, end kafka.Offset) {
	g.t.Helper()
	if got := g.d.HighWatermark(g.logs[0].Key()); got != high {
		g.t.Errorf("high watermark %d, want %d", got, high)
	}
	if got := g.logs[0].End(); got != end {
		g.t.Errorf("the log ends at %d, want %d", got, end)
	}
}

// A high watermark that no append of its log carries is known after a crash: with
// the next round, which is another log's, or with the next checkpoint. It costs no
// record, also not one that is in the same round.
func TestNote(t *testing.T) {
	g := newNoteGround(t)
	g.d.Note(g.logs[0], 1)
	g.crash()
	g.want(0, 1) // nothing was written since
	g.d.Note(g.logs[0], 1)
	g.write(1)
	g.crash()
	g.want(1, 1)
	g.crash() // and once more, after the rounds that said so
	g.want(1, 1)

	g.d.Note(g.logs[0], 1)
	g.write(0)
	g.d.Note(g.logs[0], 2)
	_ = g.d.Checkpoint(g.d.ctx)
	g.crash()
	g.want(2, 2)
	g.write(0)
	g.d.Note(g.logs[0], 3)
	g.must(appendLife(g.d, g.logs[0], &reported{}, 0, 0))
	g.must(g.d.Barrier(g.d.ctx))
	g.crash()
	g.want(3, 4)
}

// The rounds that note a high watermark are given back only when it is stored.
func TestNote_OutlivesItsRounds(t *testing.T) {
	g := newNoteGround(t)
	_ = g.d.Checkpoint(g.d.ctx)
	g.d.Note(g.logs[0], 1)
	g.write(1)
	for range 3 {
		_ = g.d.Checkpoint(g.d.ctx)
		g.write(1)
	}
	g.crash()
	g.want(1, 1)
}

// A cut takes back what was noted above it, a removal all of it.
func TestNotedHigh(t *testing.T) {
	a, b := journal.Key{Generation: 1}, journal.Key{Generation: 2}
	note := func(k journal.Key, high kafka.Offset) journal.Entry {
		return journal.Entry{Kind: journal.Fence, Key: k, Base: noteBase, HighWatermark: high}
	}
	fence := func(k journal.Key, at kafka.Offset) journal.Entry {
		return journal.Entry{Kind: journal.Fence, Key: k, Base: at}
	}
	got := notedHigh([]journal.Entry{note(a, 5), note(b, 9), note(a, 3), fence(a, 4), fence(b, 0), note(b, 2)})
	if got[a] != 4 || got[b] != 2 {
		t.Errorf("%v", got)
	}
}
