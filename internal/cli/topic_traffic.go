package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// traffic is what a topic weighs and how it is written to. Pointers are nil
// where nobody could tell.
type traffic struct {
	Bytes   *int64        `json:"bytes,omitempty"` // on disk, of all replicas
	Rate    *float64      `json:"records_per_second,omitempty"`
	Weak    *weakRequests `json:"weak_acks,omitempty"`
	WeakWhy string        `json:"weak_acks_unknown,omitempty"` // why Weak is not known
}

// weakRequests counts the batches since the broker's start that asked
// for less than acks=all.
type weakRequests struct {
	Zero    int64        `json:"acks_0"`
	One     int64        `json:"acks_1"`
	Clients []weakClient `json:"clients,omitempty"`
}

// weakClient is one client id that asked for less than acks=all.
type weakClient struct {
	ClientID string `json:"client_id"`
	Acks     string `json:"acks"`
	Batches  int64  `json:"batches"`
}

// sizes asks the brokers how many bytes each topic takes. What is not answered
// stays unknown.
func sizes(ctx context.Context, adm *kadm.Client, list []describedTopic) {
	set := kadm.TopicsSet{}
	for _, t := range list {
		for _, p := range t.Partitions {
			set.Add(t.Topic, p.Partition)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, doorAnswerMax)
	defer cancel()
	dirs, err := adm.DescribeAllLogDirs(ctx, set)
	var some *kadm.ShardErrors
	if err != nil && !errors.As(err, &some) {
		return
	}
	for i := range list {
		t := &list[i]
		var total int64
		found := false
		dirs.Each(func(d kadm.DescribedLogDir) {
			for n, p := range d.Topics[t.Topic] {
				total, found = total+p.Size, true
				for j := range t.Partitions {
					q := &t.Partitions[j]
					if q.Partition == n && (q.Bytes == nil || d.Broker == q.Leader) {
						size := p.Size
						q.Bytes = &size
					}
				}
			}
		})
		if found {
			t.Bytes = &total
		}
	}
}

// rates looks at the ends of the partitions twice.
func (a *app) rates(ctx context.Context, adm *kadm.Client, list []describedTopic, over time.Duration) error {
	if over <= 0 {
		return nil
	}
	names := make([]string, len(list))
	for i, t := range list {
		names[i] = t.Topic
	}
	first, err := adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return err
	}
	began := a.Streams.Clock.Now()
	timer := a.Streams.Clock.NewTimer(over)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-ctx.Done():
		return ctx.Err()
	}
	second, err := adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return err
	}
	took := a.Streams.Clock.Since(began).Seconds()
	for i := range list {
		var more int64
		for n, end := range second[list[i].Topic] {
			if before, ok := first.Lookup(list[i].Topic, n); ok && before.Err == nil && end.Err == nil {
				more += end.Offset - before.Offset
			}
		}
		rate := float64(more) / took
		list[i].Rate = &rate
	}
	return nil
}

// weakAcks asks brokers' metrics who writes with less than acks=all: each counts
// what came to it.
func (a *app) weakAcks(ctx context.Context, admins []string, list []describedTopic) {
	if len(admins) == 0 {
		for i := range list {
			list[i].WeakWhy = "--admin HOST:PORT names the broker's admin listener, which counts them (holdfast_partition_weak_acks_total)"
		}
		return
	}
	for _, admin := range admins {
		counts, err := scrapeWeakAcks(ctx, admin)
		for i := range list {
			if err != nil {
				list[i].WeakWhy = err.Error()
				continue
			}
			w := counts[list[i].Topic]
			if sum := list[i].Weak; sum != nil {
				w.Zero, w.One, w.Clients = w.Zero+sum.Zero, w.One+sum.One, append(w.Clients, sum.Clients...)
			}
			list[i].Weak = &w
		}
	}
}

const metricsMax = 64 << 20

// weakShown is how many clients with weak acks are named; -O json has them all.
const weakShown = 10

// metricsURL is where a broker's metrics are: its admin listener may be named as
// HOST:PORT, as a URL, or as the URL of the metrics that a starting broker prints.
func metricsURL(admin string) string {
	if !strings.Contains(admin, "://") {
		admin = "http://" + admin
	}
	return strings.TrimSuffix(strings.TrimSuffix(admin, "/"), "/metrics") + "/metrics"
}

func scrapeWeakAcks(ctx context.Context, admin string) (map[string]weakRequests, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, metricsURL(admin), nil)
	if err != nil {
		return nil, fmt.Errorf("--admin %s: want HOST:PORT", admin)
	}
	resp, err := http.DefaultClient.Do(req)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%s: connection refused; is that the broker's admin listener (--admin-listen)?", req.URL.Host)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return nil, fmt.Errorf("%s does not speak HTTP; is that the broker's admin listener (--admin-listen)?", req.URL.Host)
	case err != nil:
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", req.URL, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, metricsMax))
	if err != nil {
		return nil, err
	}
	return parseWeakAcks(body), nil
}

// The metrics that say who writes with weak acks: by partition, and by client.
const (
	weakByPartition = "holdfast_partition_weak_acks_total"
	weakByClient    = "holdfast_weak_acks_client_batches_total"
)

func parseWeakAcks(body []byte) map[string]weakRequests {
	counts := map[string]weakRequests{}
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		name, labels, n := parseSample(lines.Text())
		w := counts[labels["topic"]]
		switch {
		case name == weakByPartition && labels["acks"] == "0":
			w.Zero += n
		case name == weakByPartition:
			w.One += n
		case name == weakByClient:
			w.Clients = append(w.Clients, weakClient{ClientID: labels["client_id"], Acks: labels["acks"], Batches: n})
		default:
			continue
		}
		counts[labels["topic"]] = w
	}
	for _, w := range counts {
		slices.SortFunc(w.Clients, func(a, b weakClient) int { return cmp.Compare(b.Batches, a.Batches) })
	}
	return counts
}

// parseSample reads a line of Prometheus' text format; labels is nil for a line
// that has none.
func parseSample(line string) (name string, labels map[string]string, value int64) {
	name, rest, ok := strings.Cut(line, "{")
	if !ok || strings.HasPrefix(line, "#") {
		return "", nil, 0
	}
	labels = map[string]string{}
	for !strings.HasPrefix(rest, "}") {
		label, after, ok := strings.Cut(rest, "=")
		quoted, err := strconv.QuotedPrefix(after)
		if !ok || err != nil {
			return "", nil, 0
		}
		labels[label], _ = strconv.Unquote(quoted)
		rest = strings.TrimPrefix(after[len(quoted):], ",")
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(rest[1:]), 64)
	if err != nil {
		return "", nil, 0
	}
	return name, labels, int64(n)
}

// lines are the traffic for people.
func (t traffic) lines() string {
	var text strings.Builder
	if t.Bytes != nil {
		fmt.Fprintf(&text, "Size:                %s\n", bytesText(*t.Bytes))
	}
	if t.Rate != nil {
		fmt.Fprintf(&text, "Write rate:          %.1f record(s)/s\n", *t.Rate)
	}
	switch {
	case t.Weak != nil && t.Weak.Zero+t.Weak.One == 0:
		text.WriteString("Weak acks:           none since the broker's start\n")
	case t.Weak != nil:
		fmt.Fprintf(&text, "Weak acks:           %d batch(es) with acks=1, %d with acks=0 since the broker's start\n", t.Weak.One, t.Weak.Zero)
		for _, c := range t.Weak.Clients[:min(len(t.Weak.Clients), weakShown)] {
			fmt.Fprintf(&text, "                     %d with acks=%s from client id %q\n", c.Batches, c.Acks, c.ClientID)
		}
		if more := len(t.Weak.Clients) - weakShown; more > 0 {
			fmt.Fprintf(&text, "                     and %d more client ids\n", more)
		}
	case t.WeakWhy != "":
		fmt.Fprintf(&text, "Weak acks:           not known: %s\n", clean(t.WeakWhy))
	}
	return text.String()
}

func bytesText(n int64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n), []string{"KiB", "MiB", "GiB", "TiB", "PiB"}
	i := -1
	for f >= step && i+1 < len(units) {
		f /= step
		i++
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
