package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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

// weakRequests counts the produce requests since the broker's start that asked
// for less than acks=all.
type weakRequests struct {
	Zero int64 `json:"acks_0"`
	One  int64 `json:"acks_1"`
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
	dirs, err := adm.DescribeAllLogDirs(ctx, set)
	if err != nil {
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
					if t.Partitions[j].Partition == n {
						size := p.Size
						t.Partitions[j].Bytes = &size
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

// weakAcks asks a broker's metrics who writes with less than acks=all.
func (a *app) weakAcks(ctx context.Context, admin string, list []describedTopic) {
	if admin == "" {
		for i := range list {
			list[i].WeakWhy = "--admin HOST:PORT names the broker's admin listener, which counts them (holdfast_partition_weak_acks_total)"
		}
		return
	}
	counts, err := scrapeWeakAcks(ctx, admin)
	for i := range list {
		switch {
		case err != nil:
			list[i].WeakWhy = err.Error()
		default:
			w := counts[list[i].Topic]
			list[i].Weak = &w
		}
	}
}

const metricsMax = 64 << 20

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

// parseWeakAcks reads holdfast_partition_weak_acks_total{...,topic="t",acks="1"} N.
// Topic names need no escapes.
func parseWeakAcks(body []byte) map[string]weakRequests {
	counts := map[string]weakRequests{}
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), "holdfast_partition_weak_acks_total{")
		labels, value, ok2 := strings.Cut(rest, "} ")
		if !ok || !ok2 {
			continue
		}
		var topic, acks string
		for label := range strings.SplitSeq(labels, ",") {
			name, quoted, _ := strings.Cut(label, "=")
			switch name {
			case "topic":
				topic = strings.Trim(quoted, `"`)
			case "acks":
				acks = strings.Trim(quoted, `"`)
			}
		}
		n, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
		if err != nil {
			continue
		}
		w := counts[topic]
		if acks == "0" {
			w.Zero += int64(n)
		} else {
			w.One += int64(n)
		}
		counts[topic] = w
	}
	return counts
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
	case t.Weak != nil && *t.Weak == (weakRequests{}):
		text.WriteString("Weak acks:           none since the broker's start\n")
	case t.Weak != nil:
		fmt.Fprintf(&text, "Weak acks:           %d request(s) with acks=1, %d with acks=0 since the broker's start\n", t.Weak.One, t.Weak.Zero)
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
