package api_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/controller"
	"holdfast/internal/coord"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/purgatory"
	"holdfast/internal/wire"
)

// TestCoordinator_DoesNotForgetWhatItHasNotHeardOf: a broker that takes a partition
// of groups over and is behind in the metadata knows topics from committed offsets
// that it does not know from the metadata yet. Their offsets stay; those of a topic
// that is gone for certain go.
func TestCoordinator_DoesNotForgetWhatItHasNotHeardOf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCluster(t)
		c.decide(coord.TopicCommand(c.broker.Settings()))
		behind := c.quorum.Image()
		var ids [2]kafka.TopicID
		for i, name := range []string{"stays", "goes"} {
			ids[i] = c.topic(name, 1)
		}
		with := func(image func() *meta.Image, submit func(context.Context, controller.Command) (controller.Reply, error), use func(*coord.Coordinator)) {
			k := coord.New(coord.Options{Broker: c.broker, Image: image, Clock: c.ground.Clock, Rand: c.ground.Rand, Log: slog.New(slog.DiscardHandler), Submit: submit})
			k.Start()
			synctest.Wait()
			use(k)
			k.Close()
		}
		call := func(ask func(w *purgatory.Waiter) *coord.Ticket) any {
			t.Helper()
			done := make(chan struct{})
			ticket := ask(purgatory.New(1, func() { close(done) }))
			<-done
			out, _ := ticket.Outcome()
			if out.Code != kafka.ErrNone {
				t.Fatal(out.Code)
			}
			return out.Value
		}
		committed := func(k *coord.Coordinator) (offsets [2]int64) {
			t.Helper()
			q := wire.NewOffsetFetchRequestGroup()
			q.Group = "g"
			for i, name := range []string{"stays", "goes"} {
				q.Topics = append(q.Topics, wire.OffsetFetchRequestGroupTopic{Topic: name, TopicID: ids[i], Partitions: []int32{0}})
			}
			got := call(func(w *purgatory.Waiter) *coord.Ticket { return k.Fetch(w, q, false) }).(wire.OffsetFetchResponseGroup)
			for i := range offsets {
				offsets[i] = got.Topics[i].Partitions[0].Offset
			}
			return offsets
		}
		with(c.quorum.Image, c.quorum.Submit, func(k *coord.Coordinator) {
			q := wire.NewOffsetCommitRequest()
			q.Group, q.Generation = "g", -1
			for i, name := range []string{"stays", "goes"} {
				p := wire.NewOffsetCommitRequestTopicPartition()
				p.Offset = 7
				q.Topics = append(q.Topics, wire.OffsetCommitRequestTopic{Topic: name, TopicID: ids[i], Partitions: []wire.OffsetCommitRequestTopicPartition{p}})
			}
			call(func(w *purgatory.Waiter) *coord.Ticket { return k.Commit(w, 9, &q) })
			if got := committed(k); got != [2]int64{7, 7} {
				t.Fatalf("committed %v", got)
			}
		})
		c.decide(controller.DeleteTopics{Topics: []controller.TopicRef{{ID: ids[1]}}})
		var image atomic.Pointer[meta.Image]
		image.Store(behind)
		with(image.Load, c.quorum.Submit, func(k *coord.Coordinator) {
			c.ground.Clock.Sleep(time.Minute)
			if got := committed(k); got != [2]int64{7, 7} {
				t.Errorf("while the metadata is behind: %v", got)
			}
			image.Store(c.quorum.Image())
			c.ground.Clock.Sleep(time.Minute)
			if got := committed(k); got != [2]int64{7, -1} {
				t.Errorf("when it is current: %v", got)
			}
		})
	})
}
