package node_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestDashboards_TheNamesOfTheirQueries: docs/DASHBOARDS.md says which names of
// the community's dashboards are served and which are not, and is right.
func TestDashboards_TheNamesOfTheirQueries(t *testing.T) {
	page, err := os.ReadFile("../../docs/DASHBOARDS.md")
	if err != nil {
		t.Fatal(err)
	}
	served, not, ok := strings.Cut(string(page), "\n## Not served\n")
	_, served, found := strings.Cut(served, "\n## Served\n")
	row := regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|")
	yes, no := row.FindAllStringSubmatch(served, -1), row.FindAllStringSubmatch(not, -1)
	if !ok || !found || len(yes) < 30 || len(no) < 10 {
		t.Fatalf("%d and %d names in the tables", len(yes), len(no))
	}
	bubble(t, func(t *testing.T) {
		r := newRig(t, 1, "admin.listen", adminAddress, "offsets.topic.num.partitions", "1")
		r.mustStart()
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "t", 2)
		r.produceN(c, "t", 0, 7)
		r.commitFour(c, "readers")
		families := r.families()
		for _, m := range yes {
			// The process metrics come from the machine that runs the test.
			if families[m[1]] == nil && !strings.HasPrefix(m[1], "process_") {
				t.Errorf("%s is said to be served", m[1])
			}
		}
		for _, m := range no {
			if families[m[1]] != nil {
				t.Errorf("%s is said not to be served", m[1])
			}
		}
		for name, want := range map[string]float64{"kafka_consumergroup_current_offset": 4, "kafka_consumergroup_lag": 3, "kafka_consumergroup_lag_sum": 3} {
			if got := families[name].GetMetric(); len(got) != 1 || valueOf(got[0]) != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
	})
}

// TestMetrics_TakeAnyName: names that strangers choose neither end a scrape nor
// the broker.
func TestMetrics_TakeAnyName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 1, "admin.listen", adminAddress, "offsets.topic.num.partitions", "1")
		r.mustStart()
		defer func() { _ = r.stop() }()
		c := r.client(kgo.ClientID("\xfe\"\n"), kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
		defer c.Close()
		r.createTopic(c, "t", 1)
		r.produceN(c, "t", 0, 5)
		for _, group := range []string{"\xff", "\xfe", "a\nb\"c\\"} {
			r.commitFour(c, group)
		}
		families := r.families()
		if got := families["kafka_consumergroup_current_offset"].GetMetric(); len(got) != 3 {
			t.Errorf("%d groups, want 3: %v", len(got), got)
		}
		if got := families["holdfast_weak_acks_client_batches_total"].GetMetric(); len(got) != 1 || valueOf(got[0]) < 1 {
			t.Errorf("weak clients: %v", got)
		}
	})
}

// commitFour commits position 4 of partition 0 of topic t for a group without
// members.
func (r *rig) commitFour(c *kgo.Client, group string) {
	r.t.Helper()
	var at kadm.Offsets
	at.AddOffset("t", 0, 4, -1)
	got, err := kadm.NewClient(c).CommitOffsets(r.t.Context(), group, at)
	if err == nil {
		err = got.Error()
	}
	if err != nil {
		r.t.Fatal(err)
	}
}
