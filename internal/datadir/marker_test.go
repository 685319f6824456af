package datadir

import (
	"log/slog"
	"path"
	"strings"
	"testing"

	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

func openAt(t *testing.T, ground *env.Test) *Dir {
	t.Helper()
	d, err := Open(Options{Env: ground.Env, Dir: "/data", NodeID: 3, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestMarker_OneStartOnly: the epoch of a stop in order is known to the next start
// and to no later one, and only when it was asked for.
func TestMarker_OneStartOnly(t *testing.T) {
	ground := env.NewTest(1)
	for _, x := range []struct{ set, want kafka.BrokerEpoch }{{7, NoBrokerEpoch}, {NoBrokerEpoch, 7}, {9, NoBrokerEpoch}, {9, 9}} {
		d := openAt(t, ground)
		if got := d.PreviousEpoch(); got != x.want {
			t.Errorf("start %d: previous epoch %d, want %d", d.Identity().Starts, got, x.want)
		}
		d.SetEpoch(x.set)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMarker_CrashAndCopies: a crash leaves no marker, neither after the load nor
// before it; a marker of another start or directory, or a damaged one, is none.
func TestMarker_CrashAndCopies(t *testing.T) {
	ground := env.NewTest(1)
	d := openAt(t, ground)
	d.SetEpoch(5)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	marker, err := vfs.ReadFile(ground.FS, path.Join("/data", markerName), markerMax)
	if err != nil {
		t.Fatal(err)
	}
	d = openAt(t, ground)
	if d.PreviousEpoch() != 5 {
		t.Fatalf("previous epoch %d", d.PreviousEpoch())
	}
	d.SetEpoch(6)
	next := ground.Crash(1) // neither a copy of the old nor the new one
	_ = d.Close()
	d = openAt(t, next)
	if got := d.PreviousEpoch(); got != NoBrokerEpoch {
		t.Errorf("after a crash: previous epoch %d", got)
	}
	d.SetEpoch(6)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(next.FS, path.Join("/data", markerName), marker); err != nil {
		t.Fatal(err)
	}
	d = openAt(t, next)
	if got := d.PreviousEpoch(); got != NoBrokerEpoch {
		t.Errorf("an old marker put back: previous epoch %d", got)
	}
	_ = d.Close()
	id := Identity{DirectoryID: kafka.DirectoryID{1}, Starts: 4}
	good := encodeMarker(id, 12)
	now := id
	now.Starts++
	if got := decodeMarker(good, now); got != 12 {
		t.Errorf("a good marker gives %d", got)
	}
	other := now
	other.DirectoryID = kafka.DirectoryID{2}
	for name, got := range map[string]kafka.BrokerEpoch{
		"other directory": decodeMarker(good, other), "same start": decodeMarker(good, id),
		"damaged": decodeMarker([]byte(strings.Replace(string(good), "epoch=12", "epoch=13", 1)), now), "empty": decodeMarker(nil, now),
	} {
		if got != NoBrokerEpoch {
			t.Errorf("%s: epoch %d", name, got)
		}
	}
}

// TestUndecided_ClusterComesLater: a directory that waits for the others has no
// cluster id, keeps its proposal through crashes, and gets the id once.
func TestUndecided_ClusterComesLater(t *testing.T) {
	ground := env.NewTest(1)
	open := func(undecided bool) (*Dir, error) {
		return Open(Options{Env: ground.Env, Dir: "/data", NodeID: 3, Undecided: undecided, Log: slog.New(slog.DiscardHandler)})
	}
	d, err := open(true)
	if err != nil || !d.Identity().ClusterID.IsZero() {
		t.Fatalf("%+v, %v", d, err)
	}
	if err := d.Propose("a proposal"); err != nil {
		t.Fatal(err)
	}
	ground = ground.Crash(1)
	_ = d.Close()
	if _, err := open(false); err == nil || !strings.Contains(err.Error(), "bootstrap") {
		t.Errorf("without the other addresses: %v", err)
	}
	d, err = open(true)
	if err != nil || d.Identity().Proposal != "a proposal" {
		t.Fatalf("%+v, %v", d.Identity(), err)
	}
	if err := d.SetCluster(kafka.ClusterID{7}); err != nil {
		t.Fatal(err)
	}
	ground = ground.Crash(2)
	_ = d.Close()
	d, err = open(true)
	if err != nil || d.Identity().ClusterID != (kafka.ClusterID{7}) || d.Identity().Founded {
		t.Fatalf("%+v, %v", d.Identity(), err)
	}
	_ = d.Close()
}
