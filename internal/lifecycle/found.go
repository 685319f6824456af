package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/clock"
	"holdfast/internal/config"
	"holdfast/internal/datadir"
	"holdfast/internal/env"
	"holdfast/internal/founding"
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// Directory is where identity and proposal live; *datadir.Dir is the real one.
type Directory interface {
	Identity() datadir.Identity
	Propose(proposal string) error
	SetCluster(id kafka.ClusterID) error
}

// FounderOptions are what a Founder is made of. All fields are set.
type FounderOptions struct {
	Env       env.Env
	Log       *slog.Logger
	Directory Directory
	Config    *config.Broker
	// Own are the addresses of this broker's listeners, as others may write them.
	Own []string
	// Ask asks whoever is at an address who it is.
	Ask func(ctx context.Context, address string, q *wire.FoundingProbeRequest, r *wire.FoundingProbeResponse) error
}

// Founder brings a directory that belongs to no cluster into one, and tells others
// how far it is.
type Founder struct {
	o  FounderOptions
	mu struct {
		sync.Mutex
		state founding.State
		// strange are the addresses of which the log has said that they have another
		// broker secret.
		strange map[string]bool
	}
}

// Outcome is the cluster that a directory came into.
type Outcome struct {
	ClusterID kafka.ClusterID
	// Voters are those of a cluster that is founded together with this broker; nil:
	// the cluster is there, or this broker has no vote in it.
	Voters []founding.Voter
}

// NewFounder reads how far the directory is. An error says that its proposal cannot
// be read.
func NewFounder(o FounderOptions) (*Founder, error) {
	f := &Founder{o: o}
	id := o.Directory.Identity()
	proposal, err := founding.ParseProposal(id.Proposal)
	if err != nil {
		return nil, fmt.Errorf("read the identity of the data directory: %w", err)
	}
	f.mu.state = founding.State{Broker: id.NodeID, Directory: id.DirectoryID, Addresses: founding.Canonical(o.Config.Bootstrap),
		Proposal: proposal, ClusterID: id.ClusterID}
	switch {
	case id.Founded:
		f.mu.state.Phase = founding.Founded
	case !proposal.IsZero():
		f.mu.state.Phase = founding.Proposed
	}
	if f.mu.state.ClusterID.IsZero() {
		if f.mu.state.ClusterID, err = o.Config.FoundingID(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *Founder) state() founding.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.state
}

func (f *Founder) change(to func(*founding.State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	to(&f.mu.state)
}

// State is how far the directory is.
func (f *Founder) State() founding.State { return f.state() }

// Founded tells that the metadata of the cluster is durable here.
func (f *Founder) Founded(id kafka.ClusterID) {
	f.change(func(s *founding.State) { s.Phase, s.ClusterID = founding.Founded, id })
}

// Probe answers a broker that looks for a cluster. It never waits.
func (f *Founder) Probe(auth.Identity, *wire.FoundingProbeRequest) *wire.FoundingProbeResponse {
	out := wire.NewFoundingProbeResponse()
	out.State = encodeState(f.state())
	return &out
}

func encodeState(s founding.State) wire.FoundingState {
	w := wire.NewFoundingState()
	w.BrokerID, w.DirectoryID, w.Addresses, w.Phase = int32(s.Broker), s.Directory, s.Addresses, wire.FoundingPhase(s.Phase)
	switch s.Phase {
	case founding.Founded:
		w.ClusterID = s.ClusterID
	case founding.Proposed:
		w.ClusterID = s.Proposal.ClusterID
	}
	w.Proposer = int32(kafka.NoBroker)
	if !s.Proposal.IsZero() {
		w.Proposer = int32(s.Proposal.Proposer)
		for _, v := range s.Proposal.Voters {
			w.Voters = append(w.Voters, wire.FoundingStateVoter{BrokerID: int32(v.Broker), DirectoryID: v.Directory})
		}
	}
	return w
}

var errState = errors.New("it says what no broker of this program would")

func decodeState(w *wire.FoundingState) (founding.State, error) {
	s := founding.State{Broker: kafka.BrokerID(w.BrokerID), Directory: w.DirectoryID, Addresses: slices.Clone(w.Addresses), Phase: founding.Phase(w.Phase)}
	if s.Phase > founding.Founded || s.Broker < 0 || s.Directory.IsZero() || len(s.Addresses) > founding.AddressesMax {
		return s, errState
	}
	if len(w.Voters) > 0 {
		s.Proposal = founding.Proposal{ClusterID: w.ClusterID, Proposer: kafka.BrokerID(w.Proposer)}
		for _, v := range w.Voters {
			s.Proposal.Voters = append(s.Proposal.Voters, founding.Voter{Broker: kafka.BrokerID(v.BrokerID), Directory: v.DirectoryID})
		}
		if err := s.Proposal.Validate(); err != nil {
			return s, err
		}
	}
	if s.Phase == founding.Founded {
		s.ClusterID = w.ClusterID
	}
	if s.Phase == founding.Founded && s.ClusterID.IsZero() || s.Phase == founding.Proposed && s.Proposal.IsZero() {
		return s, errState
	}
	return s, nil
}

const (
	// askFast is the pause between two rounds at first, askSlow later.
	askFast, askSlow = 20 * time.Millisecond, 500 * time.Millisecond
	// askWait bounds the wait for one answer.
	askWait = 2 * time.Second
	// sayEvery is how often the same reason to wait is said again.
	sayEvery = 10 * time.Second
)

// Run asks the named addresses until this directory is in a cluster, or ctx ends. The
// cluster's id is durable then; its metadata is not there yet. waits hears why
// nothing goes on; it never waits.
func (f *Founder) Run(ctx context.Context, waits func(reason string)) (Outcome, error) {
	said, at := "", time.Time{}
	for pause := askFast; ; pause = min(pause*3/2, askSlow) {
		d := founding.Decide(f.state(), f.askAll(ctx))
		if d.Action == founding.Wait {
			waits(d.Reason)
			if now := f.o.Env.Clock.Now(); pause >= 4*askFast && (d.Reason != said || now.Sub(at) >= sayEvery) {
				f.o.Log.Info("waiting to come into a cluster", "reason", d.Reason)
				said, at = d.Reason, now
			}
			if err := f.pause(ctx, pause); err != nil {
				return Outcome{}, fmt.Errorf("%s: %w", d.Reason, err)
			}
			continue
		}
		if done, err := f.carryOut(d); err != nil {
			return Outcome{}, err
		} else if done {
			return outcomeOf(d), nil
		}
		pause = askFast
	}
}

// Meet asks the named addresses until another broker has answered, or ctx ends.
func (f *Founder) Meet(ctx context.Context) error {
	for pause := askFast; ; pause = min(pause*3/2, askSlow) {
		self := f.state()
		for _, a := range f.askAll(ctx) {
			if a.Silent == "" && a.State.Directory != self.Directory {
				return nil
			}
		}
		if err := f.pause(ctx, pause); err != nil {
			return fmt.Errorf("no other broker answers: %w", err)
		}
	}
}

// knowWait bounds the wait of Know: a broker that is down, or as early in its start as
// this one, holds nobody up for longer.
const knowWait = time.Second

// ForeignClusterError says that a named address belongs to another cluster than the
// data directory.
type ForeignClusterError struct {
	Own     kafka.ClusterID
	Address string
	Says    string // whom it names, or why it refuses
}

// Error implements error.
func (e *ForeignClusterError) Error() string {
	return fmt.Sprintf("this broker belongs to cluster %s, and %s to another cluster (%s): name the brokers of the directory's cluster, or give this broker a directory of its own", e.Own, e.Address, e.Says)
}

// Know asks the named addresses once whether they are of this directory's cluster. A
// *ForeignClusterError: one of them is founded and is not. Silence is no answer.
func (f *Founder) Know(ctx context.Context) error {
	ctx, cancel := clock.Within(ctx, f.o.Env.Clock, knowWait)
	defer cancel()
	self := f.state()
	foreign := make([]*ForeignClusterError, len(self.Addresses))
	eachAddress(self.Addresses, func(i int, address string) {
		if slices.Contains(f.o.Own, address) {
			return
		}
		s, err := f.reach(ctx, self, address)
		var refused *auth.RefusedError
		switch {
		case errors.As(err, &refused) && refused.Code == kafka.ErrInconsistentClusterID:
			foreign[i] = &ForeignClusterError{Own: self.ClusterID, Address: address, Says: refused.Reason}
		case err == nil && s.Phase == founding.Founded && s.ClusterID != self.ClusterID:
			foreign[i] = &ForeignClusterError{Own: self.ClusterID, Address: address, Says: s.ClusterID.String()}
		}
	})
	for _, e := range foreign {
		if e != nil {
			return e
		}
	}
	return nil
}

func (f *Founder) pause(ctx context.Context, d time.Duration) error {
	if !clock.Wait(ctx, f.o.Env.Clock, d, nil) {
		return context.Cause(ctx)
	}
	return nil
}

// carryOut makes a decision durable, and only then shows it.
func (f *Founder) carryOut(d founding.Decision) (done bool, err error) {
	switch d.Action {
	case founding.Propose:
		d.Proposal = founding.Proposal{ClusterID: f.state().ClusterID, Proposer: f.state().Broker, Voters: d.Voters}
		if d.Proposal.ClusterID.IsZero() {
			d.Proposal.ClusterID = kafka.ClusterID(kafka.NewUUID(f.o.Env.Rand))
		}
		fallthrough
	case founding.Adopt:
		if err := f.o.Directory.Propose(d.Proposal.String()); err != nil {
			return false, err
		}
		f.o.Log.Info("a cluster is proposed", "cluster", d.Proposal.ClusterID, "proposer", d.Proposal.Proposer, "voters", len(d.Proposal.Voters))
		f.change(func(s *founding.State) { s.Phase, s.Proposal = founding.Proposed, d.Proposal })
		return false, nil
	}
	if err := f.o.Directory.SetCluster(d.ClusterID); err != nil {
		return false, err
	}
	f.o.Log.Info("coming into a cluster", "cluster", d.ClusterID, "how", d.Action.String())
	return true, nil
}

func outcomeOf(d founding.Decision) Outcome {
	out := Outcome{ClusterID: d.ClusterID}
	if d.Action == founding.Found {
		out.Voters = d.Proposal.Voters
	}
	return out
}

// askAll asks every named address once, side by side.
func (f *Founder) askAll(ctx context.Context) []founding.Answer {
	self := f.state()
	answers := make([]founding.Answer, len(self.Addresses))
	ctx, cancel := clock.Within(ctx, f.o.Env.Clock, askWait)
	defer cancel()
	eachAddress(self.Addresses, func(i int, address string) {
		answers[i] = f.ask(ctx, self, address)
	})
	return answers
}

func (f *Founder) ask(ctx context.Context, self founding.State, address string) founding.Answer {
	a := founding.Answer{Address: address, Absent: slices.Contains(founding.Canonical(f.o.Config.BootstrapAbsent), address)}
	if slices.Contains(f.o.Own, address) {
		a.State = self
		return a
	}
	s, err := f.reach(ctx, self, address)
	if a.State = s; err != nil {
		a.Silent = err.Error()
	}
	return a
}

// reach asks whoever is at an address how far its directory is.
func (f *Founder) reach(ctx context.Context, self founding.State, address string) (founding.State, error) {
	request, response := wire.NewFoundingProbeRequest(), wire.NewFoundingProbeResponse()
	request.State = encodeState(self)
	err := f.o.Ask(ctx, address, &request, &response)
	if err == nil {
		err = failure(response.ErrorCode, response.ErrorMessage)
	}
	if err != nil {
		f.saySecret(address, err)
		return founding.State{}, err
	}
	return decodeState(&response.State)
}

// saySecret warns, once for each address, that the broker there has another secret:
// that does not pass by itself, as silence does.
func (f *Founder) saySecret(address string, err error) {
	var refused *auth.RefusedError
	if !errors.As(err, &refused) || refused.Code != kafka.ErrSaslAuthenticationFailed {
		return
	}
	f.mu.Lock()
	said := f.mu.strange[address]
	if f.mu.strange == nil {
		f.mu.strange = map[string]bool{}
	}
	f.mu.strange[address] = true
	f.mu.Unlock()
	if !said {
		f.o.Log.Warn("a named broker refuses this one; give every broker of the cluster the same secret (broker.secret.file) and start this one again",
			"address", address, "error", err)
	}
}

// OwnAddresses lists how others may write the addresses of listeners, as
// founding.Canonical writes them.
func OwnAddresses(listeners []config.Listener, ports []int) (own []string) {
	for i, l := range listeners {
		add := func(name string) {
			if name != "" {
				own = append(own, strings.ToLower(config.Endpoint{Host: name, Port: ports[i]}.String()))
			}
		}
		add(l.Advertised.Host)
		if !l.Bind.Wildcard() {
			add(l.Bind.Host)
		}
		if l.Bind.Wildcard() || l.Bind.Loopback() {
			for _, name := range []string{"127.0.0.1", "localhost", "::1"} {
				add(name)
			}
		}
	}
	slices.Sort(own)
	return slices.Compact(own)
}
