package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/kafka"
	"holdfast/tests/rig"
)

// Partition is what the cluster says of one partition.
type Partition struct {
	Index    int32
	Leader   kafka.BrokerID // NoBroker: none
	Epoch    int32
	Replicas []kafka.BrokerID
	ISR      []kafka.BrokerID
	Held     []Replica // by those brokers that answer
	// Silent says why a broker did not answer.
	Silent map[kafka.BrokerID]error
}

// Replica is what one broker says of its own replica.
type Replica struct {
	Broker        kafka.BrokerID `json:"-"`
	Topic         string         `json:"topic"`
	Index         int32          `json:"partition"`
	Leading       bool           `json:"leading"`
	HighWatermark int64          `json:"high_watermark"`
	Durable       int64          `json:"durable_end"`
	End           int64          `json:"end"`
	Bytes         int64          `json:"bytes"`
	Fetches       int            `json:"waiting_fetches"` // that the leader holds back
	// Followers is what the leader knows of the others.
	Followers []Follower `json:"followers"`
}

// Follower is what a leader knows of one follower.
type Follower struct {
	Broker    kafka.BrokerID `json:"broker"`
	FetchEnd  int64          `json:"fetch_end"`
	Durable   int64          `json:"durable_end"`
	InSync    bool           `json:"in_sync"`
	LagMillis int64          `json:"lag_ms"`
}

// WaitVoters waits until the metadata quorum has as many voters as a cluster of
// this size grows to, and each has everything that is committed. A voter whose
// directory was wiped has not, until another directory has got its vote.
func (c *Cluster) WaitVoters(limit time.Duration) error {
	want := min(3, len(c.Nodes)+len(c.Nodes)%2-1)
	return c.Await(limit, func(ctx context.Context) error {
		boss, err := c.Controller(ctx)
		if err != nil {
			return err
		}
		r := kmsg.NewPtrDescribeQuorumRequest()
		t, p := kmsg.NewDescribeQuorumRequestTopic(), kmsg.NewDescribeQuorumRequestTopicPartition()
		t.Topic, t.Partitions = "__cluster_metadata", append(t.Partitions, p)
		r.Topics = append(r.Topics, t)
		answer, err := request(ctx, c.Node(boss), r)
		if err != nil {
			return err
		}
		for _, t := range answer.(*kmsg.DescribeQuorumResponse).Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 || len(p.CurrentVoters) != want {
					return fmt.Errorf("the quorum answers %d and has %d voters, want %d", p.ErrorCode, len(p.CurrentVoters), want)
				}
				for _, v := range p.CurrentVoters {
					if v.LogEndOffset < p.HighWatermark {
						return fmt.Errorf("voter %d has %d of %d in the metadata log", v.ReplicaID, v.LogEndOffset, p.HighWatermark)
					}
				}
			}
		}
		return nil
	})
}

// metadata asks one broker, without topics.
func (c *Cluster) metadata(ctx context.Context, n *Node) (*kmsg.MetadataResponse, error) {
	if !n.Alive() {
		return nil, errors.New("it is down")
	}
	if !n.Listens() {
		return nil, errors.New("nobody listens")
	}
	r := kmsg.NewPtrMetadataRequest()
	r.Topics = []kmsg.MetadataRequestTopic{}
	return requestMetadata(ctx, n, r)
}

func requestMetadata(ctx context.Context, n *Node, r *kmsg.MetadataRequest) (*kmsg.MetadataResponse, error) {
	got, err := request(ctx, n, r)
	if err != nil {
		return nil, err
	}
	return got.(*kmsg.MetadataResponse), nil
}

// request asks exactly one broker over a connection of its own.
func request(ctx context.Context, n *Node, r kmsg.Request) (kmsg.Response, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.Place.Addr), kgo.RequestRetries(0), kgo.DialTimeout(time.Second), kgo.DisableClientMetrics())
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	return cl.SeedBrokers()[0].Request(ctx, r)
}

// Controller is the broker that leads the metadata quorum, as the first broker
// that answers says.
func (c *Cluster) Controller(ctx context.Context) (kafka.BrokerID, error) {
	last := errors.New("no broker answers")
	for _, n := range c.Nodes {
		m, err := c.metadata(ctx, n)
		if err == nil && m.ControllerID >= 0 {
			return kafka.BrokerID(m.ControllerID), nil
		}
		if err != nil {
			last = err
		}
	}
	return kafka.NoBroker, fmt.Errorf("find the controller: %w", last)
}

// Partitions is what the cluster says of a topic, by index, as the first of these
// brokers that answers sees it; none: any. Ends are from every broker that
// answers in time.
func (c *Cluster) Partitions(ctx context.Context, topic string, witnesses ...*Node) ([]Partition, error) {
	if len(witnesses) == 0 {
		witnesses = c.Nodes
	}
	last := errors.New("no broker answers")
	for _, n := range witnesses {
		if !n.Alive() {
			continue
		}
		one, cancel := context.WithTimeout(ctx, time.Second)
		list, err := partitionsSeenBy(one, n, topic)
		cancel()
		if err != nil {
			last = fmt.Errorf("broker %d: %w", n.ID, err)
			continue
		}
		c.addHeld(ctx, topic, list)
		return list, nil
	}
	return nil, fmt.Errorf("describe %s: %w", topic, last)
}

// Partition is one of Partitions.
func (c *Cluster) Partition(ctx context.Context, tp kafka.TopicPartition, witnesses ...*Node) (Partition, error) {
	list, err := c.Partitions(ctx, tp.Topic, witnesses...)
	if err != nil {
		return Partition{}, err
	}
	if int(tp.Partition) >= len(list) {
		return Partition{}, fmt.Errorf("%s has %d partitions", tp.Topic, len(list))
	}
	return list[tp.Partition], nil
}

func partitionsSeenBy(ctx context.Context, n *Node, topic string) ([]Partition, error) {
	r := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	r.Topics = append(r.Topics, t)
	m, err := requestMetadata(ctx, n, r)
	if err != nil {
		return nil, err
	}
	var list []Partition
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			list = append(list, Partition{Index: p.Partition, Leader: kafka.BrokerID(p.Leader), Epoch: p.LeaderEpoch, Replicas: brokerIDs(p.Replicas), ISR: brokerIDs(p.ISR)})
		}
	}
	if len(list) == 0 {
		return nil, errors.New("the topic is not there")
	}
	slices.SortFunc(list, func(a, b Partition) int { return int(a.Index - b.Index) })
	return list, nil
}

func brokerIDs(in []int32) (out []kafka.BrokerID) {
	for _, id := range in {
		out = append(out, kafka.BrokerID(id))
	}
	slices.Sort(out)
	return out
}

// addHeld asks every broker that runs what it holds.
func (c *Cluster) addHeld(ctx context.Context, topic string, list []Partition) {
	for _, n := range c.Nodes {
		held, err := n.Holds(ctx, topic)
		if err != nil {
			for i := range list {
				if list[i].Silent == nil {
					list[i].Silent = map[kafka.BrokerID]error{}
				}
				list[i].Silent[n.ID] = err
			}
		}
		for _, r := range held {
			if int(r.Index) < len(list) {
				list[r.Index].Held = append(list[r.Index].Held, r)
			}
		}
	}
}

// Holds is what the broker says of its own replicas of a topic.
func (n *Node) Holds(ctx context.Context, topic string) ([]Replica, error) {
	if !n.Alive() {
		return nil, errors.New("it is down")
	}
	if n.c.o.Target.ReadyURL(n.Place) == "" {
		return nil, errors.New("brokers of this make do not tell")
	}
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond) // a paused one never answers
	defer cancel()
	body, err := n.get(ctx, "/v1/partitions?topic="+topic)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Partitions []Replica `json:"partitions"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("broker %d holds: %w in %q", n.ID, err, body)
	}
	for i := range answer.Partitions {
		answer.Partitions[i].Broker = n.ID
	}
	return answer.Partitions, nil
}

// get asks the admin listener of the broker.
func (n *Node) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Place.Admin+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	const most = 16 << 20
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("broker %d answers %s to %s", n.ID, resp.Status, path)
	}
	return body, err
}

// Healthz is what the broker says of its health.
func (n *Node) Healthz(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Place.Admin+"/healthz", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return string(body), err
}

// WaitISR waits until every partition of the topics has a leader and all its
// replicas in sync.
func (c *Cluster) WaitISR(limit time.Duration, topics ...string) error {
	return c.Await(limit, func(ctx context.Context) error {
		for _, topic := range topics {
			list, err := c.Partitions(ctx, topic)
			if err != nil {
				return err
			}
			for _, p := range list {
				if p.Leader == kafka.NoBroker || len(p.ISR) < len(p.Replicas) {
					return fmt.Errorf("%s-%d: %s", topic, p.Index, p)
				}
			}
		}
		return nil
	})
}

// WaitPartition waits until a partition is as ok says.
func (c *Cluster) WaitPartition(limit time.Duration, tp kafka.TopicPartition, what string, ok func(Partition) bool, witnesses ...*Node) (Partition, error) {
	var last Partition
	err := c.Await(limit, func(ctx context.Context) error {
		p, err := c.Partition(ctx, tp, witnesses...)
		if err != nil {
			return err
		}
		last = p
		if !ok(p) {
			return fmt.Errorf("%s: want %s, it has %s", tp, what, p)
		}
		return nil
	})
	return last, err
}

// String is one line: leader, epoch, ISR, each replica's end, high watermark.
func (p Partition) String() string {
	var b strings.Builder
	leader := "none"
	if p.Leader != kafka.NoBroker {
		leader = fmt.Sprint(p.Leader)
	}
	fmt.Fprintf(&b, "leader %s, epoch %d, in sync %v of %v", leader, p.Epoch, p.ISR, p.Replicas)
	for _, id := range p.Replicas {
		r, ok := p.On(id)
		if !ok {
			fmt.Fprintf(&b, "; broker %d: no answer (%v)", id, p.Silent[id])
			continue
		}
		fmt.Fprintf(&b, "; broker %d: end %d, durable %d, high watermark %d", id, r.End, r.Durable, r.HighWatermark)
	}
	return b.String()
}

// On is the replica of one broker, if it answered.
func (p Partition) On(id kafka.BrokerID) (Replica, bool) {
	for _, r := range p.Held {
		if r.Broker == id {
			return r, true
		}
	}
	return Replica{}, false
}

// Has reports whether a broker is in sync.
func (p Partition) Has(id kafka.BrokerID) bool { return slices.Contains(p.ISR, id) }

// Follower is a replica that does not lead.
func (p Partition) Follower() kafka.BrokerID {
	for _, id := range p.Replicas {
		if id != p.Leader {
			return id
		}
	}
	return kafka.NoBroker
}

// names of topics.
func names(topics []rig.Topic) (all []string) {
	for _, t := range topics {
		all = append(all, t.Name)
	}
	return all
}

// Ready reports whether the broker says that it serves.
func (n *Node) Ready() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := n.get(ctx, "/readyz")
	return err == nil
}
