package founding

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"holdfast/internal/kafka"
)

// VotersMax is the largest number of voters of a founded cluster.
const VotersMax = 5

// Voter is a broker that has a vote, with the directory that it votes from.
type Voter struct {
	Broker    kafka.BrokerID
	Directory kafka.DirectoryID
}

// Proposal is a cluster that somebody wants to found. The zero value is none.
type Proposal struct {
	ClusterID kafka.ClusterID
	Proposer  kafka.BrokerID
	// Voters are 1, 3 or 5, in the order of broker ids.
	Voters []Voter
}

// IsZero reports whether there is no proposal.
func (p Proposal) IsZero() bool { return p.ClusterID.IsZero() }

// Equal reports whether two proposals are the same in every part.
func (p Proposal) Equal(q Proposal) bool {
	return p.ClusterID == q.ClusterID && p.Proposer == q.Proposer && slices.Equal(p.Voters, q.Voters)
}

// Names reports whether the directory has a vote in the proposal.
func (p Proposal) Names(directory kafka.DirectoryID) bool {
	return slices.ContainsFunc(p.Voters, func(v Voter) bool { return v.Directory == directory })
}

// Validate refuses what no broker of this program would propose.
func (p Proposal) Validate() error {
	if p.ClusterID.IsZero() || p.Proposer < 0 {
		return errors.New("a proposal without a cluster id or a proposer")
	}
	if n := len(p.Voters); n%2 == 0 || n > VotersMax {
		return fmt.Errorf("a proposal with %d voters; it has 1, 3 or 5", n)
	}
	for i, v := range p.Voters {
		if v.Broker < 0 || v.Directory.IsZero() {
			return fmt.Errorf("a proposal with the voter %d of directory %s", v.Broker, v.Directory)
		}
		if i > 0 && p.Voters[i-1].Broker >= v.Broker {
			return errors.New("a proposal whose voters are not in the order of their ids")
		}
		if slices.ContainsFunc(p.Voters[:i], func(w Voter) bool { return w.Directory == v.Directory }) {
			return fmt.Errorf("a proposal that names directory %s twice", v.Directory)
		}
	}
	return nil
}

// String is the text that ParseProposal reads: CLUSTER PROPOSER ID@DIRECTORY,...
func (p Proposal) String() string {
	if p.IsZero() {
		return ""
	}
	voters := make([]string, 0, len(p.Voters))
	for _, v := range p.Voters {
		voters = append(voters, fmt.Sprintf("%d@%s", v.Broker, v.Directory))
	}
	return fmt.Sprintf("%s %d %s", p.ClusterID, p.Proposer, strings.Join(voters, ","))
}

// proposalTextMax bounds the text of a proposal in bytes.
const proposalTextMax = 1 << 10

// ParseProposal reads what String wrote; the empty text is no proposal.
func ParseProposal(text string) (Proposal, error) {
	if text == "" {
		return Proposal{}, nil
	}
	fields := strings.Split(text, " ")
	if len(text) > proposalTextMax || len(fields) != 3 {
		return Proposal{}, errors.New("damaged proposal")
	}
	cluster, err := kafka.ParseUUID(fields[0])
	if err != nil {
		return Proposal{}, fmt.Errorf("cluster id of a proposal: %w", err)
	}
	proposer, err := strconv.ParseInt(fields[1], 10, 32)
	if err != nil {
		return Proposal{}, fmt.Errorf("proposer of a proposal: %w", err)
	}
	p := Proposal{ClusterID: kafka.ClusterID(cluster), Proposer: kafka.BrokerID(proposer)}
	for _, item := range strings.Split(fields[2], ",") {
		id, directory, _ := strings.Cut(item, "@")
		broker, err := strconv.ParseInt(id, 10, 32)
		if err != nil {
			return Proposal{}, fmt.Errorf("voter of a proposal: %w", err)
		}
		u, err := kafka.ParseUUID(directory)
		if err != nil {
			return Proposal{}, fmt.Errorf("voter of a proposal: %w", err)
		}
		p.Voters = append(p.Voters, Voter{Broker: kafka.BrokerID(broker), Directory: kafka.DirectoryID(u)})
	}
	return p, p.Validate()
}

// votersOf chooses who votes among brokers: the lowest ids, as many as make an odd
// number of at most VotersMax.
func votersOf(brokers []State) []Voter {
	var voters []Voter
	for _, s := range brokers {
		v := Voter{Broker: s.Broker, Directory: s.Directory}
		if !slices.Contains(voters, v) {
			voters = append(voters, v)
		}
	}
	slices.SortFunc(voters, func(a, b Voter) int { return cmp.Compare(a.Broker, b.Broker) })
	n := min(len(voters), VotersMax)
	if n%2 == 0 {
		n--
	}
	return voters[:n]
}
