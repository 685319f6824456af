package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/kafka"
)

// describedTopic is everything that topic describe says of a topic.
type describedTopic struct {
	Topic             string `json:"topic"`
	ID                string `json:"id,omitempty"`
	Internal          bool   `json:"internal"`
	ReplicationFactor int    `json:"replication_factor"`
	AcksPolicy        string `json:"acks_policy"` // "unknown" where the broker has no such setting
	Durability        string `json:"durability"`
	traffic
	Partitions []describedPartition `json:"partitions"`
	Configs    []describedConfig    `json:"configs"`
}

type describedPartition struct {
	Partition   int32              `json:"partition"`
	Leader      int32              `json:"leader"`
	LeaderEpoch int32              `json:"leader_epoch"`
	Replicas    []int32            `json:"replicas"`
	ISR         []int32            `json:"isr"`
	ELR         []int32            `json:"elr,omitempty"` // may be elected besides those in sync (KIP-966)
	MinISR      int                `json:"min_insync_replicas,omitempty"`
	Start       int64              `json:"start_offset"`    // -1: unknown
	End         int64              `json:"end_offset"`      // exclusive; -1: unknown
	Bytes       *int64             `json:"bytes,omitempty"` // on disk; nil: unknown
	States      []describedReplica `json:"replica_states,omitempty"`
	Waiting     int                `json:"waiting_writes,omitempty"`
	Waits       string             `json:"waits,omitempty"` // what a write waits for, or why it is refused
	Error       string             `json:"error,omitempty"`
}

type describedConfig struct {
	Key    string  `json:"key"`
	Value  *string `json:"value"`
	Source string  `json:"source"`
}

type topicDescribe struct {
	all   bool
	over  time.Duration
	admin string
	watch bool
}

func (a *app) topicDescribeCommand() *cobra.Command {
	var o topicDescribe
	cmd := &cobra.Command{Use: "describe NAME...", Aliases: []string{"desc", "info"}, Short: "Show partitions, offsets and settings of topics",
		Args: words(1, noMost), ValidArgsFunction: a.completeTopics,
		Long:    topicDescribeLong,
		Example: "  holdfast topic describe orders\n  holdfast topic describe orders --rate 2s --admin 127.0.0.1:9644\n  holdfast topic describe orders --all-configs -O yaml",
		RunE: run(func(cmd *cobra.Command, args []string) error {
			if o.over < 0 {
				return usagef("--rate %s: want a time to look on, such as 2s", o.over)
			}
			if o.watch {
				return a.watch(cmd, func(ctx context.Context, adm *kadm.Client) error { return a.describeTopics(ctx, adm, args, o) })
			}
			return a.askFor(cmd, o.over, func(ctx context.Context, adm *kadm.Client) error { return a.describeTopics(ctx, adm, args, o) })
		})}
	cmd.Flags().BoolVarP(&o.all, "all-configs", "a", false, "every setting, defaults too")
	cmd.Flags().DurationVar(&o.over, "rate", 0, "measure the write rate over this long, for example 2s; 0 does not")
	cmd.Flags().StringVar(&o.admin, "admin", "", "HOST:PORT of the broker's admin listener, which counts requests with weak acks (HOLDFAST_ADMIN)")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "show it anew each second, until Ctrl-C")
	a.outputFlag(cmd)
	a.clientFlags(cmd)
	return cmd
}

const topicDescribeLong = `Show partitions, offsets and settings of topics: acks.policy, durability and
min.insync.replicas always, others where they differ from the default. Of topics
with several replicas also what each broker holds durably, and what a write that
waits, or is refused, waits for.`

func (a *app) describeTopics(ctx context.Context, adm *kadm.Client, names []string, o topicDescribe) error {
	details, err := adm.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := details[name].Err; err != nil {
			return fmt.Errorf("describe topic %s: %w", name, err)
		}
	}
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return err
	}
	starts, ends, err := offsets(ctx, adm, names)
	if err != nil {
		return err
	}
	configs, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return err
	}
	var list []describedTopic
	var rows []any
	for _, name := range names {
		t := describeTopic(details[name], starts, ends)
		t.addConfigs(configs, o.all)
		list = append(list, t)
	}
	sizes(ctx, adm, list)
	open := a.describeReplicas(ctx, adm, brokers, list)
	if o.admin == "" {
		o.admin = a.Streams.env("HOLDFAST_ADMIN")
	}
	if _, p, err := a.chosenProfile(); err == nil && o.admin == "" {
		o.admin = p.Admin
	}
	var admins []string
	if o.admin != "" {
		admins = []string{o.admin}
	}
	for _, d := range open {
		if d.address != "" && o.admin == "" {
			admins = append(admins, d.address)
		}
	}
	a.weakAcks(ctx, admins, list)
	if err := a.rates(ctx, adm, list, o.over); err != nil {
		return err
	}
	for _, t := range list {
		rows = append(rows, t)
	}
	return a.print(listing{value: list, rows: rows, text: func(wide bool) error {
		for i, t := range list {
			if i > 0 {
				fmt.Fprintln(a.Streams.Out)
			}
			if err := a.printTopic(t); err != nil {
				return err
			}
		}
		return nil
	}})
}

// offsetsMax is how long describe waits for leaders: one that is gone must not keep
// the rest from being shown.
const offsetsMax = 3 * time.Second

// offsets asks for the first and the last offset of every partition. Those of a
// partition whose leader does not answer stay unknown, unless none answers.
func offsets(ctx context.Context, adm *kadm.Client, names []string) (starts, ends kadm.ListedOffsets, err error) {
	short, cancel := context.WithTimeout(ctx, offsetsMax)
	defer cancel()
	var some *kadm.ShardErrors
	if starts, err = adm.ListStartOffsets(short, names...); err != nil && !errors.As(err, &some) && short.Err() == nil {
		return nil, nil, err
	}
	if ends, err = adm.ListEndOffsets(short, names...); err != nil && !errors.As(err, &some) && short.Err() == nil {
		return nil, nil, err
	}
	return starts, ends, ctx.Err()
}

func describeTopic(d kadm.TopicDetail, starts, ends kadm.ListedOffsets) describedTopic {
	t := describedTopic{Topic: d.Topic, Internal: d.IsInternal, ReplicationFactor: d.Partitions.NumReplicas(), AcksPolicy: "unknown", Durability: "unknown"}
	if d.ID != (kadm.TopicID{}) {
		t.ID = kafka.UUID(d.ID).String()
	}
	for _, p := range d.Partitions.Sorted() {
		row := describedPartition{Partition: p.Partition, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, Replicas: p.Replicas, ISR: p.ISR, Start: -1, End: -1}
		start, okStart := starts.Lookup(d.Topic, p.Partition)
		end, okEnd := ends.Lookup(d.Topic, p.Partition)
		if err := cmpOr(p.Err, cmpOr(start.Err, end.Err)); err != nil {
			row.Error = err.Error()
		}
		if okStart && start.Err == nil {
			row.Start = start.Offset
		}
		if okEnd && end.Err == nil {
			row.End = end.Offset
		}
		t.Partitions = append(t.Partitions, row)
	}
	return t
}

// alwaysShown are settings that decide what an acknowledgement is worth.
var alwaysShown = []string{"acks.policy", "durability", "min.insync.replicas"}

func (t *describedTopic) addConfigs(configs kadm.ResourceConfigs, all bool) {
	t.Configs = []describedConfig{}
	resource, err := configs.On(t.Topic, nil)
	if err != nil || resource.Err != nil {
		return
	}
	for _, c := range resource.Configs {
		if c.Value != nil && c.Key == "acks.policy" {
			t.AcksPolicy = *c.Value
		}
		if c.Value != nil && c.Key == "durability" {
			t.Durability = *c.Value
		}
		if all || c.Source != kmsg.ConfigSourceDefaultConfig || slices.Contains(alwaysShown, c.Key) {
			source := strings.ToLower(strings.TrimSuffix(c.Source.String(), "_CONFIG"))
			t.Configs = append(t.Configs, describedConfig{Key: c.Key, Value: c.Value, Source: source})
		}
	}
	slices.SortFunc(t.Configs, func(x, y describedConfig) int { return strings.Compare(x.Key, y.Key) })
}

func (a *app) printTopic(t describedTopic) error {
	out := a.Streams.Out
	fmt.Fprintf(out, "Topic:               %s\n", t.Topic)
	if t.ID != "" {
		fmt.Fprintf(out, "Id:                  %s\n", t.ID)
	}
	fmt.Fprintf(out, "Replication factor:  %d\n", t.ReplicationFactor)
	fmt.Fprint(out, t.lines())
	fmt.Fprintf(out, "Acknowledgements:    acks.policy=%s  %s\n", t.AcksPolicy, acksMeaning(t.AcksPolicy))
	fmt.Fprintf(out, "Durability:          durability=%s  %s\n\n", t.Durability, durabilityMeaning(t.Durability))
	if warning := t.warnPromise(); warning != "" {
		fmt.Fprintf(out, "%s\n\n", warning)
	}
	var grid [][]any
	for _, p := range t.Partitions {
		size := "?"
		if p.Bytes != nil {
			size = bytesText(*p.Bytes)
		}
		row := []any{p.Partition, leaderText(p.Leader), p.LeaderEpoch, ids(p.Replicas), isrText(p), offset(p.Start), offset(p.End), size}
		if p.Error != "" {
			row = append(row, p.Error)
		}
		grid = append(grid, row)
	}
	if err := a.grid([]any{"PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "START", "END", "SIZE"}, grid); err != nil {
		return err
	}
	if err := a.printReplicas(t); err != nil {
		return err
	}
	fmt.Fprintln(out)
	grid = nil
	for _, c := range t.Configs {
		value := "-"
		if c.Value != nil {
			value = clean(*c.Value)
		}
		grid = append(grid, []any{c.Key, value, c.Source})
	}
	return a.grid([]any{"SETTING", "VALUE", "SOURCE"}, grid)
}

func leaderText(id int32) string {
	if id < 0 {
		return "none"
	}
	return fmt.Sprint(id)
}

// isrText is the in-sync set, and whoever else could be elected.
func isrText(p describedPartition) string {
	text := ids(p.ISR)
	if len(p.ELR) > 0 {
		text += " (or " + ids(p.ELR) + ")"
	}
	return text
}

func acksMeaning(policy string) string {
	switch policy {
	case "upgrade":
		return "(acks=1 is treated as acks=all)"
	case "warn", "allow":
		return "(UNSAFE: acks=1 is acknowledged by the leader alone)"
	case "reject":
		return "(acks 0 and 1 are refused)"
	}
	return "(this broker has no such setting)"
}

func durabilityMeaning(mode string) string {
	switch mode {
	case "fsync":
		return "(acknowledged once on stable storage)"
	case "page-cache":
		return "(UNSAFE: a power cut loses acknowledged records)"
	}
	return "(this broker does not say when it is durable)"
}

func ids(list []int32) string {
	text := make([]string, len(list))
	for i, id := range list {
		text[i] = fmt.Sprint(id)
	}
	return strings.Join(text, ",")
}

func offset(o int64) string {
	if o < 0 {
		return "?"
	}
	return fmt.Sprint(o)
}
