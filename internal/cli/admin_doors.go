package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"holdfast/internal/admin"
)

// door is the admin listener of one broker, or why it cannot be asked.
type door struct {
	broker  int32
	address string // HOST:PORT; empty: why says why not
	why     string
}

// The bounds of asking brokers for what Kafka's protocol does not tell. A broker
// that is paused never answers; a command waits for it no longer than this.
const (
	doorAnswerMax      = 1500 * time.Millisecond
	doorAnswerBytesMax = 64 << 20
)

// doors asks every broker where its admin listener is: that is the setting
// admin.listen. Brokers without such a setting are left out.
func doors(ctx context.Context, adm *kadm.Client, brokers kadm.BrokerDetails) (list []door) {
	ctx, cancel := context.WithTimeout(ctx, doorAnswerMax)
	defer cancel()
	configs, _ := adm.DescribeBrokerConfigs(ctx, brokers.NodeIDs()...) // who does not answer is not in it
	for _, b := range brokers {
		resource, err := configs.On(fmt.Sprint(b.NodeID), nil)
		if err == nil {
			err = resource.Err
		}
		if err != nil {
			list = append(list, door{broker: b.NodeID, why: "it does not answer"})
			continue
		}
		at := slices.IndexFunc(resource.Configs, func(c kadm.Config) bool { return c.Key == "admin.listen" })
		if at < 0 || resource.Configs[at].Value == nil {
			continue
		}
		d := door{broker: b.NodeID}
		d.address, d.why = doorAddress(*resource.Configs[at].Value, b.Host)
		list = append(list, d)
	}
	return list
}

// doorAddress is where a client reaches an admin listener that is bound to listen,
// of a broker that clients know as host.
func doorAddress(listen, host string) (address, why string) {
	bound, port, err := net.SplitHostPort(listen)
	switch {
	case listen == "":
		return "", "it has no admin listener"
	case err != nil || port == "0":
		return "", fmt.Sprintf("admin.listen=%s names no port", listen)
	}
	ip, err := netip.ParseAddr(bound)
	switch {
	case bound == "", err == nil && ip.IsUnspecified():
		return net.JoinHostPort(host, port), ""
	case (err == nil && ip.IsLoopback() || bound == "localhost") && !isLoopback(host):
		return "", fmt.Sprintf("its admin listener %s is for programs of its own machine", listen)
	}
	return listen, ""
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// askDoors asks all doors at once for a path and gives each answer to take, one
// after another: the answer as JSON, or why there is none.
func askDoors(ctx context.Context, list []door, path string, take func(d door, body []byte, why string)) {
	ctx, cancel := context.WithTimeout(ctx, doorAnswerMax)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, d := range list {
		wg.Go(func() {
			body, why := []byte(nil), d.why
			if why == "" {
				body, why = askDoor(ctx, d.address, path)
			}
			mu.Lock()
			defer mu.Unlock()
			take(d, body, why)
		})
	}
	wg.Wait()
}

func askDoor(ctx context.Context, address, path string) (body []byte, why string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "its admin listener " + address + " does not answer"
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Sprintf("its admin listener %s answers %s", address, resp.Status)
	}
	if body, err = io.ReadAll(io.LimitReader(resp.Body, doorAnswerBytesMax)); err != nil {
		return nil, err.Error()
	}
	return body, ""
}

// brokerStatuses asks each broker how it is.
func brokerStatuses(ctx context.Context, list []door) (all map[int32]admin.BrokerStatus, silent map[int32]string) {
	all, silent = map[int32]admin.BrokerStatus{}, map[int32]string{}
	askDoors(ctx, list, "/v1/status", func(d door, body []byte, why string) {
		var s admin.BrokerStatus
		if why == "" && json.Unmarshal(body, &s) != nil {
			why = "its admin listener answers something else"
		}
		if why != "" {
			silent[d.broker] = why
			return
		}
		all[d.broker] = s
	})
	return all, silent
}

// replicaStatuses asks each broker for its replicas of the topics.
func replicaStatuses(ctx context.Context, list []door, topics []string) (all map[int32][]admin.PartitionStatus, silent map[int32]string) {
	all, silent = map[int32][]admin.PartitionStatus{}, map[int32]string{}
	path := "/v1/partitions"
	if len(topics) == 1 && strings.IndexFunc(topics[0], func(r rune) bool { return !plainInURL(r) }) < 0 {
		path += "?topic=" + topics[0]
	}
	askDoors(ctx, list, path, func(d door, body []byte, why string) {
		var s admin.PartitionStatuses
		if why == "" && json.Unmarshal(body, &s) != nil {
			why = "its admin listener answers something else"
		}
		if why != "" {
			silent[d.broker] = why
			return
		}
		all[d.broker] = s.Partitions
	})
	return all, silent
}

// plainInURL reports whether a character of a topic's name needs no escape. Names
// that Kafka allows have no other.
func plainInURL(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("._-", r)
}
