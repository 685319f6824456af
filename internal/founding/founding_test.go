package founding_test

import (
	"strings"
	"testing"

	"holdfast/internal/founding"
	"holdfast/internal/kafka"
)

func directory(n byte) kafka.DirectoryID { return kafka.DirectoryID{15: n} }

var named = founding.Canonical([]string{"C:9092", "a:9092", "b:9092", "a:9092 "})

func state(id kafka.BrokerID) founding.State {
	return founding.State{Broker: id, Directory: directory(byte(id)), Addresses: named}
}

func answers(states ...founding.State) (out []founding.Answer) {
	for i, s := range states {
		out = append(out, founding.Answer{Address: named[i], State: s})
	}
	return out
}

// TestDecide_SaysWhy: every way to wait names what the operator can do.
func TestDecide_SaysWhy(t *testing.T) {
	mine := state(1)
	other := kafka.ClusterID{15: 9}
	proposal := founding.Proposal{ClusterID: kafka.ClusterID{15: 7}, Proposer: 1,
		Voters: []founding.Voter{{Broker: 1, Directory: directory(1)}, {Broker: 2, Directory: directory(2)}, {Broker: 3, Directory: directory(3)}}}
	with := func(s founding.State, change func(*founding.State)) founding.State {
		change(&s)
		return s
	}
	proposed := func(s *founding.State) { s.Phase, s.Proposal = founding.Proposed, proposal }
	silent := answers(mine, state(2), state(3))
	silent[2] = founding.Answer{Address: "c:9092", Silent: "connection refused"}
	absent := answers(mine, state(2), state(3))
	absent[2] = founding.Answer{Address: "c:9092", Silent: "connection refused", Absent: true}
	for _, x := range []struct {
		name    string
		self    founding.State
		answers []founding.Answer
		action  founding.Action
		reason  string
	}{
		{"silent", mine, silent, founding.Wait, "c:9092 (connection refused)"},
		{"absent", mine, absent, founding.Propose, ""},
		{"not named", state(9), answers(state(1), state(2), state(3)), founding.Wait, "own address is not among"},
		{"lists", mine, answers(mine, with(state(2), func(s *founding.State) { s.Addresses = named[:1] }), state(3)), founding.Wait, "the same list"},
		{"twins", mine, answers(mine, state(2), with(state(2), func(s *founding.State) { s.Directory = directory(9) })), founding.Wait, "two brokers have the id 2"},
		{"clone", mine, answers(mine, state(2), with(state(3), func(s *founding.State) { s.Directory = directory(2) })), founding.Wait, "one is a copy"},
		{"lowest", mine, answers(mine, state(2), state(3)), founding.Propose, ""},
		{"not lowest", state(2), answers(mine, state(2), state(3)), founding.Wait, "broker 1 proposes"},
		{"adopt", state(2), answers(with(mine, proposed), state(2), state(3)), founding.Adopt, ""},
		{"wants another", with(state(2), func(s *founding.State) { s.ClusterID = other }), answers(with(mine, proposed), state(2), state(3)), founding.Wait, "cluster.id of this broker"},
		{"not all", with(state(2), proposed), answers(with(mine, proposed), with(state(2), proposed), state(3)), founding.Wait, "broker 3 has not stored"},
		{"all", with(state(2), proposed), answers(with(mine, proposed), with(state(2), proposed), with(state(3), proposed)), founding.Found, ""},
		{"gone", with(state(2), proposed), answers(with(mine, func(s *founding.State) { s.Directory = directory(8) }), with(state(2), proposed), with(state(3), proposed)), founding.Wait, "which is gone"},
		{"join", mine, answers(mine, with(state(2), func(s *founding.State) { s.Phase, s.ClusterID = founding.Founded, other }), state(3)), founding.Join, ""},
		{"two clusters", mine, answers(mine, with(state(2), func(s *founding.State) { s.Phase, s.ClusterID = founding.Founded, other }),
			with(state(3), func(s *founding.State) { s.Phase, s.ClusterID = founding.Founded, proposal.ClusterID })), founding.Wait, "name the brokers of one cluster"},
		{"another cluster", with(mine, proposed), answers(with(mine, proposed), with(state(2), func(s *founding.State) { s.Phase, s.ClusterID = founding.Founded, other }), state(3)), founding.Wait, "empty it"},
		{"old copy", mine, answers(mine, with(state(2), func(s *founding.State) {
			s.Phase, s.ClusterID, s.Proposal = founding.Founded, proposal.ClusterID, proposal
		}), state(3)), founding.Wait, "a copy from before"},
	} {
		d := founding.Decide(x.self, x.answers)
		if d.Action != x.action || !strings.Contains(d.Reason, x.reason) || (d.Action == founding.Wait) != (d.Reason != "") {
			t.Errorf("%s: %s %q, want %s %q", x.name, d.Action, d.Reason, x.action, x.reason)
		}
	}
}

// TestDecide_Voters: the lowest ids vote, as many as make an odd number up to five.
func TestDecide_Voters(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 1, 3: 3, 4: 3, 5: 5, 6: 5, 9: 5} {
		var list []string
		for i := range n {
			list = append(list, string(rune('a'+i)))
		}
		var present []founding.State
		for i := range n {
			present = append(present, founding.State{Broker: kafka.BrokerID(n - i), Directory: directory(byte(n - i)), Addresses: list})
		}
		var given []founding.Answer
		for _, s := range present {
			given = append(given, founding.Answer{State: s})
		}
		d := founding.Decide(present[n-1], given)
		if d.Action != founding.Propose || len(d.Voters) != want {
			t.Errorf("%d brokers: %s with %d voters, want %d", n, d.Action, len(d.Voters), want)
		}
		for i, v := range d.Voters {
			if v.Broker != kafka.BrokerID(i+1) {
				t.Errorf("%d brokers: voters %v", n, d.Voters)
			}
		}
	}
}

func TestProposal_Text(t *testing.T) {
	p := founding.Proposal{ClusterID: kafka.ClusterID{1, 2}, Proposer: 4, Voters: []founding.Voter{{Broker: 4, Directory: directory(4)}}}
	got, err := founding.ParseProposal(p.String())
	if err != nil || !got.Equal(p) {
		t.Errorf("%q gives %+v, %v", p, got, err)
	}
	for _, text := range []string{"x", "a b c", p.String() + " ", strings.Replace(p.String(), "4@", "-4@", 1), p.String() + "," + "5@x", strings.Repeat("a", 2000)} {
		if got, err := founding.ParseProposal(text); err == nil {
			t.Errorf("%q gives %+v", text, got)
		}
	}
	if got, err := founding.ParseProposal(""); err != nil || !got.IsZero() {
		t.Errorf("no proposal: %+v, %v", got, err)
	}
}

// FuzzParseProposal: whatever is read is written back the same.
func FuzzParseProposal(f *testing.F) {
	f.Add(founding.Proposal{ClusterID: kafka.ClusterID{1}, Proposer: 1, Voters: []founding.Voter{{Broker: 1, Directory: directory(1)}}}.String())
	f.Fuzz(func(t *testing.T, text string) {
		p, err := founding.ParseProposal(text)
		if err != nil {
			return
		}
		again, err := founding.ParseProposal(p.String())
		if err != nil || !again.Equal(p) {
			t.Errorf("%q: %+v, then %+v, %v", text, p, again, err)
		}
	})
}
