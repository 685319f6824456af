package cli

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"holdfast/internal/config"
	"holdfast/internal/kafka"
)

func (a *app) topicCommand() *cobra.Command {
	return parent("topic", "Create, list, describe, alter, trim and delete topics", []string{"topics", "t"},
		a.topicCreateCommand(), a.topicListCommand(), a.topicDescribeCommand(), a.topicAlterCommand(), a.topicAddPartitionsCommand(), a.topicTrimCommand(), a.topicDeleteCommand())
}

// topicResult is what became of one topic, as create, alter, trim and delete
// report it.
type topicResult struct {
	Topic     string `json:"topic"`
	Partition *int32 `json:"partition,omitempty"`
	Result    string `json:"result"` // created, exists, altered, trimmed, deleted, would-..., failed
	Detail    string `json:"detail,omitempty"`
	Error     string `json:"error,omitempty"`
}

// results prints what became of each topic, errors on stderr with their fix, and
// fails when one of them failed.
func (a *app) results(list []topicResult, firstErr error) error {
	rows := make([]any, len(list))
	for i := range list {
		rows[i] = list[i]
	}
	err := a.print(listing{value: list, rows: rows, text: func(bool) error {
		for _, r := range list {
			if r.Error != "" {
				continue
			}
			text := r.Topic
			if r.Partition != nil {
				text += fmt.Sprintf("/%d", *r.Partition)
			}
			if text += ": " + r.Result; r.Detail != "" {
				text += " (" + r.Detail + ")"
			}
			if _, err := fmt.Fprintln(a.Streams.Out, text); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return err
	}
	if firstErr == nil {
		return nil
	}
	for _, r := range list {
		if r.Error != "" {
			a.talk("error: %s: %s", r.Topic, r.Error)
		}
	}
	var f *failure
	if errors.As(explain(nil, firstErr), &f) && f.fix != "" {
		a.talk("  %s", f.fix)
	}
	return exit(ExitFailed)
}

// failed is the result of a topic that an error met.
func failed(topic string, err error, message string) topicResult {
	return topicResult{Topic: topic, Result: "failed", Error: detailed(err, message)}
}

// detailed is the text of a broker's answer. Where the broker says what is wrong,
// that replaces the text that Kafka has in stock for the code, which may say
// something else.
func detailed(err error, message string) string {
	var code *kerr.Error
	if message != "" && errors.As(err, &code) {
		return code.Message + ": " + clean(message)
	}
	return err.Error()
}

// settingFlags reads -c and --set: KEY=VALUE.
func settingFlags(list []string) (map[string]*string, error) {
	settings := make(map[string]*string, len(list))
	for _, item := range list {
		key, value, ok := strings.Cut(item, "=")
		if !ok || key == "" {
			return nil, usagef("%q: want KEY=VALUE, for example retention.ms=86400000", item)
		}
		settings[key] = &value
	}
	return settings, nil
}

// warnCosts says what the settings cost the promise.
func (a *app) warnCosts(settings map[string]*string) {
	names := make([]string, 0, len(settings))
	for name := range settings {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if settings[name] == nil {
			continue
		}
		if cost := config.Cost(name, *settings[name]); cost != "" {
			a.talk("warning: %s=%s: %s", name, *settings[name], cost)
		}
	}
}

// completeSettings offers KEY= of topic settings to the shell.
func completeSettings(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return settingNames(toComplete, "="), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeSettingNames offers KEY of topic settings to the shell.
func completeSettingNames(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return settingNames(toComplete, ""), cobra.ShellCompDirectiveNoFileComp
}

func settingNames(prefix, suffix string) (list []string) {
	for _, k := range config.TopicKeys() {
		if !k.Deprecated && strings.HasPrefix(k.Name, prefix) {
			list = append(list, cobra.CompletionWithDesc(k.Name+suffix, k.Doc))
		}
	}
	return list
}

type topicCreate struct {
	partitions  int32
	factor      int16
	settings    []string
	ifNotExists bool
	dryRun      bool
}

func (a *app) topicCreateCommand() *cobra.Command {
	var o topicCreate
	cmd := &cobra.Command{Use: "create NAME...", Short: "Create topics", Args: words(1, noMost), ValidArgsFunction: cobra.NoFileCompletions,
		Example: "  holdfast topic create orders -p 6\n  holdfast topic create audit -p 1 -c retention.ms=-1 -c acks.policy=reject\n  holdfast topic create orders --if-not-exists",
		RunE: run(func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd, func(ctx context.Context, adm *kadm.Client) error { return a.createTopics(ctx, adm, args, o) })
		})}
	f := cmd.Flags()
	f.Int32VarP(&o.partitions, "partitions", "p", -1, "partitions; -1 leaves it to the broker (num.partitions)")
	f.Int16VarP(&o.factor, "replication-factor", "r", -1, "replicas of each partition; -1 is 3, or the number of brokers where there are fewer")
	f.StringArrayVarP(&o.settings, "config", "c", nil, "topic setting KEY=VALUE; may be repeated")
	f.BoolVar(&o.ifNotExists, "if-not-exists", false, "a topic that exists already is no error")
	f.BoolVar(&o.dryRun, "dry-run", false, "let the broker check everything and create nothing")
	_ = cmd.RegisterFlagCompletionFunc("config", completeSettings)
	a.outputFlag(cmd)
	a.clientFlags(cmd)
	return cmd
}

func (a *app) createTopics(ctx context.Context, adm *kadm.Client, names []string, o topicCreate) error {
	settings, err := settingFlags(o.settings)
	if err != nil {
		return err
	}
	a.warnCosts(settings)
	create := adm.CreateTopics
	done := "created"
	if o.dryRun {
		create, done = adm.ValidateCreateTopics, "would-create"
	}
	resp, err := create(ctx, o.partitions, o.factor, settings, names...)
	if err != nil {
		return err
	}
	var list []topicResult
	var firstErr error
	for _, name := range names {
		r := resp[name]
		switch {
		case errors.Is(r.Err, kerr.TopicAlreadyExists) && o.ifNotExists:
			list = append(list, topicResult{Topic: name, Result: "exists"})
		case r.Err != nil:
			list = append(list, failed(name, r.Err, r.ErrMessage))
			firstErr = cmpOr(firstErr, r.Err)
		default:
			detail := ""
			if r.NumPartitions > 0 {
				detail = fmt.Sprintf("partitions %d, replication factor %d", r.NumPartitions, r.ReplicationFactor)
			}
			list = append(list, topicResult{Topic: name, Result: done, Detail: detail})
		}
	}
	return a.results(list, firstErr)
}

// cmpOr is the first error of the two that is one.
func cmpOr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// listedTopic is one line of topic list.
type listedTopic struct {
	Topic             string `json:"topic"`
	ID                string `json:"id,omitempty"`
	Partitions        int    `json:"partitions"`
	ReplicationFactor int    `json:"replication_factor"`
	UnderReplicated   int    `json:"under_replicated"` // partitions with fewer in-sync replicas than replicas
	Internal          bool   `json:"internal"`
	Error             string `json:"error,omitempty"`
}

func (a *app) topicListCommand() *cobra.Command {
	var internal bool
	cmd := &cobra.Command{Use: "list [NAME|PATTERN...]", Aliases: []string{"ls"}, Short: "List topics", ValidArgsFunction: a.completeTopics,
		Example: "  holdfast topic list\n  holdfast topic list 'orders-*'\n  holdfast topic ls -O json | jq -r '.[].topic'",
		RunE: run(func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd, func(ctx context.Context, adm *kadm.Client) error { return a.listTopics(ctx, adm, args, internal) })
		})}
	cmd.Flags().BoolVarP(&internal, "internal", "i", false, "internal topics too")
	a.outputFlag(cmd)
	a.clientFlags(cmd)
	return cmd
}

// isPattern reports whether a name of a topic is one: no topic has these
// characters.
func isPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// keepMatches leaves the topics that a name or a pattern chooses. A name that
// chooses nothing is an error, a pattern is not.
func keepMatches(details kadm.TopicDetails, names []string) error {
	chosen := map[string]bool{}
	for _, name := range names {
		if !isPattern(name) && !details.Has(name) {
			return fmt.Errorf("%s: there is no such topic", name)
		}
		for topic := range details {
			ok, err := path.Match(name, topic)
			if err != nil {
				return usagef("%q is no pattern; want * for any characters, ? for one, [ab] for one of these", name)
			}
			chosen[topic] = chosen[topic] || ok
		}
	}
	for topic := range details {
		if !chosen[topic] {
			delete(details, topic)
		}
	}
	return nil
}

func (a *app) listTopics(ctx context.Context, adm *kadm.Client, names []string, internal bool) error {
	asked, patterns := names, slices.ContainsFunc(names, isPattern)
	if patterns {
		asked = nil // all: the patterns are ours
	}
	details, err := adm.ListTopicsWithInternal(ctx, asked...)
	if err != nil {
		return err
	}
	if patterns {
		if err := keepMatches(details, names); err != nil {
			return err
		}
	}
	list := []listedTopic{}
	var firstErr error
	for _, d := range details.Sorted() {
		if d.IsInternal && !internal && !slices.Contains(names, d.Topic) {
			continue
		}
		t := listedTopic{Topic: d.Topic, Partitions: len(d.Partitions), ReplicationFactor: d.Partitions.NumReplicas(), Internal: d.IsInternal}
		if d.ID != (kadm.TopicID{}) {
			t.ID = kafka.UUID(d.ID).String()
		}
		if d.Err != nil {
			t.Error = d.Err.Error()
			firstErr = cmpOr(firstErr, fmt.Errorf("%s: %w", d.Topic, d.Err))
		}
		for _, p := range d.Partitions {
			if len(p.ISR) < len(p.Replicas) {
				t.UnderReplicated++
			}
		}
		list = append(list, t)
	}
	rows := make([]any, len(list))
	for i := range list {
		rows[i] = list[i]
	}
	err = a.print(listing{value: list, rows: rows, text: func(wide bool) error {
		header := []any{"NAME", "PARTITIONS", "REPLICAS"}
		if wide {
			header = append(header, "UNDER-REPLICATED", "INTERNAL", "ID")
		}
		var grid [][]any
		for _, t := range list {
			if t.Error != "" {
				continue
			}
			row := []any{t.Topic, t.Partitions, t.ReplicationFactor}
			if wide {
				row = append(row, t.UnderReplicated, t.Internal, t.ID)
			}
			grid = append(grid, row)
		}
		return a.grid(header, grid)
	}})
	return cmpOr(err, firstErr)
}
