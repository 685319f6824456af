package quorum

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
)

// faultyForwarder answers attempts from a list, and then carries them.
type faultyForwarder struct {
	*mate
	answers []func() ([]byte, error)
	asked   []kafka.BrokerID
}

func (f *faultyForwarder) Submit(ctx context.Context, leader kafka.BrokerID, command []byte) ([]byte, error) {
	f.asked = append(f.asked, leader)
	if len(f.answers) > 0 {
		next := f.answers[0]
		f.answers = f.answers[1:]
		if b, err := next(); b != nil || err != nil {
			return b, err
		}
	}
	return f.mate.Submit(ctx, leader, command)
}

var errTorn = errors.New("connection lost")

// TestSubmit_TriesAgainOnlyWhereNothingCanHappenTwice: each answer of the other side
// against a command that can be repeated and one that cannot.
func TestSubmit_TriesAgainOnlyWhereNothingCanHappenTwice(t *testing.T) {
	elsewhere := func() ([]byte, error) { return nil, &NotLeaderError{Leader: kafka.NoBroker} }
	hint := func() ([]byte, error) { return encodeOutcome(controller.Reply{}, &NotLeaderError{Leader: 1}), nil }
	unsent := func() ([]byte, error) { return nil, ErrNotSent }
	torn := func() ([]byte, error) { return nil, errTorn }
	lost := func() ([]byte, error) { return encodeOutcome(controller.Reply{}, ErrLeadershipLost), nil }
	full := func() ([]byte, error) { return encodeOutcome(controller.Reply{}, ErrNoSpace), nil }
	odd := func() ([]byte, error) { return []byte{99}, nil }
	for _, c := range []struct {
		name    string
		answers []func() ([]byte, error)
		once    error // what a command gets that cannot be repeated; nil: it succeeds
		again   error // what one gets that can
	}{
		{"leader moves", []func() ([]byte, error){elsewhere, elsewhere}, nil, nil},
		{"hint", []func() ([]byte, error){hint}, nil, nil},
		{"not sent", []func() ([]byte, error){unsent, unsent, unsent}, nil, nil},
		{"connection lost", []func() ([]byte, error){torn, torn}, errTorn, nil},
		{"leadership lost there", []func() ([]byte, error){lost}, ErrLeadershipLost, nil},
		{"disk full there", []func() ([]byte, error){full}, ErrNoSpace, ErrNoSpace},
		{"unknown answer", []func() ([]byte, error){odd}, ErrLeadershipLost, nil},
		{"moves, then lost", []func() ([]byte, error){elsewhere, torn, elsewhere}, errTorn, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newTeam(t, 1)
			w.open(1, nil)
			w.seats[1].must(register(1))
			f := &faultyForwarder{}
			m := w.open(2, func(o *Options) { o.Join, o.Sources, o.Forward = true, []kafka.BrokerID{1}, f })
			f.mate = m
			w.agree(1, 2)
			f.answers = c.answers
			if _, err := m.ask(5*time.Second, create("once", 1)); !errors.Is(err, c.once) || (err == nil) != (c.once == nil) {
				t.Errorf("%s: %v, want %v", c.name, err, c.once)
			}
			f.answers, f.asked = c.answers, nil
			if _, err := m.ask(5*time.Second, register(1)); !errors.Is(err, c.again) || (err == nil) != (c.again == nil) {
				t.Errorf("%s, repeatable: %v, want %v", c.name, err, c.again)
			}
		})
	}
}

// TestSubmit_ARefusalAfterADoubtIsNone: an ISR change whose first try was lost on its
// way back is refused the second time. Nobody may believe that refusal.
func TestSubmit_ARefusalAfterADoubtIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeam(t, 1)
		w.open(1, nil)
		w.seats[1].must(register(1))
		f := &faultyForwarder{}
		m := w.open(2, func(o *Options) { o.Join, o.Sources, o.Forward = true, []kafka.BrokerID{1}, f })
		f.mate = m
		w.agree(1, 2)
		refused := func() ([]byte, error) {
			return encodeOutcome(controller.Reply{ISR: []controller.ISRResult{{Code: kafka.ErrIneligibleReplica}}}, nil), nil
		}
		change := controller.AlterISR{Broker: 1, Epoch: 2}
		f.answers = []func() ([]byte, error){refused}
		if r, err := m.ask(time.Second, change); err != nil || len(r.ISR) != 1 {
			t.Errorf("a plain refusal: %+v, %v", r, err)
		}
		f.answers = []func() ([]byte, error){func() ([]byte, error) { return nil, errTorn }, refused}
		if r, err := m.ask(time.Second, change); !errors.Is(err, ErrLeadershipLost) {
			t.Errorf("a refusal after a doubt: %+v, %v", r, err)
		}
	})
}

// TestSubmit_GivesUpASilentLeader: the command waits at a leader that says nothing
// more; when another one leads it is given there.
func TestSubmit_GivesUpASilentLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeam(t, 1)
		w.found(1, 2, 3)
		l := w.leader(2 * time.Second)
		l.must(register(1))
		w.agree(1, 2, 3)
		id := l.id%3 + 1
		w.stop(id)
		f := &faultyForwarder{}
		m := w.open(id, func(o *Options) { o.Forward = f })
		f.mate = m
		l = w.leader(2 * time.Second)
		w.until(time.Second, "no leader is known", func(x *mate) bool { return x.Leader() == l.id }, id)
		hang := make(chan struct{})
		f.answers = []func() ([]byte, error){func() ([]byte, error) {
			w.isolate(l.id)
			m.ground.Clock.AfterFunc(4*time.Second, func() { close(hang) })
			<-hang
			return nil, errTorn
		}}
		if l.id == m.id {
			return
		}
		if _, err := m.ask(20*time.Second, register(1)); err != nil {
			t.Error(err)
		}
		w.heal()
		w.agree(1, 2, 3)
	})
}

func TestOutcome_ComesBack(t *testing.T) {
	long := strings.Repeat("x", 2*outcomeTextMax)
	for _, err := range []error{&controller.Error{Code: kafka.ErrPolicyViolation, Message: "why"}, &NotLeaderError{Leader: 3}, &NotLeaderError{Leader: kafka.NoBroker}, ErrNoSpace} {
		_, got := decodeOutcome(encodeOutcome(controller.Reply{}, err))
		if got.Error() != err.Error() {
			t.Errorf("%v became %v", err, got)
		}
	}
	for _, err := range []error{errors.New(long), ErrClosed, &controller.Error{Code: 1, Message: long}} {
		if b := encodeOutcome(controller.Reply{}, err); len(b) > outcomeTextMax+10 {
			t.Errorf("%d bytes", len(b))
		}
	}
}

// FuzzDecodeOutcome: whatever another member answers, its outcome is one of those
// that are known.
func FuzzDecodeOutcome(f *testing.F) {
	f.Add(encodeOutcome(controller.Reply{Offset: 7}, nil))
	f.Add(encodeOutcome(controller.Reply{}, &controller.Error{Code: 17, Message: "no"}))
	f.Add(encodeOutcome(controller.Reply{}, &NotLeaderError{Leader: 2}))
	f.Add([]byte{outcomeUnknown})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := decodeOutcome(b)
		refusal, refused := errors.AsType[*controller.Error](err)
		elsewhere, moved := errors.AsType[*NotLeaderError](err)
		switch {
		case err == nil, refused && len(refusal.Message) <= outcomeTextMax, moved && elsewhere.Leader >= kafka.NoBroker:
		case errors.Is(err, ErrNoSpace), errors.Is(err, ErrLeadershipLost):
		default:
			t.Errorf("%v", err)
		}
	})
}
