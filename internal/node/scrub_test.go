package node_test

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"holdfast/internal/vfs"
)

// TestScrub_ReportsRotInAClosedSegment: a bit flips on the disk in a segment that
// nobody reads. The scrub finds it while nothing is written, says so in health and
// metrics, and goes at its pace.
func TestScrub_ReportsRotInAClosedSegment(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 1, "admin.listen", adminAddress, "scrub.bytes.per.second", "200000", "scrub.interval.ms", "60000")
		r.mustStart()
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "t", 1, "segment.bytes", "1048576")
		for range 12 {
			if err := produceOne(c, "t", string(make([]byte, 300<<10))); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(5 * time.Minute) // checkpoints seal the segments; passes find nothing
		before := r.metrics()
		passed := before["holdfast_scrubbed_bytes_total"]
		if passed < 2<<20 || before["holdfast_corrupt_segments"] != 0 {
			t.Fatalf("%v bytes scrubbed, %v corrupt segments", passed, before["holdfast_corrupt_segments"])
		}
		if _, body := r.get("/healthz"); strings.Contains(body, "corrupt") {
			t.Errorf("health: %s", body)
		}
		file := path.Join(dataDir, "t-0", fmt.Sprintf("%020d.log", 0))
		if err := r.ground.Disk.FlipBit(file, 500<<10); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Minute)
		after := r.metrics()
		if after["holdfast_corrupt_segments"] != 1 {
			t.Errorf("%v corrupt segments", after["holdfast_corrupt_segments"])
		}
		if rate := (after["holdfast_scrubbed_bytes_total"] - passed) / 120; rate > 210000 {
			t.Errorf("%.0f bytes a second, 200000 are allowed", rate)
		}
		code, body := r.get("/healthz")
		if code != 200 || !strings.Contains(body, "[!] data: 1 closed segments are corrupt") {
			t.Errorf("health %d: %s", code, body)
		}
		if _, err := r.readAll("t", 0); err == nil {
			t.Error("rot was served")
		}
		r.produceN(c, "t", 0, 3) // the partition goes on
	})
}

// TestScrub_StandsBackUnderLoad: while records are written the scrub takes a
// sixteenth of its pace, and with 0 nothing.
func TestScrub_StandsBackUnderLoad(t *testing.T) {
	for _, pace := range []string{"4000000", "0"} {
		bubble(t, func(t *testing.T) {
			r := newRig(t, 2, "admin.listen", adminAddress, "scrub.bytes.per.second", pace, "scrub.interval.ms", "1000")
			r.mustStart()
			defer func() { _ = r.stop() }()
			c := r.client()
			defer c.Close()
			r.createTopic(c, "t", 1, "segment.bytes", "1048576")
			for range 12 {
				if err := produceOne(c, "t", string(make([]byte, 300<<10))); err != nil {
					t.Fatal(err)
				}
			}
			<-time.After(40 * time.Second)
			from := r.metrics()["holdfast_scrubbed_bytes_total"]
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
				if err := produceOne(c, "t", string(make([]byte, 300<<10))); err != nil {
					t.Fatal(err)
				}
				<-time.After(100 * time.Millisecond)
			}
			rate := (r.metrics()["holdfast_scrubbed_bytes_total"] - from) / 10
			if rate > 800_000 || pace == "0" && rate > 0 {
				t.Errorf("pace %s: %.0f bytes a second under load", pace, rate)
			}
		})
	}
}

// TestScrub_GoesOnBehindWhatCannotBeRead: a segment that the disk does not give
// back does not keep the scrub from the ones after it.
func TestScrub_GoesOnBehindWhatCannotBeRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 1, "admin.listen", adminAddress, "scrub.interval.ms", "60000")
		r.mustStart()
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "t", 1, "segment.bytes", "1048576")
		for range 12 {
			if err := produceOne(c, "t", string(make([]byte, 300<<10))); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(time.Minute)
		name := func(base int) string { return path.Join(dataDir, "t-0", fmt.Sprintf("%020d.log", base)) }
		r.ground.Disk.Inject(vfs.Fault{Op: vfs.OpRead, Path: name(0)})
		if err := r.ground.Disk.FlipBit(name(6), 500<<10); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Minute)
		if n := r.metrics()["holdfast_corrupt_segments"]; n != 1 {
			t.Errorf("%v corrupt segments", n)
		}
	})
}
