//go:build rig

package compat_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/tests/rig"
)

// TestSurvive lets every client write with its own default acks while the
// broker is killed (kill -9) every few seconds. What a client reported as
// written must be there; what it reported as failed, or not at all, is unknown.
func TestSurvive(t *testing.T) {
	for _, c := range clients {
		if c.chosen() {
			t.Run(c.name, func(t *testing.T) { survive(t, c, install(t, c)) })
		}
	}
}

// TestSurviveCatchesAPlantedFault proves the rig: a broker that answers before
// it writes loses what a client with acks=1 was told is there.
func TestSurviveCatchesAPlantedFault(t *testing.T) {
	c := clients[1] // sarama
	p := install(t, c)
	place := rig.NewPlace(t, rig.TempDir(t))
	place.Fault = rig.FaultAckBeforeWrite
	topic := topicName("survive")
	f, err := killed(t, p.open(t), rig.Holdfast{}, place, topic, 4)
	if err != nil {
		t.Fatal(err)
	}
	lost := f.missing(t, place.Addr, topic)
	if lost == 0 {
		t.Errorf("none of %d records is missed on a broker that answers before it writes", len(f.acked))
	}
	rig.Record(t, rig.Result{What: "planted fault ack-before-write: caught by the same rig", Rounds: 4, Acknowledged: int64(len(f.acked)), Lost: int64(lost)})
}

// fates is what a client said about the records it wrote.
type fates struct{ acked, failed map[int]bool }

func (f fates) take(e event) {
	switch e.Event {
	case "acked":
		f.acked[e.Index] = true
	case "failed":
		f.failed[e.Index] = true
	}
}

func survive(t *testing.T, c client, p program) {
	began, rounds := time.Now(), rig.Rounds(t, 2, 10)
	place, topic := rig.NewPlace(t, rig.TempDir(t)), topicName("survive")
	s := p.open(t)
	info, err := s.ask(request{Verb: "info"}, time.Minute)
	if err != nil || len(info) == 0 {
		t.Fatalf("%s says nothing of itself: %v", c.name, err)
	}
	b := bench{client: c, version: info[0].Value}
	f, err := killed(t, s, rig.DefaultTarget(t), place, topic, rounds)
	lost := 0
	b.feature(t, "survive kill -9", func(t *testing.T) error {
		if err != nil {
			return err
		}
		if len(f.acked)+len(f.failed) == 0 {
			return fmt.Errorf("the client reported nothing")
		}
		if lost = f.missing(t, place.Addr, topic); lost > 0 {
			return fmt.Errorf("%d of %d records that the client reported as written are lost", lost, len(f.acked))
		}
		if len(f.acked) == 0 { // nothing was promised, so nothing is shown
			return unsupported(fmt.Sprintf("with its defaults it learns of no write (acks=0): all %d are unknown", len(f.failed)))
		}
		return nil
	})
	rig.Record(t, rig.Result{
		What:   c.name + " " + b.version + " with its default acks, broker killed (kill -9) under it: all it reported as written is there",
		Rounds: rounds, Acknowledged: int64(len(f.acked)), Lost: int64(lost), Figures: fmt.Sprintf("%d reported as failed or unknown", len(f.failed)),
		Seconds: time.Since(began).Seconds(),
	})
}

// killed lets the client write while the broker dies and comes back, and leaves
// a broker that runs.
func killed(t *testing.T, s *session, target rig.Target, place rig.Place, topic string, rounds int) (fates, error) {
	t.Helper()
	f := fates{acked: map[int]bool{}, failed: map[int]bool{}}
	proc := rig.RunBroker(t, target, place)
	rig.CreateTopics(t, rig.NewClient(t, place.Addr), rig.Topic{Name: topic, Partitions: 1})
	if err := s.send(request{Verb: "survive", Addr: place.Addr, Topic: topic}); err != nil {
		return f, err
	}
	for range rounds {
		f.listen(s, 3*time.Second)
		proc.Kill()
		time.Sleep(300 * time.Millisecond)
		proc = rig.RunBroker(t, target, place)
	}
	f.listen(s, 3*time.Second)
	s.in.Close()
	events, err := s.until("survive", 2*time.Minute)
	for _, e := range events {
		f.take(e)
	}
	return f, err
}

// listen takes what the client says for a while.
func (f fates) listen(s *session, d time.Duration) {
	over := time.After(d)
	for {
		select {
		case e, ok := <-s.events:
			if !ok {
				return
			}
			f.take(e)
		case <-over:
			return
		}
	}
}

// missing reads the whole topic and counts what was reported as written and is
// not there.
func (f fates) missing(t *testing.T, addr, topic string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(rig.NewClient(t, addr)).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	there := map[int]bool{}
	for _, r := range consume(t, addr, topic, kgo.NewOffset().AtStart(), int(end.Offset)) {
		n, err := strconv.Atoi(string(r.Value))
		if err != nil {
			t.Errorf("offset %d holds %q, which nobody wrote", r.Offset, r.Value)
		}
		there[n] = true
	}
	lost := 0
	for n := range f.acked {
		if !there[n] {
			lost++
		}
	}
	t.Logf("%d records there, %d reported as written, %d reported as failed or unknown", end.Offset, len(f.acked), len(f.failed))
	return lost
}
