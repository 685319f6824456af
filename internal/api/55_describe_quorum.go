package api

// DescribeQuorum, key 55, versions 0 to 2 (KIP-595).
//
//	1 when each replica was last heard of (KIP-836)
//	2 directory ids, the addresses of the voters, messages (KIP-853)
//
// Behaviours: only the leader of the quorum knows how far the others are; another
// broker asks it.
//
// Deviations from Apache Kafka: offsets are those of our own metadata log;
// directory ids are always known; voters are reached through the broker's
// listeners, as there are no others.

import (
	"context"
	"fmt"
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/quorum"
	"holdfast/internal/wire"
)

// metadataTopic is the name that the metadata log goes by.
const metadataTopic = "__cluster_metadata"

func (a *API) describeQuorum(r *Request) (*Reply, Pending) {
	q := wire.NewDescribeQuorumRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewDescribeQuorumResponse()
	none := ""
	out.ErrorMessage = &none
	if !a.authorize(r.Conn.Principal, opDescribe, clusterResource()) {
		why := "not authorised"
		out.ErrorCode, out.ErrorMessage = int16(kafka.ErrClusterAuthorizationFailed), &why
		return respond(r, &out), nil
	}
	d := a.o.Quorum.Describe()
	if a.o.Forward != nil && d.Leader != a.o.Self && d.Leader != kafka.NoBroker && !isBroker(r.Conn) {
		return nil, a.later(r, forwardWait, func(ctx context.Context) wire.Message {
			theirs := wire.NewDescribeQuorumResponse()
			if err := a.o.Forward(ctx, d.Leader, r.Header.Version, &q, &theirs); err == nil {
				return &theirs
			}
			a.describedQuorum(&q, d, &out)
			return &out
		})
	}
	a.describedQuorum(&q, d, &out)
	return respond(r, &out), nil
}

// forwardWait bounds a request that another broker answers.
const forwardWait = 5 * time.Second

func isBroker(c *Conn) bool {
	_, is := c.Peer()
	return is
}

// describedQuorum answers with what this node knows.
func (a *API) describedQuorum(q *wire.DescribeQuorumRequest, d quorum.Description, out *wire.DescribeQuorumResponse) {
	none := ""
	for _, in := range q.Topics {
		t := wire.DescribeQuorumResponseTopic{Topic: in.Topic}
		for _, p := range in.Partitions {
			w := wire.NewDescribeQuorumResponseTopicPartition()
			w.Partition, w.ErrorMessage = p.Partition, &none
			if in.Topic == metadataTopic && p.Partition == 0 {
				a.quorumState(d, &w)
				out.Nodes = a.quorumNodes(d)
			} else {
				why := "the quorum keeps " + metadataTopic + "-0 only"
				w.ErrorCode, w.ErrorMessage = int16(kafka.ErrUnknownTopicOrPartition), &why
			}
			t.Partitions = append(t.Partitions, w)
		}
		out.Topics = append(out.Topics, t)
	}
}

func (a *API) quorumState(d quorum.Description, out *wire.DescribeQuorumResponseTopicPartition) {
	if d.Leader != a.o.Self {
		why := fmt.Sprintf("node %d leads the quorum", d.Leader)
		if d.Leader == kafka.NoBroker {
			why = fmt.Sprintf("nobody leads the quorum: a majority of its %d voters has to run", len(d.Voters))
		}
		out.ErrorCode, out.ErrorMessage = int16(kafka.ErrNotLeaderOrFollower), &why
		return
	}
	out.LeaderID, out.LeaderEpoch, out.HighWatermark = int32(d.Leader), int32(d.Term), int64(d.HighWatermark)
	out.CurrentVoters, out.Observers = a.quorumReplicas(d.Voters), a.quorumReplicas(d.Observers)
}

func (a *API) quorumReplicas(in []quorum.Replica) (out []wire.DescribeQuorumResponseTopicPartitionReplicaState) {
	for _, x := range in {
		w := wire.NewDescribeQuorumResponseTopicPartitionReplicaState()
		w.ReplicaID, w.ReplicaDirectoryID, w.LogEndOffset = int32(x.Node), x.Directory, int64(x.LogEnd)
		if x.Node == a.o.Self { // a leader is always in step with itself
			now := a.o.Clock.Now().UnixMilli()
			w.LastFetchTimestamp, w.LastCaughtUpTimestamp = now, now
		}
		out = append(out, w)
	}
	return out
}

func (a *API) quorumNodes(d quorum.Description) (out []wire.DescribeQuorumResponseNode) {
	image := a.o.Quorum.Image()
	for _, list := range [][]quorum.Replica{d.Voters, d.Observers} {
		for _, x := range list {
			n := wire.DescribeQuorumResponseNode{NodeID: int32(x.Node)}
			if b := image.Broker(x.Node); b != nil {
				for _, e := range b.Endpoints {
					n.Listeners = append(n.Listeners, wire.DescribeQuorumResponseNodeListener{Name: e.Listener, Host: e.Host, Port: uint16(e.Port)})
				}
			}
			out = append(out, n)
		}
	}
	return out
}
