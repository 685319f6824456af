package node_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"holdfast/internal/vfs"
)

const adminAddress = "broker:9644"

// getFrom asks the admin door from a machine.
func (r *rig) getFrom(machine, path string) (code int, body string) {
	r.t.Helper()
	return r.getFromAt(machine, adminAddress, path)
}

func (r *rig) getFromAt(machine, at, path string) (code int, body string) {
	r.t.Helper()
	host := r.world.Network.Host(machine)
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return host.Dial(at, time.Second) }}
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	got, err := client.Get("http://" + at + path)
	if err != nil {
		return 0, err.Error()
	}
	defer got.Body.Close()
	b, err := io.ReadAll(got.Body)
	if err != nil {
		r.t.Fatalf("%s: %v", path, err)
	}
	return got.StatusCode, string(b)
}

func (r *rig) get(path string) (code int, body string) { return r.getFrom("operator", path) }

// families are the metrics as Prometheus parses them.
func (r *rig) families() map[string]*dto.MetricFamily {
	r.t.Helper()
	code, body := r.get("/metrics")
	if code != 200 {
		r.t.Fatalf("/metrics: %d %s", code, body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	got, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		r.t.Fatalf("/metrics does not parse: %v", err)
	}
	return got
}

func valueOf(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
}

// metrics are the metrics without labels.
func (r *rig) metrics() map[string]float64 {
	out := map[string]float64{}
	for name, f := range r.families() {
		for _, m := range f.Metric {
			if len(m.Label) == 0 {
				out[name] = valueOf(m)
			}
		}
	}
	return out
}

// TestAdmin_MetricsSpeakPrometheus: names, types, help and labels are what
// Prometheus and the dashboards expect, and the numbers are those of what happened.
func TestAdmin_MetricsSpeakPrometheus(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 1, "admin.listen", adminAddress)
		r.mustStart()
		defer func() { _ = r.stop() }()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "orders", 2)
		r.produceN(c, "orders", 0, 7)
		families := r.families()
		name := regexp.MustCompile(`^(holdfast|kafka|go|process|promhttp)_[a-z0-9_]+$`)
		for n, f := range families {
			if !name.MatchString(n) {
				t.Errorf("the name %q", n)
			}
			if f.GetHelp() == "" || f.GetType() == dto.MetricType_UNTYPED {
				t.Errorf("%s has type %s and help %q", n, f.GetType(), f.GetHelp())
			}
			counter := f.GetType() == dto.MetricType_COUNTER
			if ours := strings.HasPrefix(n, "holdfast_"); ours && counter != strings.HasSuffix(n, "_total") {
				t.Errorf("%s is a %s", n, f.GetType())
			}
		}
		want := map[string]float64{
			"kafka_brokers": 1, "holdfast_ready": 1, "holdfast_storage_failed": 0,
			"kafka_controller_kafkacontroller_activecontrollercount": 1,
			"kafka_server_replicamanager_partitioncount":             2,
			"kafka_server_replicamanager_leadercount":                2,
			"holdfast_corrupt_segments":                              0,
		}
		got := r.metrics()
		for n, v := range want {
			if have, ok := got[n]; !ok || have != v {
				t.Errorf("%s is %v (%v), want %v", n, have, ok, v)
			}
		}
		labelled := func(n string, labels ...string) (float64, bool) {
			for _, m := range families[n].GetMetric() {
				have := map[string]string{}
				for _, l := range m.Label {
					have[l.GetName()] = l.GetValue()
				}
				same := true
				for i := 0; i < len(labels); i += 2 {
					same = same && have[labels[i]] == labels[i+1]
				}
				if same {
					return valueOf(m), true
				}
			}
			return 0, false
		}
		for _, x := range []struct {
			name string
			want float64
		}{{"kafka_topic_partition_current_offset", 7}, {"kafka_topic_partition_oldest_offset", 0}, {"holdfast_partition_durable_offset", 7}, {"kafka_topic_partition_leader", 1}} {
			if v, ok := labelled(x.name, "topic", "orders", "partition", "0"); !ok || v != x.want {
				t.Errorf("%s{orders,0} is %v (%v), want %v", x.name, v, ok, x.want)
			}
		}
		if v, ok := labelled("kafka_server_brokertopicmetrics_messagesin_total", "topic", "orders"); !ok || v != 7 {
			t.Errorf("messages in: %v, %v", v, ok)
		}
	})
}

// TestAdmin_HealthFollowsTheBroker: alive all the time; ready when the doors are
// open, not after the disk has failed, with the reason; gone after a stop.
func TestAdmin_HealthFollowsTheBroker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, 1, "admin.listen", adminAddress)
		r.mustStart()
		c := r.client()
		defer c.Close()
		r.createTopic(c, "t", 1)
		expect := func(path string, code int, part string) {
			t.Helper()
			got, body := r.get(path)
			if got != code || !strings.Contains(body, part) {
				t.Errorf("%s: %d %q, want %d and %q", path, got, body, code, part)
			}
		}
		expect("/livez", 200, "ok")
		expect("/readyz", 200, "ok")
		expect("/healthz", 200, "[+] storage")
		expect("/nothing", 404, "")
		r.ground.Disk.Inject(vfs.Fault{Op: vfs.OpWrite | vfs.OpSync, Path: "holdfast.journal"})
		once := r.once()
		defer once.Close()
		_ = produceOne(once, "t", "x")
		expect("/livez", 200, "ok")
		expect("/readyz", 503, "[-] storage:")
		if got := r.metrics(); got["holdfast_storage_failed"] != 1 || got["holdfast_ready"] != 0 {
			t.Errorf("metrics of a stopped directory: failed %v, ready %v", got["holdfast_storage_failed"], got["holdfast_ready"])
		}
		_ = r.stop()
		if code, _ := r.get("/livez"); code != 0 {
			t.Errorf("a stopped broker answers %d", code)
		}
	})
}

// TestAdmin_ProfilesAreForTheMachineItself unless the settings say otherwise.
func TestAdmin_ProfilesAreForTheMachineItself(t *testing.T) {
	for setting, want := range map[string]int{"": 403, "loopback": 403, "all": 200, "off": 403} {
		bubble(t, func(t *testing.T) {
			extra := []string{"admin.listen", adminAddress}
			if setting != "" {
				extra = append(extra, "admin.profiles", setting)
			}
			r := newRig(t, 1, extra...)
			r.mustStart()
			defer func() { _ = r.stop() }()
			for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap?debug=1"} {
				if code, _ := r.get(path); code != want {
					t.Errorf("admin.profiles=%s: %s from another machine: %d, want %d", setting, path, code, want)
				}
			}
			if code, _ := r.get("/metrics"); code != 200 {
				t.Errorf("metrics: %d", code)
			}
		})
	}
}
