package founding

import (
	"fmt"
	"slices"
	"strings"

	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
)

// Phase is how far a directory has come.
type Phase uint8

// The phases, in their only order.
const (
	Empty    Phase = iota // nothing was decided in it
	Proposed              // it holds a proposal; whether others founded it is not known here
	Founded               // it belongs to a cluster
)

// String is the word of the phase.
func (p Phase) String() string { return [...]string{"empty", "proposed", "founded"}[p%3] }

// State is what a broker says of itself.
type State struct {
	Broker    kafka.BrokerID
	Directory kafka.DirectoryID
	// Addresses are the named ones, as Canonical returns them.
	Addresses []string
	Phase     Phase
	// Proposal is the durable one, from Proposed on; a directory that joined has none.
	Proposal Proposal
	// ClusterID is the cluster of a Founded directory. Before that it is the one that
	// the operator wants, zero when anything will do.
	ClusterID kafka.ClusterID
}

// IsMember reports whether the directory belongs to the cluster of ClusterID.
func (s State) IsMember() bool { return s.Phase == Founded }

// Answer is what came of asking one named address. The answer of one's own address
// is one's own state.
type Answer struct {
	Address string
	State   State  // of who answered
	Silent  string // why there is no answer; empty: there is one
	// Absent: the operator said that founding does not wait for this address.
	Absent bool
}

// Action is what to do.
type Action uint8

// The actions.
const (
	Wait    Action = iota // ask again; Reason says for what
	Propose               // draw a cluster id, store a proposal with Voters, ask again
	Adopt                 // store Proposal, ask again
	Found                 // found the cluster of Proposal, as one of its voters
	Join                  // become a member of ClusterID without a vote
)

// String is the word of the action.
func (a Action) String() string {
	return [...]string{"wait", "propose", "adopt", "found", "join"}[a%5]
}

// Decision is an action with what it needs.
type Decision struct {
	Action    Action
	Reason    string          // of Wait: a sentence for the operator
	Voters    []Voter         // of Propose
	Proposal  Proposal        // of Adopt and Found
	ClusterID kafka.ClusterID // of Join and Found
}

// AddressesMax is the largest number of named addresses.
const AddressesMax = 100

// Canonical sorts addresses and takes out what is said twice, so that equal lists
// are equal.
func Canonical(addresses []string) []string {
	out := make([]string, 0, len(addresses))
	for _, a := range addresses {
		out = append(out, strings.ToLower(strings.TrimSpace(a)))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Decide tells a broker that belongs to no cluster yet what to do, after it has
// asked every named address once since it started. Answers that are older, or of an
// earlier life of this process, must not be handed in.
func Decide(self State, answers []Answer) Decision {
	invariant.Check(self.Phase != Founded, "broker %d founds or joins and belongs to cluster %s", self.Broker, self.ClusterID)
	if d, heard := fromFounded(self, answers); heard {
		return d
	}
	var present []State
	var silent []string
	for _, a := range answers {
		switch {
		case a.Silent == "":
			present = append(present, a.State)
		case !a.Absent:
			silent = append(silent, fmt.Sprintf("%s (%s)", a.Address, a.Silent))
		}
	}
	if len(silent) > 0 {
		return wait("no answer from %s: a cluster is founded only when every named address has answered, because a silent one may belong to a cluster already", strings.Join(silent, ", "))
	}
	if reason := differences(self, present); reason != "" {
		return wait("%s", reason)
	}
	return decideTogether(self, present)
}

func wait(format string, args ...any) Decision {
	return Decision{Action: Wait, Reason: fmt.Sprintf(format, args...)}
}

// fromFounded decides when somebody belongs to a cluster: that cluster is the one.
func fromFounded(self State, answers []Answer) (Decision, bool) {
	var found State
	for _, a := range answers {
		if a.Silent != "" || a.State.Phase != Founded {
			continue
		}
		if !found.ClusterID.IsZero() && found.ClusterID != a.State.ClusterID {
			return wait("broker %d belongs to cluster %s and broker %d to cluster %s: name the brokers of one cluster",
				found.Broker, found.ClusterID, a.State.Broker, a.State.ClusterID), true
		}
		if found.ClusterID.IsZero() || !a.State.Proposal.IsZero() {
			found = a.State
		}
	}
	switch {
	case found.ClusterID.IsZero():
		return Decision{}, false
	case !self.ClusterID.IsZero() && self.ClusterID != found.ClusterID:
		return wait("broker %d belongs to cluster %s, and cluster.id of this broker is %s", found.Broker, found.ClusterID, self.ClusterID), true
	case self.Phase == Proposed && self.Proposal.ClusterID != found.ClusterID:
		return wait("this directory holds a proposal of cluster %s, and broker %d belongs to cluster %s. It holds no record: empty it, and this broker joins",
			self.Proposal.ClusterID, found.Broker, found.ClusterID), true
	case self.Phase == Proposed && self.Proposal.Names(self.Directory):
		return Decision{Action: Found, Proposal: self.Proposal, ClusterID: found.ClusterID}, true
	case self.Phase == Empty && found.Proposal.Names(self.Directory):
		// It had stored the proposal before anybody founded: it is an old copy.
		return wait("cluster %s was founded with a vote of this directory, and this directory does not know: it is a copy from before. Empty it, and this broker joins", found.ClusterID), true
	}
	return Decision{Action: Join, ClusterID: found.ClusterID}, true
}

// differences tells in what the brokers do not agree.
func differences(self State, present []State) string {
	mine := slices.ContainsFunc(present, func(s State) bool { return s.Directory == self.Directory })
	if !mine {
		return fmt.Sprintf("this broker's own address is not among the named ones (%s): it waits for them to found a cluster, and joins it", strings.Join(self.Addresses, ", "))
	}
	for i, s := range present {
		if !slices.Equal(s.Addresses, self.Addresses) {
			return fmt.Sprintf("broker %d was started with the addresses %s, this one with %s: give all the same list",
				s.Broker, strings.Join(s.Addresses, ","), strings.Join(self.Addresses, ","))
		}
		for _, other := range present[:i] {
			if other.Broker == s.Broker && other.Directory != s.Directory {
				return fmt.Sprintf("two brokers have the id %d: give each its own --node-id", s.Broker)
			}
			if other.Broker != s.Broker && other.Directory == s.Directory {
				return fmt.Sprintf("brokers %d and %d have the same directory %s: one is a copy", other.Broker, s.Broker, s.Directory)
			}
		}
	}
	return ""
}

// decideTogether decides when everybody has answered, agrees on who takes part, and
// belongs to no cluster.
func decideTogether(self State, present []State) Decision {
	var proposal Proposal
	lowest := self
	for _, s := range present {
		if s.Broker < lowest.Broker {
			lowest = s
		}
		if s.Phase != Proposed {
			continue
		}
		if !proposal.IsZero() && !proposal.Equal(s.Proposal) {
			return wait("two clusters were proposed, %s and %s: empty the directories of the brokers that hold one of them; they hold no record", proposal.ClusterID, s.Proposal.ClusterID)
		}
		proposal = s.Proposal
	}
	if proposal.IsZero() {
		if lowest.Broker != self.Broker {
			return wait("broker %d proposes the cluster", lowest.Broker)
		}
		return Decision{Action: Propose, Voters: votersOf(present)}
	}
	return decideOn(self, present, proposal)
}

func decideOn(self State, present []State, proposal Proposal) Decision {
	if err := proposal.Validate(); err != nil {
		return wait("%v", err)
	}
	if !self.ClusterID.IsZero() && self.ClusterID != proposal.ClusterID {
		return wait("cluster %s is proposed, and cluster.id of this broker is %s", proposal.ClusterID, self.ClusterID)
	}
	for _, v := range proposal.Voters {
		if !slices.ContainsFunc(present, func(s State) bool { return s.Broker == v.Broker && s.Directory == v.Directory }) {
			return wait("cluster %s was proposed with directory %s of broker %d, which is gone: nobody can tell whether it was founded. Bring the directory back; or, if no record was ever written, empty the directories of all brokers", proposal.ClusterID, v.Directory, v.Broker)
		}
	}
	if self.Phase == Empty {
		return Decision{Action: Adopt, Proposal: proposal}
	}
	for _, s := range present {
		if s.Phase != Proposed {
			return wait("broker %d has not stored the proposal of cluster %s yet", s.Broker, proposal.ClusterID)
		}
	}
	if !proposal.Names(self.Directory) {
		return Decision{Action: Join, ClusterID: proposal.ClusterID}
	}
	return Decision{Action: Found, Proposal: proposal, ClusterID: proposal.ClusterID}
}
