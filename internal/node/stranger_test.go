package node_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"holdfast/internal/lifecycle"
)

// TestStart_DirectoryOfAnotherCluster: a founded directory that is pointed at a
// running cluster is refused, in words that name both, and is as it was.
func TestStart_DirectoryOfAnotherCluster(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFlock(t, 7, 4)
		stranger := f.boxes[3]
		stranger.alone = true
		if err := stranger.start(context.Background()); err != nil {
			t.Fatal(err)
		}
		own := stranger.node.Identity()
		if err := stranger.stop(); err != nil {
			t.Fatal(err)
		}
		f.boxes = f.boxes[:3]
		f.startAll()
		defer f.stopAll()
		theirs := f.boxes[0].node.Identity().ClusterID
		stranger.alone = false
		began := time.Now()
		err := stranger.start(context.Background())
		var foreign *lifecycle.ForeignClusterError
		if !errors.As(err, &foreign) {
			t.Fatalf("start: %v", err)
		}
		for _, word := range []string{dataDir, own.ClusterID.String(), theirs.String(), foreign.Address, "directory of its own"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q is not in: %v", word, err)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("refused after %v", took)
		}
		var nc net.Conn
		if nc, err = f.world.Network.Host("client").Dial(stranger.address(), time.Second); err == nil {
			_ = nc.Close()
			t.Error("it still listens")
		}
		stranger.alone = true
		if err := stranger.start(context.Background()); err != nil {
			t.Fatalf("alone again: %v", err)
		}
		defer func() { _ = stranger.stop() }()
		if got := stranger.node.Identity(); got.ClusterID != own.ClusterID || got.DirectoryID != own.DirectoryID {
			t.Errorf("the directory was %+v and is %+v", own, got)
		}
	})
}

// TestStart_AllAtOnceDoNotWaitForEachOther: brokers that ask each other at their
// start answer each other as well, although none of them serves anything yet.
func TestStart_AllAtOnceDoNotWaitForEachOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFlock(t, 8, 3)
		f.startAll()
		defer f.stopAll()
		for round := range 3 {
			for i, b := range f.boxes {
				b.kill(uint64(round*3 + i))
			}
			began := time.Now()
			f.startAll()
			// An election at most: without answers it is a second more.
			if took := time.Since(began); took > 900*time.Millisecond {
				t.Errorf("round %d: %v", round, took)
			}
		}
	})
}
