package admin

import (
	"encoding/json"
	"net/http"

	"holdfast/internal/kafka"
)

// BrokerStatus is what GET /v1/status answers: this broker, and the cluster as
// this broker sees it.
type BrokerStatus struct {
	Broker    kafka.BrokerID `json:"broker"`
	ClusterID string         `json:"cluster_id"`
	Version   string         `json:"version"`
	Ready     bool           `json:"ready"`
	Fenced    bool           `json:"fenced"`
	Checks    []CheckStatus  `json:"checks"`
	Quorum    QuorumStatus   `json:"quorum"`
}

// CheckStatus is one condition of readiness.
type CheckStatus struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"` // why not; with ok, a warning
}

// QuorumStatus is the metadata quorum as this broker sees it.
type QuorumStatus struct {
	Leader kafka.BrokerID `json:"leader"` // -1: none is known
	Term   int64          `json:"term"`
	// Committed and End are of the metadata log here, exclusive.
	Committed kafka.Offset     `json:"committed_end"`
	End       kafka.Offset     `json:"end"`
	Voters    []kafka.BrokerID `json:"voters"`
}

// PartitionStatuses is what GET /v1/partitions answers: the partitions of which
// this broker holds a replica. ?topic=NAME gives those of one topic.
type PartitionStatuses struct {
	Broker     kafka.BrokerID    `json:"broker"`
	Partitions []PartitionStatus `json:"partitions"`
}

// PartitionStatus is one replica. All ends are exclusive.
type PartitionStatus struct {
	Topic         string               `json:"topic"`
	Index         kafka.PartitionIndex `json:"partition"`
	Leader        kafka.BrokerID       `json:"leader"` // -1: none
	LeaderEpoch   kafka.LeaderEpoch    `json:"leader_epoch"`
	Leading       bool                 `json:"leading"` // here
	Replicas      []kafka.BrokerID     `json:"replicas"`
	ISR           []kafka.BrokerID     `json:"isr"`
	MinISR        int                  `json:"min_insync_replicas"`
	LogStart      kafka.Offset         `json:"log_start"`
	HighWatermark kafka.Offset         `json:"high_watermark"`
	Durable       kafka.Offset         `json:"durable_end"`
	LogEnd        kafka.Offset         `json:"end"`
	Bytes         int64                `json:"bytes"`
	// Fault says why the replica does not serve; empty: it does.
	Fault string `json:"fault,omitempty"`
	// Followers is what the leader knows of the others; empty elsewhere.
	Followers []FollowerStatus `json:"followers,omitempty"`
	// Waiting is how many writes wait for the high watermark here.
	Waiting int `json:"waiting_writes"`
	// Fetches is how many fetches, of followers and consumers, wait for data here.
	Fetches int `json:"waiting_fetches"`
}

// FollowerStatus is what a leader knows of one follower.
type FollowerStatus struct {
	Broker kafka.BrokerID `json:"broker"`
	// FetchEnd and Durable are NoOffset (-1) while nothing matched in this epoch.
	FetchEnd kafka.Offset `json:"fetch_end"`
	Durable  kafka.Offset `json:"durable_end"`
	InSync   bool         `json:"in_sync"`
	// LagMillis is for how long it has been behind; 0: it is not.
	LagMillis int64 `json:"lag_ms"`
}

// status answers GET /v1/status.
func status(look func() View) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		v := look()
		s := BrokerStatus{Broker: v.Broker, ClusterID: v.ClusterID, Version: v.Version, Ready: v.Ready(), Fenced: v.Fenced, Checks: []CheckStatus{}}
		for _, c := range v.Checks {
			s.Checks = append(s.Checks, CheckStatus(c))
		}
		q := v.Quorum
		s.Quorum = QuorumStatus{Leader: q.Leader, Term: q.Term, Committed: q.HighWatermark, End: q.LogEnd, Voters: append([]kafka.BrokerID{}, q.Voters...)}
		answer(w, s)
	}
}

// partitions answers GET /v1/partitions.
func partitions(look func() View) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := look()
		topic := r.URL.Query().Get("topic")
		s := PartitionStatuses{Broker: v.Broker, Partitions: []PartitionStatus{}}
		for i := range v.Partitions {
			if p := &v.Partitions[i]; topic == "" || p.Topic == topic {
				s.Partitions = append(s.Partitions, p.status())
			}
		}
		answer(w, s)
	}
}

func (p *Partition) status() PartitionStatus {
	s := PartitionStatus{
		Topic: p.Topic, Index: p.Index, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, Leading: p.Leading,
		Replicas: append([]kafka.BrokerID{}, p.Assigned...), ISR: append([]kafka.BrokerID{}, p.ISR...), MinISR: p.MinISR,
		LogStart: p.LogStart, HighWatermark: p.HighWatermark, Durable: p.Durable, LogEnd: p.LogEnd, Bytes: p.Bytes,
		Fault: p.Fault, Waiting: p.Waiting, Fetches: p.Fetches,
	}
	for _, f := range p.Followers {
		s.Followers = append(s.Followers, FollowerStatus{Broker: f.Broker, FetchEnd: f.FetchEnd, Durable: f.Durable, InSync: f.InSync, LagMillis: f.Lag.Milliseconds()})
	}
	return s
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // a reader that went away
}
