package env_test

import (
	"bytes"
	"errors"
	"testing"

	"holdfast/internal/env"
	"holdfast/internal/vfs"
)

func TestNewReal_EverythingIsSet(t *testing.T) {
	e := env.NewReal()
	if e.Clock == nil || e.FS == nil || e.Net == nil || e.Rand == nil {
		t.Fatalf("%+v", e)
	}
	one, other := make([]byte, 32), make([]byte, 32)
	e.Rand.Read(one)
	e.Rand.Read(other)
	if bytes.Equal(one, other) || e.Rand.Uint64() == e.Rand.Uint64() {
		t.Error("the randomness repeats itself")
	}
}

func TestNewTest_RandomnessFollowsTheSeed(t *testing.T) {
	draw := func(seed uint64) string {
		p := make([]byte, 21)
		env.NewTest(seed).Rand.Read(p)
		return string(p)
	}
	if draw(1) != draw(1) || draw(1) == draw(2) {
		t.Error("want the same numbers from one seed and others from another")
	}
}

func TestTest_CrashAndKillRestartOnTheSameDisk(t *testing.T) {
	first := env.NewTest(1)
	if err := vfs.WriteFile(first.FS, "/f", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	second := first.Kill(2)
	third := second.Crash(3)
	for _, dead := range []*env.Test{first, second} {
		if _, err := dead.FS.Stat("/f"); !errors.Is(err, vfs.ErrCrashed) {
			t.Errorf("the old ground: %v", err)
		}
	}
	if got, err := vfs.ReadFile(third.FS, "/f", 100); err != nil || string(got) != "kept" {
		t.Errorf("%q, %v", got, err)
	}
	if third.FS != vfs.FS(third.Disk) || third.Network != first.Network {
		t.Error("the handles are not those of the ground")
	}
}

func TestTest_HostsShareTheNetworkAndNothingElse(t *testing.T) {
	world := env.NewTest(1)
	a, b := world.Host("a", 10), world.Host("b", 11)
	l, err := a.Net.Listen("a:9092")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := b.Net.Dial("a:9092", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if a.Disk == b.Disk || a.Rand.Uint64() == b.Rand.Uint64() {
		t.Error("hosts share a disk or randomness")
	}
}
