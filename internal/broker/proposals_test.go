package broker_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
)

// joining is a topic that broker 1 leads, with broker 2 outside of the ISR and about
// to catch up.
func joining(r *rig, minISR string) kafka.TopicIDPartition {
	r.t.Helper()
	id := r.create("t", minISR, 1, 2)
	r.fence(2)
	r.heartbeat(2)
	r.wantISR(id, 1)
	r.controller.proposals()
	return id
}

// What the controller has decided counts when the metadata shows it, and not when
// the answer says so.
func TestProposals_CountWithTheMetadata(t *testing.T) {
	inBubble(t, func(r *rig) {
		id := joining(r, "2")
		r.controller.holdBack()
		r.catchUp(id, 2)
		synctest.Wait()
		r.wantISR(id, 1, 2)
		if n := len(r.controller.proposals()); n != 1 {
			t.Errorf("%d commands for one proposal", n)
		}
		if res, _ := r.produce(id, 10); res.Code != kafka.ErrNotEnoughReplicas {
			t.Errorf("the answer alone lets a write in: %v", res.Code)
		}
		<-time.After(5 * time.Second)
		r.controller.release()
		r.applied(r.controller.Image().Offset())
		if res, _ := r.produce(id, 10); res.Code != kafka.ErrNone {
			t.Errorf("after the metadata: %v", res.Code)
		}
		if n := len(r.controller.proposals()); n != 0 {
			t.Errorf("%d commands while nothing was wanted", n)
		}
	})
}

// An outcome that nobody knows is asked for again until the metadata shows it,
// whether it was carried out or not. Until then the joiner counts for the high
// watermark.
func TestProposals_UnknownOutcomes(t *testing.T) {
	for name, carriedOut := range map[string]bool{"carried out": true, "never arrived": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				id := joining(r, "1")
				attempts := 0
				r.controller.set(func(_ controller.Command, decide func() (controller.Reply, error)) (controller.Reply, error) {
					if attempts++; attempts > 3 {
						return decide()
					}
					if carriedOut {
						_, _ = decide()
					}
					return controller.Reply{}, errUnanswered
				})
				if carriedOut {
					r.controller.holdBack()
				}
				r.catchUp(id, 2)
				synctest.Wait()
				_, w := r.produce(id, 10)
				<-time.After(150 * time.Millisecond)
				synctest.Wait()
				if w.Done() {
					t.Error("acknowledged without a joiner that may be in the ISR")
				}
				<-time.After(time.Second)
				synctest.Wait()
				r.controller.release()
				synctest.Wait()
				r.wantISR(id, 1, 2)
				r.catchUp(id, 2)
				synctest.Wait()
				if !w.Done() {
					t.Error("not acknowledged by both")
				}
				n := len(r.controller.proposals())
				<-time.After(5 * time.Second)
				if more := len(r.controller.proposals()); more > 0 || n > 6 {
					t.Errorf("%d commands, and %d when everything was settled", n, more)
				}
			})
		})
	}
}

// A refusal that is certain lets the leader go on without the joiner at once.
func TestProposals_Refused(t *testing.T) {
	inBubble(t, func(r *rig) {
		id := joining(r, "1")
		r.controller.holdBack()
		r.fence(2) // the leader does not know yet
		r.catchUp(id, 2)
		synctest.Wait()
		r.wantISR(id, 1)
		if n := len(r.controller.proposals()); n != 1 {
			t.Errorf("%d commands", n)
		}
		_, w := r.produce(id, 10)
		synctest.Wait()
		if !w.Done() {
			t.Error("the leader waits for a joiner that was refused")
		}
		r.controller.release()
		<-time.After(5 * time.Second)
		synctest.Wait()
		r.wantISR(id, 1)
		if n := len(r.controller.proposals()); n > 0 {
			t.Errorf("%d commands for a fenced broker", n)
		}
	})
}

// After an attempt without an answer a refusal proves nothing: a copy of the first
// attempt may still be carried out. The leader goes on without the joiner when the
// metadata has moved on, and then no copy can be.
func TestProposals_RefusedInDoubt(t *testing.T) {
	inBubble(t, func(r *rig) {
		id := joining(r, "1")
		var late func() (controller.Reply, error)
		r.controller.set(func(_ controller.Command, decide func() (controller.Reply, error)) (controller.Reply, error) {
			if late == nil {
				late = decide // on its way
				return controller.Reply{}, errUnanswered
			}
			return decide()
		})
		r.catchUp(id, 2)
		synctest.Wait()
		r.controller.holdBack()
		r.fence(2)
		_, w := r.produce(id, 10)
		<-time.After(time.Second) // the second attempt is refused
		synctest.Wait()
		if w.Done() {
			t.Error("the leader believed a refusal, and the first attempt may still be carried out")
		}
		r.controller.release()
		<-time.After(time.Second)
		synctest.Wait()
		if !w.Done() {
			t.Error("the leader waits for a dead joiner for ever")
		}
		r.heartbeat(2)
		reply, err := late()
		if err != nil || reply.ISR[0].Code == kafka.ErrNone {
			t.Errorf("the copy that came late was carried out: %+v %v", reply.ISR, err)
		}
		r.wantISR(id, 1)
	})
}

// Proposals of many partitions go in one command.
func TestProposals_Batched(t *testing.T) {
	inBubble(t, func(r *rig) {
		const topics = 40
		var ids []kafka.TopicIDPartition
		for i := range topics {
			ids = append(ids, r.create(fmt.Sprintf("t%d", i), "1", 1, 2))
		}
		r.fence(2)
		r.heartbeat(2)
		r.controller.proposals()
		r.controller.set(func(_ controller.Command, decide func() (controller.Reply, error)) (controller.Reply, error) {
			<-time.After(5 * time.Millisecond)
			return decide()
		})
		for _, id := range ids {
			r.catchUp(id, 2)
		}
		<-time.After(50 * time.Millisecond)
		synctest.Wait()
		for _, id := range ids {
			r.wantISR(id, 1, 2)
		}
		if n := len(r.controller.proposals()); n > 3 {
			t.Errorf("%d commands for %d proposals", n, topics)
		}
	})
}
