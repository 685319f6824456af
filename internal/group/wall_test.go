package group

import (
	"testing"
	"time"

	"holdfast/internal/kafka"
)

// TestExpiry_CountsByTheWallClock: what the log keeps is dated by the wall clock,
// and a time of the calls that has run ahead of it expires nothing.
func TestExpiry_CountsByTheWallClock(t *testing.T) {
	r := newRig(t, testSettings())
	const wall = kafka.Timestamp(500)
	r.m.SetWall(wall)
	r.commit(commitRequest("", -1, 7))
	if at := r.m.groups["g"].offsets["t"].partitions[0].at; at != wall {
		t.Errorf("committed at %d, want %d", at, wall)
	}
	r.advance(30 * 24 * time.Hour)
	if r.m.groups["g"] == nil {
		t.Fatal("the offset expired, and the wall clock has not moved")
	}
	r.m.SetWall(wall + millis(7*24*time.Hour))
	r.advance(time.Hour)
	if r.m.groups["g"] != nil {
		t.Error("the offset did not expire")
	}
}
