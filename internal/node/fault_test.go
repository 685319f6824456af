package node_test

import (
	"context"
	"fmt"
	"path"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// once is a client that tells the first answer to a record instead of trying
// again for ever.
func (r *rig) once() *kgo.Client {
	return r.client(kgo.DisableIdempotentWrite(), kgo.RecordRetries(0), kgo.RequestRetries(0))
}

func produceOne(c *kgo.Client, topic string, value string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr()
}

// TestNode_FailedSyncEndsAcknowledgements: after the first failed sync nothing is
// acknowledged any more, in any topic; reads go on; a restart recovers what was
// acknowledged.
func TestNode_FailedSyncEndsAcknowledgements(t *testing.T) {
	for _, mode := range []string{"journal", "segment"} {
		t.Run(mode, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, 3)
				r.mustStart()
				defer func() { _ = r.stop() }()
				c := r.client()
				defer c.Close()
				r.createTopic(c, "t", 1)
				r.createTopic(c, "cached", 1, "durability", "page-cache")
				r.produceN(c, "t", 0, 10)
				r.produceN(c, "cached", 0, 3)

				once, value := r.once(), "x"
				defer once.Close()
				if mode == "journal" {
					r.ground.Disk.Inject(vfs.Fault{Op: vfs.OpWrite | vfs.OpSync, Path: "holdfast.journal"})
				} else {
					r.ground.Disk.Inject(vfs.Fault{Op: vfs.OpSync, Path: "*.log", Times: 1})
					value = string(make([]byte, 200<<10)) // large: synced in its segment
				}
				for i := range 5 {
					if err := produceOne(once, "t", value); err == nil {
						t.Fatalf("produce %d was acknowledged after a failed sync", i)
					}
				}
				if err := produceOne(once, "cached", "x"); err == nil {
					t.Error("a page-cache topic acknowledges in a directory that has stopped")
				}
				got, err := r.readAll("t", 0)
				if err != nil {
					t.Errorf("reading a stopped directory: %v", err)
				}
				wantValues(t, got, numbers(0, 10))
				r.powerCut(4)
				r.mustStart()
				r.produceN(c, "t", 10, 5)
				got, err = r.readAll("t", 0)
				if err != nil || len(got) < 15 {
					t.Fatalf("%d records after the restart, %v", len(got), err)
				}
				wantValues(t, got[:10], numbers(0, 10))
				wantValues(t, got[len(got)-5:], numbers(10, 15))
			})
		})
	}
}

// TestNode_FullDiskRefusesAndRecovers: below the reserve a write is refused with
// a code that every client retries, reads go on, and when space returns the
// waiting client is served without anybody's help.
func TestNode_FullDiskRefusesAndRecovers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 5)
		r.ground.Disk.SetCapacity(1 << 30)
		r.mustStart()
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "t", 1)
		r.produceN(c, "t", 0, 10)
		r.ground.Disk.SetCapacity(1) // everything that is there is more than that
		<-time.After(3 * time.Second)

		once := r.once()
		defer once.Close()
		err := produceOne(once, "t", "refused")
		if code := kafka.ErrorCode(codeOf(err)); code != kafka.ErrNotEnoughReplicas || !code.Retriable() {
			t.Errorf("produce on a full disk: %v", err)
		}
		waiting := make(chan error, 1)
		c.Produce(context.Background(), &kgo.Record{Topic: "t", Value: []byte("10")}, func(_ *kgo.Record, err error) { waiting <- err })
		<-time.After(2 * time.Second)
		got, err := r.readAll("t", 0)
		if err != nil {
			t.Errorf("reading on a full disk: %v", err)
		}
		wantValues(t, got, numbers(0, 10))
		r.ground.Disk.SetCapacity(1 << 30)
		if err := <-waiting; err != nil {
			t.Errorf("the waiting client: %v", err)
		}
		if got, err = r.readAll("t", 0); err != nil {
			t.Fatal(err)
		}
		wantValues(t, got, numbers(0, 11))
	})
}

// TestNode_FullInTheMiddle: the disk fills while a client produces; whatever is
// refused and whatever is accepted, nothing that was acknowledged is missing and
// nothing is there twice, also after a power cut at the worst time.
func TestNode_FullInTheMiddle(t *testing.T) {
	refused := 0
	for seed := range uint64(6) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, 100+seed)
			r.slowDisk(seed)
			r.ground.Disk.SetCapacity(1 << 30)
			r.mustStart()
			defer func() { _ = r.stop() }()
			c := r.client(kgo.ProducerLinger(0))
			defer c.Close()
			r.createTopic(c, "t", 1, "segment.bytes", "1048576")
			h := newHistory(1)
			free, total, err := r.ground.FS.Space(dataDir)
			if err != nil {
				t.Fatal(err)
			}
			r.ground.Disk.SetCapacity(total - free + 300_000 + int64(seed)*70_001)
			for range 30 {
				h.produce(c, "t", 0, make([]byte, 90_000))
			}
			<-time.After(50 * time.Millisecond)
			h.noteCrash()
			refused += h.inFlight[0]
			if seed%2 == 0 {
				r.powerCut(seed)
			}
			r.ground.Disk.SetCapacity(1 << 30)
			if seed%2 == 0 {
				r.mustStart()
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := c.Flush(ctx); err != nil || h.fail != nil {
				t.Errorf("seed %d: flush %v, %v", seed, err, h.fail)
			}
			if err := r.check(h); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		})
	}
	if refused == 0 {
		t.Error("the disk was never full")
	}
}

// TestNode_RotFencesOnePartition: a bad bit in what a start verifies takes its
// partition offline with KAFKA_STORAGE_ERROR, where the journal has no copy of
// the bytes; not one of them is changed, and the others serve. Where the journal
// has a copy the bit is repaired.
func TestNode_RotFencesOnePartition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 6)
		r.mustStart()
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "bad", 1)
		r.createTopic(c, "good", 1)
		for range 3 { // large: synced in the segment, only named in the journal
			if err := produceOne(c, "bad", string(make([]byte, 200<<10))); err != nil {
				t.Fatal(err)
			}
		}
		r.produceN(c, "good", 0, 20)
		r.kill(1)
		segment := func(topic string) string {
			return path.Join(dataDir, topic+"-0", fmt.Sprintf("%020d.log", 0))
		}
		for name, at := range map[string]int64{"bad": 300 << 10, "good": 500} {
			if err := r.ground.Disk.FlipBit(segment(name), at); err != nil {
				t.Fatal(err)
			}
		}
		before := r.bytes(segment("bad"))
		r.mustStart()
		once := r.once()
		defer once.Close()
		if err := produceOne(once, "bad", "x"); kafka.ErrorCode(codeOf(err)) != kafka.ErrKafkaStorageError {
			t.Errorf("produce into a rotten partition: %v", err)
		}
		if _, err := r.readAll("bad", 0); kafka.ErrorCode(codeOf(err)) != kafka.ErrKafkaStorageError {
			t.Errorf("reading a rotten partition: %v", err)
		}
		if after := r.bytes(segment("bad")); string(after) != string(before) {
			t.Error("the rotten segment was changed")
		}
		r.produceN(c, "good", 20, 5)
		got, err := r.readAll("good", 0)
		if err != nil {
			t.Fatal(err)
		}
		wantValues(t, got, numbers(0, 25))
	})
}

// bytes reads a file as it is.
func (r *rig) bytes(name string) []byte {
	r.t.Helper()
	b, err := vfs.ReadFile(r.ground.FS, name, 1<<30)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}
