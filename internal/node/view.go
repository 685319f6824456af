package node

import (
	"fmt"

	"holdfast/internal/admin"
	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/partition"
	"holdfast/internal/wire"
)

// view is a picture of the broker for the admin door.
func (n *Node) view() admin.View {
	if !n.built.Load() {
		return n.viewOfStart()
	}
	image := n.quorum.Image()
	id := n.dir.Identity()
	v := admin.View{Broker: id.NodeID, ClusterID: id.ClusterID.String(), Version: n.o.Version, Started: n.started,
		Topics: len(image.Topics()), Brokers: len(image.Brokers()), Checks: n.checks()}
	for _, p := range n.broker.Partitions() {
		t := image.TopicByID(p.ID().TopicID)
		if t == nil || int(p.ID().Partition) >= len(t.Partitions) {
			continue
		}
		state := t.Partitions[p.ID().Partition]
		v.Partitions = append(v.Partitions, n.partition(p, state))
	}
	n.fillRequests(&v)
	n.fillGroups(&v)
	n.fillNetwork(&v)
	n.fillStorage(&v)
	d := n.quorum.Describe()
	v.Quorum = admin.Quorum{Leader: d.Leader, Term: int64(d.Term), HighWatermark: d.HighWatermark, LogEnd: d.LogEnd, IsLeader: d.Leader == id.NodeID}
	for _, x := range d.Voters {
		v.Quorum.Voters = append(v.Quorum.Voters, x.Node)
	}
	v.Quorum.Offline = len(n.broker.Failed())
	return v
}

// viewOfStart is the picture of a broker that is not ready yet.
func (n *Node) viewOfStart() admin.View {
	who, reason := n.identity(), "the broker is starting"
	if waits := n.waits.Load(); waits != nil {
		reason = *waits
	}
	return admin.View{Broker: who.Broker, ClusterID: who.Cluster.String(), Version: n.o.Version, Started: n.started,
		Checks: []admin.Check{{Name: "serving", Reason: reason}}}
}

func (n *Node) partition(p *partition.Partition, state meta.Partition) admin.Partition {
	o, counts, c := p.Offsets(), p.Counts(), p.Config()
	writes, fetches := p.Waiting()
	fault := ""
	if err := p.Err(); err != nil {
		fault = err.Error()
	}
	return admin.Partition{
		Topic: p.Topic(), Index: p.ID().Partition,
		Leader: state.Leader, LeaderEpoch: state.LeaderEpoch, Leading: o.Leading,
		Replicas: len(state.Replicas), InSync: len(state.ISR), Assigned: state.Replicas, ISR: state.ISR, Followers: n.followers(p),
		Waiting: writes, Fetches: fetches, Fault: fault, MinISR: c.EffectiveMinISR(len(state.Replicas)),
		PageCache: c.Durability == config.DurabilityPageCache,
		LogStart:  o.LogStart, HighWatermark: o.HighWatermark, Durable: o.Durable, LogEnd: o.LogEnd, Bytes: p.Log().Size(),
		WeakZero: counts.WeakZero, WeakOne: counts.WeakOne,
		In: admin.Flow{Records: counts.RecordsIn, Bytes: counts.BytesIn}, Out: counts.BytesOut,
		Appends: admin.Tally{Total: counts.Appends, Failed: counts.Refused}, Reads: admin.Tally{Total: counts.Reads, Failed: counts.Unread},
	}
}

// followers is what this broker knows of the other replicas, where it leads.
func (n *Node) followers(p *partition.Partition) (list []admin.Follower) {
	for _, r := range p.Replicas() {
		if r.ID == n.dir.Identity().NodeID {
			continue
		}
		f := admin.Follower{Broker: r.ID, FetchEnd: r.FetchEnd, Durable: r.DurableEnd, InSync: r.InSync}
		if !r.LagSince.IsZero() {
			f.Lag = n.o.Env.Clock.Since(r.LagSince)
		}
		list = append(list, f)
	}
	return list
}

// checks are the conditions of readiness.
func (n *Node) checks() []admin.Check {
	var out []admin.Check
	add := func(name string, ok bool, reason string) {
		if ok {
			reason = ""
		}
		out = append(out, admin.Check{Name: name, OK: ok, Reason: reason})
	}
	add("serving", n.ready.Load(), "the broker is starting or stopping")
	me := n.quorum.Image().Broker(n.dir.Identity().NodeID)
	add("admitted", me != nil && !me.Fenced && !n.life.IsIsolated(), "the controller does not hear this broker, or is not heard: others may lead what it led")
	err := n.dir.Err()
	add("storage", err == nil, fmt.Sprint(err))
	failed := n.broker.Failed()
	add("logs", len(failed) == 0, fmt.Sprintf("%d partitions do not open; see the log", len(failed)))
	if rot := n.broker.Corrupt(); len(rot) > 0 {
		// Everything else serves: a warning, not a reason to send nobody here.
		out = append(out, admin.Check{Name: "data", OK: true,
			Reason: fmt.Sprintf("%d closed segments are corrupt and not served; see the log", len(rot))})
	}
	if k := n.broker.Strays(); k > 0 {
		out = append(out, admin.Check{Name: "directories", OK: true, Reason: fmt.Sprintf("%d partition directories belong to no known topic; see the log", k)})
	}
	add("disk space", !n.dir.Full(), "below the reserve of free space: writes are refused")
	return out
}

func (n *Node) fillRequests(v *admin.View) {
	s := n.api.Stats()
	for _, k := range wire.APIs() {
		if total, failed := s.Requests(k.Key); total > 0 {
			v.Requests = append(v.Requests, admin.Requests{API: k.Name, Total: total, Failed: failed})
		}
	}
	for _, w := range n.api.WeakClients() {
		v.WeakClients = append(v.WeakClients, admin.WeakClient(w))
	}
	for i := range v.Partitions {
		v.WeakAcks.Zero += v.Partitions[i].WeakZero
		v.WeakAcks.One += v.Partitions[i].WeakOne
	}
}

// positionsShown bounds a scrape: so many committed positions are listed.
const positionsShown = 20_000

func (n *Node) fillGroups(v *admin.View) {
	if len(n.bound) > 0 {
		v.Address = n.bound[0].Advertised.String()
	}
	type place struct {
		topic string
		index kafka.PartitionIndex
	}
	marks := make(map[place]kafka.Offset, len(v.Partitions))
	for i := range v.Partitions {
		marks[place{v.Partitions[i].Topic, v.Partitions[i].Index}] = v.Partitions[i].HighWatermark
	}
	groups, hidden := n.coord.Summaries(positionsShown)
	v.GroupsHidden = hidden
	for _, g := range groups {
		shown := admin.Group{Name: g.Group, Members: g.Members}
		for _, p := range g.Offsets {
			mark, here := marks[place{p.Topic, p.Partition}]
			if !here {
				mark = kafka.NoOffset
			}
			shown.Positions = append(shown.Positions, admin.Position{Topic: p.Topic, Index: p.Partition, Committed: p.Offset, HighWatermark: mark})
		}
		v.Groups = append(v.Groups, shown)
	}
}

func (n *Node) fillNetwork(v *admin.View) {
	s := n.server.Stats()
	v.Network = admin.Network{Open: s.Open.Load(), Accepted: s.Accepted.Load(), Refused: s.Refused.Load(),
		ClosedIdle: s.ClosedIdle.Load(), ClosedSlow: s.ClosedSlow.Load(), BadFrames: s.BadFrames.Load(),
		BytesIn: s.BytesIn.Load(), BytesOut: s.BytesOut.Load()}
}

func (n *Node) fillStorage(v *admin.View) {
	s, u := n.dir.Stats(), n.dir.Usage()
	free, total := n.dir.Space()
	v.Storage = admin.Storage{Failed: n.dir.Err() != nil, Full: n.dir.Full(), Free: free, Total: total,
		FlushRounds: s.Rounds.Load(), FlushedBytes: s.Bytes.Load(), FlushSeconds: float64(s.Nanoseconds.Load()) / 1e9,
		JournalUsed: u.Used, JournalSize: u.Size, DirectSyncs: s.DirectSyncs.Load(), Checkpoints: s.Checkpoints.Load(),
		CheckpointsFailed: s.CheckpointFailures.Load(), NoDescriptor: s.NoDescriptor.Load(), Strays: n.broker.Strays(),
		ScrubbedBytes: n.broker.Scrubbed(), CorruptSegments: len(n.broker.Corrupt())}
}
