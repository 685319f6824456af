package admin

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/internal/kafka"
)

// The JSON that commands and rigs read: what a leader knows of its followers, the
// partitions of one topic only, and lists that are never null.
func TestStatus_JSON(t *testing.T) {
	look := func() View {
		return View{
			Broker: 2, ClusterID: "c", Version: "v", Fenced: true, Checks: []Check{{Name: "quorum", Reason: "no leader"}},
			Quorum: Quorum{Leader: kafka.NoBroker, Term: 3, HighWatermark: 7, LogEnd: 9, Voters: []kafka.BrokerID{1, 2}},
			Partitions: []Partition{
				{Topic: "other", Leader: 1},
				{
					Topic: "t", Index: 4, Leader: 2, LeaderEpoch: 5, Leading: true, Assigned: []kafka.BrokerID{2, 1}, ISR: []kafka.BrokerID{2}, MinISR: 2,
					LogStart: 1, HighWatermark: 2, Durable: 3, LogEnd: 4, Bytes: 5, Waiting: 6, Fetches: 7, Fault: "x",
					Followers: []Follower{{Broker: 1, FetchEnd: 2, Durable: kafka.NoOffset, Lag: 1500 * time.Millisecond}},
				},
			},
		}
	}
	s := New(look, ProfilesLoopback, slog.New(slog.DiscardHandler))
	want := map[string]string{
		"/v1/status": `{"broker":2,"cluster_id":"c","version":"v","ready":false,"fenced":true,"checks":[{"name":"quorum","ok":false,"reason":"no leader"}],
			"quorum":{"leader":-1,"term":3,"committed_end":7,"end":9,"voters":[1,2]}}`,
		"/v1/partitions?topic=t": `{"broker":2,"partitions":[{"topic":"t","partition":4,"leader":2,"leader_epoch":5,"leading":true,"replicas":[2,1],"isr":[2],"min_insync_replicas":2,
			"log_start":1,"high_watermark":2,"durable_end":3,"end":4,"bytes":5,"fault":"x","followers":[{"broker":1,"fetch_end":2,"durable_end":-1,"in_sync":false,"lag_ms":1500}],"waiting_writes":6,"waiting_fetches":7}]}`,
		"/v1/partitions?topic=none": `{"broker":2,"partitions":[]}`,
	}
	for path, text := range want {
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		body, _ := io.ReadAll(w.Body)
		var got, wanted any
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%s: %v in %s", path, err, body)
		}
		if err := json.Unmarshal([]byte(text), &wanted); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}
