package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/admin"
	"holdfast/internal/clock"
)

// health is the verdict over a cluster.
type health struct {
	Healthy  bool     `json:"healthy"`
	Reasons  []string `json:"reasons"`  // why not; empty where it is
	Warnings []string `json:"warnings"` // what does not stop anything yet, or could not be asked
	Brokers  int      `json:"brokers"`
	Topics   int      `json:"topics"`
	// Partitions of all topics, those without a leader, those that refuse writes,
	// those with a replica that is not in sync.
	Partitions      int `json:"partitions"`
	Leaderless      int `json:"leaderless_partitions"`
	Refusing        int `json:"refusing_partitions"`
	UnderReplicated int `json:"under_replicated_partitions"`
}

const healthLong = `Ask every broker how it is, and say whether all is well: exit status 0 if so, 10 if
not, with each reason; 1 if nobody could be asked.

Bad is: a broker that is registered and gone, no controller, a partition without a
leader or that refuses writes, a replica that is not in sync, a broker that is not
ready. --wait asks again until all is well or the time is over.`

func (a *app) clusterHealthCommand() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{Use: "health", Short: "Say whether all is well, and if not, why", Long: healthLong, Args: words(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Example: "  holdfast cluster health\n  holdfast cluster health --wait 30s && next-step\n  holdfast cluster health -O json",
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			if wait < 0 {
				return usagef("--wait %s: want a time such as 30s", wait)
			}
			return a.askFor(cmd, wait, func(ctx context.Context, adm *kadm.Client) error { return a.clusterHealth(ctx, adm, wait) })
		})}
	cmd.Flags().DurationVar(&wait, "wait", 0, "ask again until all is well, at most so long")
	a.outputFlag(cmd)
	a.clientFlags(cmd)
	return cmd
}

// healthEvery is the pause between two questions of --wait.
const healthEvery = 200 * time.Millisecond

func (a *app) clusterHealth(ctx context.Context, adm *kadm.Client, wait time.Duration) error {
	began := a.Streams.Clock.Now()
	for {
		h, err := a.judge(ctx, adm)
		if err != nil {
			return err
		}
		if h.Healthy || a.Streams.Clock.Since(began) >= wait {
			if err := a.printHealth(h); err != nil {
				return err
			}
			if !h.Healthy {
				return exit(ExitBad)
			}
			return nil
		}
		if !clock.Wait(ctx, a.Streams.Clock, healthEvery, nil) {
			return ctx.Err()
		}
	}
}

// judge asks everybody once.
func (a *app) judge(ctx context.Context, adm *kadm.Client) (health, error) {
	m, err := adm.Metadata(ctx)
	if err != nil {
		return health{}, err
	}
	h := health{Reasons: []string{}, Warnings: []string{}, Brokers: len(m.Brokers)}
	h.Reasons = append(h.Reasons, a.absent(ctx)...)
	open := doors(ctx, adm, m.Brokers)
	statuses, silent := brokerStatuses(ctx, open)
	h.brokers(m, statuses, silent)
	h.controller(m, statuses)
	configs := a.minISRs(ctx, adm, m.Topics)
	for _, t := range m.Topics.Sorted() {
		h.topic(t, configs[t.Topic])
	}
	h.Healthy = len(h.Reasons) == 0
	return h, nil
}

// absent names the brokers that are registered and do not take part.
func (a *app) absent(ctx context.Context) (list []string) {
	if a.client == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, doorAnswerMax)
	defer cancel()
	r := kmsg.NewPtrDescribeClusterRequest()
	r.IncludeFencedBrokers, r.EndpointType = true, 1
	answer, err := r.RequestWith(ctx, a.client)
	if err != nil {
		return nil // a broker that does not know the question names those that it has
	}
	for _, b := range answer.Brokers {
		if !b.IsFenced {
			continue
		}
		where := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		if listens(where) {
			list = append(list, fmt.Sprintf("broker %d (%s) runs and is fenced: it has not caught up yet, or the controller does not hear of it", b.NodeID, where))
		} else {
			list = append(list, fmt.Sprintf("broker %d (%s) is down: nobody answers there", b.NodeID, where))
		}
	}
	return list
}

// brokers judges what each broker says of itself.
func (h *health) brokers(m kadm.Metadata, statuses map[int32]admin.BrokerStatus, silent map[int32]string) {
	for _, b := range m.Brokers {
		s, ok := statuses[b.NodeID]
		if !ok {
			if why := silent[b.NodeID]; why != "" {
				where := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
				if !listens(where) {
					h.Reasons = append(h.Reasons, fmt.Sprintf("broker %d (%s) is down: nobody answers there", b.NodeID, where))
					continue
				}
				h.Warnings = append(h.Warnings, fmt.Sprintf("broker %d could not be asked how it is: %s", b.NodeID, why))
			}
			continue
		}
		for _, c := range s.Checks {
			text := fmt.Sprintf("broker %d, %s: %s", b.NodeID, c.Name, clean(c.Reason))
			switch {
			case !c.OK:
				h.Reasons = append(h.Reasons, text)
			case c.Reason != "":
				h.Warnings = append(h.Warnings, text)
			}
		}
	}
}

// controller judges the metadata quorum. A broker that is cut off from it goes on
// naming the controller that it knew, so that each one is asked.
func (h *health) controller(m kadm.Metadata, statuses map[int32]admin.BrokerStatus) {
	var without []int32
	voters := 0
	for id, s := range statuses {
		voters = max(voters, len(s.Quorum.Voters))
		if s.Quorum.Leader < 0 {
			without = append(without, id)
		}
	}
	slices.Sort(without)
	switch {
	case len(without) > 0:
		h.Reasons = append(h.Reasons, fmt.Sprintf("no controller is known to broker %s: %s; nothing about topics and leaders can change",
			joinedAnd(without), majority(voters)))
	case m.Controller < 0:
		h.Reasons = append(h.Reasons, "no controller is known: "+majority(voters)+"; nothing about topics and leaders can change")
	}
}

func majority(voters int) string {
	if voters == 0 {
		return "a majority of the voters is needed"
	}
	return fmt.Sprintf("%d of the %d voters must be up and reach each other", voters/2+1, voters)
}

func joinedAnd(list []int32) string {
	text := make([]string, len(list))
	for i, id := range list {
		text[i] = fmt.Sprint(id)
	}
	return strings.Join(text, " and ")
}

// minISRs are the min.insync.replicas of the topics, as far as brokers tell.
func (a *app) minISRs(ctx context.Context, adm *kadm.Client, topics kadm.TopicDetails) map[string]int {
	all := map[string]int{}
	ctx, cancel := context.WithTimeout(ctx, 2*doorAnswerMax)
	defer cancel()
	configs, err := adm.DescribeTopicConfigs(ctx, topics.Names()...)
	var some *kadm.ShardErrors
	if err != nil && !errors.As(err, &some) {
		return all
	}
	for _, r := range configs {
		for _, c := range r.Configs {
			if c.Key == "min.insync.replicas" && c.Value != nil {
				if n, err := strconv.Atoi(*c.Value); err == nil {
					all[r.Name] = n
				}
			}
		}
	}
	return all
}

// topic judges the partitions of a topic; each kind of trouble is one line.
func (h *health) topic(t kadm.TopicDetail, minISR int) {
	h.Topics++
	var leaderless, refusing, behind []int32
	shape := ""
	for _, p := range t.Partitions.Sorted() {
		h.Partitions++
		switch {
		case p.Leader < 0:
			h.Leaderless++
			leaderless = append(leaderless, p.Partition)
		case minISR > 0 && len(p.ISR) < minISR:
			h.Refusing++
			refusing = append(refusing, p.Partition)
			shape = fmt.Sprintf("in sync %s of %s, min.insync.replicas is %d", ids(p.ISR), ids(p.Replicas), minISR)
		}
		if len(p.ISR) < len(p.Replicas) {
			h.UnderReplicated++
			if p.Leader >= 0 && (minISR == 0 || len(p.ISR) >= minISR) {
				behind = append(behind, p.Partition)
			}
		}
	}
	name := clean(t.Topic)
	add := func(list []int32, text string) {
		if len(list) > 0 {
			h.Reasons = append(h.Reasons, fmt.Sprintf("topic %s, partition %s: %s", name, someOf(list), text))
		}
	}
	add(leaderless, "no leader, writes and reads wait")
	add(refusing, "writes are refused: "+shape)
	add(behind, "a replica is not in sync; writes go on")
}

// someShown is how many partitions are named in one line.
const someShown = 8

func someOf(list []int32) string {
	if len(list) > someShown {
		return fmt.Sprintf("%s and %d more", ids(list[:someShown]), len(list)-someShown)
	}
	return ids(list)
}

func (a *app) printHealth(h health) error {
	return a.print(listing{value: h, text: func(bool) error {
		out := a.Streams.Out
		verdict := "healthy"
		if !h.Healthy {
			verdict = "NOT healthy"
		}
		fmt.Fprintf(out, "%s: %d broker(s), %d partition(s) of %d topic(s); %d without a leader, %d that refuse writes, %d with a replica not in sync\n",
			verdict, h.Brokers, h.Partitions, h.Topics, h.Leaderless, h.Refusing, h.UnderReplicated)
		for _, r := range h.Reasons {
			fmt.Fprintf(out, "  - %s\n", r)
		}
		for _, w := range h.Warnings {
			fmt.Fprintf(out, "  ! %s\n", w)
		}
		return nil
	}})
}
