package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

type topicAlter struct {
	set, del, add, sub []string
	partitions         int
	dryRun             bool
}

func (a *app) topicAlterCommand() *cobra.Command {
	var o topicAlter
	cmd := &cobra.Command{Use: "alter NAME...", Aliases: []string{"alter-config"}, Short: "Change settings of topics, or add partitions",
		Args: words(1, noMost), ValidArgsFunction: a.completeTopics,
		Example: "  holdfast topic alter orders --set retention.ms=86400000\n  holdfast topic alter orders --delete retention.ms\n  holdfast topic alter orders -p 12 --dry-run",
		RunE: run(func(cmd *cobra.Command, args []string) error {
			changes, err := o.changes()
			if err != nil {
				return err
			}
			return a.ask(cmd, func(ctx context.Context, adm *kadm.Client) error { return a.alterTopics(ctx, adm, args, o, changes) })
		})}
	f := cmd.Flags()
	f.StringArrayVarP(&o.set, "set", "s", nil, "set KEY=VALUE; may be repeated (also -c, --config)")
	f.StringArrayVarP(&o.set, "config", "c", nil, "the same as --set")
	f.StringArrayVarP(&o.del, "delete", "d", nil, "delete KEY, so that the broker's default holds again; may be repeated")
	f.StringArrayVar(&o.add, "append", nil, "add VALUE to a list: KEY=VALUE")
	f.StringArrayVar(&o.sub, "subtract", nil, "take VALUE off a list: KEY=VALUE")
	f.IntVarP(&o.partitions, "partitions", "p", 0, "the new number of partitions; it can only grow")
	f.BoolVar(&o.dryRun, "dry-run", false, "let the broker check everything and change nothing")
	_ = f.MarkHidden("config")
	for _, f := range []string{"set", "config", "append", "subtract"} {
		_ = cmd.RegisterFlagCompletionFunc(f, completeSettings)
	}
	_ = cmd.RegisterFlagCompletionFunc("delete", completeSettingNames)
	a.outputFlag(cmd)
	a.clientFlags(cmd)
	return cmd
}

func (o topicAlter) changes() ([]kadm.AlterConfig, error) {
	var changes []kadm.AlterConfig
	for _, group := range []struct {
		op   kadm.IncrementalOp
		list []string
	}{{kadm.SetConfig, o.set}, {kadm.AppendConfig, o.add}, {kadm.SubtractConfig, o.sub}} {
		settings, err := settingFlags(group.list)
		if err != nil {
			return nil, err
		}
		for name, value := range settings {
			changes = append(changes, kadm.AlterConfig{Op: group.op, Name: name, Value: value})
		}
	}
	for _, name := range o.del {
		changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: name})
	}
	sort.SliceStable(changes, func(i, j int) bool { return changes[i].Name < changes[j].Name })
	if len(changes) == 0 && o.partitions == 0 {
		return nil, usagef("nothing to change: say --set KEY=VALUE, --delete KEY or -p PARTITIONS")
	}
	return changes, nil
}

func (a *app) alterTopics(ctx context.Context, adm *kadm.Client, names []string, o topicAlter, changes []kadm.AlterConfig) error {
	settings, _ := settingFlags(o.set) // checked before
	a.warnCosts(settings)
	done := "altered"
	alter, grow := adm.AlterTopicConfigs, adm.UpdatePartitions
	if o.dryRun {
		alter, grow, done = adm.ValidateAlterTopicConfigs, adm.ValidateUpdatePartitions, "would-alter"
	}
	before, err := settingsBefore(ctx, adm, names, o)
	if err != nil {
		return err
	}
	for _, name := range names {
		for _, loss := range before[name].losses(changes) {
			a.talk("warning: %s: %s", name, loss)
		}
	}
	errs := map[string]topicResult{}
	var firstErr error
	if len(changes) > 0 {
		resp, err := alter(ctx, changes, names...)
		if err != nil {
			return err
		}
		for _, r := range resp {
			if r.Err != nil {
				errs[r.Name] = failed(r.Name, r.Err, r.ErrMessage)
				firstErr = cmpOr(firstErr, r.Err)
			}
		}
	}
	if o.partitions != 0 && firstErr == nil {
		resp, err := grow(ctx, o.partitions, names...)
		if err != nil {
			return err
		}
		for _, r := range resp.Sorted() {
			if r.Err != nil {
				errs[r.Topic] = failed(r.Topic, r.Err, r.ErrMessage)
				firstErr = cmpOr(firstErr, r.Err)
			}
		}
	}
	var list []topicResult
	for _, name := range names {
		r, bad := errs[name]
		if !bad {
			r = topicResult{Topic: name, Result: done, Detail: before[name].change(changes, o.partitions)}
		}
		list = append(list, r)
	}
	return a.results(list, firstErr)
}

// settingsOf are the settings and the number of partitions that a topic has.
type settingsOf struct {
	values     map[string]string
	partitions int
}

// settingsBefore asks what the topics have before they are altered.
func settingsBefore(ctx context.Context, adm *kadm.Client, names []string, o topicAlter) (map[string]settingsOf, error) {
	configs, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, err
	}
	all := map[string]settingsOf{}
	for _, name := range names {
		s := settingsOf{values: map[string]string{}}
		if resource, err := configs.On(name, nil); err == nil {
			for _, c := range resource.Configs {
				if c.Value != nil {
					s.values[c.Key] = *c.Value
				}
			}
		}
		all[name] = s
	}
	if o.partitions == 0 {
		return all, nil
	}
	details, err := adm.ListTopicsWithInternal(ctx, names...)
	for _, name := range names {
		s := all[name]
		s.partitions = len(details[name].Partitions)
		all[name] = s
	}
	return all, err
}

// losses says which records the changes delete, soon and for ever. Retention asks
// nobody, as trim and delete do.
func (s settingsOf) losses(changes []kadm.AlterConfig) (list []string) {
	lowered := func(c kadm.AlterConfig) (to int64, yes bool) {
		was, err := strconv.ParseInt(s.values[c.Name], 10, 64)
		to, err2 := strconv.ParseInt(strings.TrimSpace(*c.Value), 10, 64)
		return to, err == nil && err2 == nil && to >= 0 && (was < 0 || to < was)
	}
	for _, c := range changes {
		if c.Op != kadm.SetConfig || c.Value == nil {
			continue
		}
		switch c.Name {
		case "retention.ms":
			const spellable = int64(math.MaxInt64 / time.Millisecond)
			if to, yes := lowered(c); yes && to <= spellable {
				list = append(list, fmt.Sprintf("retention.ms=%d: records older than %s are deleted for ever, whether groups have read them or not", to, time.Duration(to)*time.Millisecond))
			}
		case "retention.bytes":
			if to, yes := lowered(c); yes {
				list = append(list, fmt.Sprintf("retention.bytes=%d: what a partition holds beyond %s is deleted for ever, whether groups have read it or not", to, bytesText(to)))
			}
		case "cleanup.policy":
			if !strings.Contains(s.values[c.Name], "delete") && strings.Contains(*c.Value, "delete") {
				list = append(list, fmt.Sprintf("cleanup.policy=%s: records beyond retention.ms and retention.bytes are deleted for ever", clean(*c.Value)))
			}
		}
	}
	return list
}

// change says what is altered: old -> new.
func (s settingsOf) change(changes []kadm.AlterConfig, partitions int) string {
	var list []string
	for _, c := range changes {
		old, ok := s.values[c.Name]
		if !ok {
			old = "unset"
		}
		value := ""
		if c.Value != nil {
			value = clean(*c.Value)
		}
		switch c.Op {
		case kadm.DeleteConfig:
			list = append(list, fmt.Sprintf("%s: %s -> the broker's default", c.Name, clean(old)))
		case kadm.AppendConfig:
			list = append(list, fmt.Sprintf("%s: %s, and %s", c.Name, clean(old), value))
		case kadm.SubtractConfig:
			list = append(list, fmt.Sprintf("%s: %s, without %s", c.Name, clean(old), value))
		default:
			list = append(list, fmt.Sprintf("%s: %s -> %s", c.Name, clean(old), value))
		}
	}
	if partitions > 0 {
		list = append(list, fmt.Sprintf("partitions: %d -> %d", s.partitions, partitions))
	}
	return strings.Join(list, "; ")
}

func (a *app) topicAddPartitionsCommand() *cobra.Command {
	var o topicAlter
	var more int
	cmd := &cobra.Command{Use: "add-partitions NAME...", Short: "Add partitions to topics", Args: words(1, noMost), ValidArgsFunction: a.completeTopics,
		Long:    "Add partitions to topics. Keys then map to other partitions than before: records of\none key are in order within what was written before and within what comes after.",
		Example: "  holdfast topic add-partitions orders -n 3        three more\n  holdfast topic add-partitions orders -n 3 --dry-run",
		RunE: run(func(cmd *cobra.Command, args []string) error {
			if more < 1 {
				return usagef("-n %d: want the number of partitions to add", more)
			}
			return a.ask(cmd, func(ctx context.Context, adm *kadm.Client) error { return a.addPartitions(ctx, adm, args, more, o) })
		})}
	cmd.Flags().IntVarP(&more, "num", "n", 0, "how many partitions to add")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "let the broker check everything and change nothing")
	_ = cmd.MarkFlagRequired("num")
	a.outputFlag(cmd)
	a.clientFlags(cmd)
	return cmd
}

func (a *app) addPartitions(ctx context.Context, adm *kadm.Client, names []string, more int, o topicAlter) error {
	details, err := adm.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return err
	}
	grow := adm.CreatePartitions
	done := "altered"
	if o.dryRun {
		grow, done = adm.ValidateCreatePartitions, "would-alter"
	}
	resp, err := grow(ctx, more, names...)
	if err != nil {
		return err
	}
	var list []topicResult
	var firstErr error
	for _, name := range names {
		if r := resp[name]; r.Err != nil {
			list = append(list, failed(name, r.Err, r.ErrMessage))
			firstErr = cmpOr(firstErr, r.Err)
			continue
		}
		had := len(details[name].Partitions)
		list = append(list, topicResult{Topic: name, Result: done, Detail: fmt.Sprintf("partitions: %d -> %d", had, had+more)})
	}
	return a.results(list, firstErr)
}

func (a *app) topicDeleteCommand() *cobra.Command {
	var yes, dryRun bool
	cmd := &cobra.Command{Use: "delete NAME...", Aliases: []string{"rm"}, Short: "Delete topics and their records for ever",
		Args: words(1, noMost), ValidArgsFunction: a.completeTopics,
		Example: "  holdfast topic delete orders --dry-run     what would be lost\n  holdfast topic delete orders --yes",
		RunE: run(func(cmd *cobra.Command, args []string) error {
			return a.askAfter(cmd, func(ctx context.Context, adm *kadm.Client) error { return a.deleteTopics(ctx, adm, args, yes, dryRun) })
		})}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be lost, and delete nothing")
	a.outputFlag(cmd)
	a.clientFlags(cmd)
	return cmd
}

// askAfter is ask for a command that may wait for a person: nothing but Ctrl-C
// bounds it.
func (a *app) askAfter(cmd *cobra.Command, f func(ctx context.Context, adm *kadm.Client) error) error {
	ctx, cancel := a.interruptible(cmd.Context())
	defer cancel()
	adm, c, err := a.admin(ctx)
	if err != nil {
		return err
	}
	defer adm.Close()
	return explain(c.brokers, f(ctx, adm))
}

func (a *app) deleteTopics(ctx context.Context, adm *kadm.Client, names []string, yes, dryRun bool) error {
	plan, total, err := recordsIn(ctx, adm, names)
	if err != nil {
		return err
	}
	if dryRun {
		return a.results(plan, nil)
	}
	for _, r := range plan {
		a.talk("%s: %s", r.Topic, r.Detail)
	}
	if err := a.confirm(yes, fmt.Sprintf("Deleting %d topic(s) with about %d record(s) cannot be undone.", len(names), total)); err != nil {
		return err
	}
	resp, err := adm.DeleteTopics(ctx, names...)
	if err != nil {
		return err
	}
	var list []topicResult
	var firstErr error
	for _, name := range names {
		if r := resp[name]; r.Err != nil {
			list = append(list, failed(name, r.Err, r.ErrMessage))
			firstErr = cmpOr(firstErr, r.Err)
			continue
		}
		list = append(list, topicResult{Topic: name, Result: "deleted"})
	}
	return a.results(list, firstErr)
}

// recordsIn is the plan of a deletion: what each topic holds.
func recordsIn(ctx context.Context, adm *kadm.Client, names []string) (plan []topicResult, total int64, err error) {
	details, err := adm.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		if err := details[name].Err; err != nil {
			return nil, 0, fmt.Errorf("topic %s: %w", name, err)
		}
	}
	starts, err := adm.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, 0, err
	}
	ends, err := adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		var records int64
		for p, end := range ends[name] {
			if start, ok := starts.Lookup(name, p); ok && end.Err == nil && start.Err == nil {
				records += end.Offset - start.Offset
			}
		}
		total += records
		plan = append(plan, topicResult{Topic: name, Result: "would-delete", Detail: fmt.Sprintf("%d partitions, about %d records", len(details[name].Partitions), records)})
	}
	return plan, total, nil
}

type topicTrim struct {
	to         string
	partitions []int32
	yes        bool
	dryRun     bool
}

func (a *app) topicTrimCommand() *cobra.Command {
	var o topicTrim
	cmd := &cobra.Command{Use: "trim NAME", Aliases: []string{"trim-prefix"}, Short: "Delete the oldest records of a topic for ever",
		Args: words(1, 1), ValidArgsFunction: a.completeTopics,
		Long:    "Delete every record before an offset, for ever (DeleteRecords).\n\n-o is an offset, end (everything that is there now), or @TIME: everything before\nthe first record at or after that time. TIME is RFC 3339, a date, milliseconds\nsince 1970, or a duration before now such as @-24h.",
		Example: "  holdfast topic trim orders -o 1000 -p 0 --dry-run\n  holdfast topic trim orders -o @2026-01-31 --yes\n  holdfast topic trim orders -o end --yes",
		RunE: run(func(cmd *cobra.Command, args []string) error {
			return a.askAfter(cmd, func(ctx context.Context, adm *kadm.Client) error { return a.trimTopic(ctx, adm, args[0], o) })
		})}
	f := cmd.Flags()
	f.StringVarP(&o.to, "offset", "o", "", "the first offset that stays: N, end or @TIME")
	f.Int32SliceVarP(&o.partitions, "partitions", "p", nil, "only these partitions")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be lost, and delete nothing")
	_ = cmd.MarkFlagRequired("offset")
	_ = cmd.RegisterFlagCompletionFunc("offset", cobra.FixedCompletions([]string{"end", "@-1h", "@-24h"}, cobra.ShellCompDirectiveNoFileComp))
	a.outputFlag(cmd)
	a.clientFlags(cmd)
	return cmd
}

func (a *app) trimTopic(ctx context.Context, adm *kadm.Client, topic string, o topicTrim) error {
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return err
	}
	targets, err := a.trimTargets(ctx, adm, topic, o)
	if err != nil {
		return err
	}
	var plan []topicResult
	offsets := kadm.Offsets{}
	var lost int64
	for _, t := range targets {
		start, ok := starts.Lookup(topic, t.Partition)
		if err := cmpOr(t.Err, start.Err); err != nil {
			return inPartition(topic, t.Partition, err)
		}
		if !ok || t.Offset <= start.Offset {
			plan = append(plan, topicResult{Topic: topic, Partition: &t.Partition, Result: "nothing-to-do", Detail: fmt.Sprintf("begins at %d already", start.Offset)})
			continue
		}
		lost += t.Offset - start.Offset
		offsets.AddOffset(topic, t.Partition, t.Offset, -1)
		plan = append(plan, topicResult{Topic: topic, Partition: &t.Partition, Result: "would-trim",
			Detail: fmt.Sprintf("offsets %d to %d, about %d records", start.Offset, t.Offset, t.Offset-start.Offset)})
	}
	if o.dryRun || len(offsets) == 0 {
		return a.results(plan, nil)
	}
	if err := a.confirm(o.yes, fmt.Sprintf("Deleting about %d record(s) of %s cannot be undone.", lost, topic)); err != nil {
		return err
	}
	resp, err := adm.DeleteRecords(ctx, offsets)
	if err != nil {
		return err
	}
	var firstErr error
	for i, r := range plan {
		if r.Result != "would-trim" {
			continue
		}
		done := resp[topic][*r.Partition]
		if done.Err != nil {
			f := failed(topic, done.Err, "")
			f.Partition, plan[i], firstErr = r.Partition, f, cmpOr(firstErr, done.Err)
			continue
		}
		plan[i].Result, plan[i].Detail = "trimmed", fmt.Sprintf("begins at %d", done.LowWatermark)
	}
	return a.results(plan, firstErr)
}

// trimTargets finds the first offset that stays, by partition.
func (a *app) trimTargets(ctx context.Context, adm *kadm.Client, topic string, o topicTrim) ([]kadm.ListedOffset, error) {
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	if len(ends[topic]) == 0 {
		return nil, fmt.Errorf("topic %s has no partition that answers", topic)
	}
	listed := ends
	fixed := int64(-1)
	switch {
	case o.to == "end":
	case strings.HasPrefix(o.to, "@"):
		at, err := parseTime(strings.TrimPrefix(o.to, "@"), a.Streams.Clock.Now())
		if err != nil {
			return nil, usagef("-o %s: %v", o.to, err)
		}
		if listed, err = adm.ListOffsetsAfterMilli(ctx, at.UnixMilli(), topic); err != nil {
			return nil, err
		}
	default:
		n, err := strconv.ParseUint(o.to, 10, 63)
		if err != nil {
			return nil, usagef("-o %s: want an offset, end or @TIME", o.to)
		}
		fixed = int64(n)
	}
	var targets []kadm.ListedOffset
	for _, t := range listed.Offsets().Sorted() {
		if len(o.partitions) > 0 && !slices.Contains(o.partitions, t.Partition) {
			continue
		}
		target := kadm.ListedOffset{Topic: topic, Partition: t.Partition, Offset: t.At}
		if fixed >= 0 {
			target.Offset = fixed
		}
		end, _ := ends.Lookup(topic, t.Partition)
		if target.Err = end.Err; target.Err == nil && target.Offset > end.Offset {
			return nil, usagef("-o %s: partition %d ends at offset %d", o.to, t.Partition, end.Offset)
		}
		targets = append(targets, target)
	}
	if len(targets) == 0 {
		return nil, usagef("-p: topic %s has %d partitions", topic, len(ends[topic]))
	}
	return targets, nil
}

// parseTime reads a point in time: RFC 3339, a date with or without a time of
// day in UTC, milliseconds since 1970, or a duration before now.
func parseTime(text string, now time.Time) (time.Time, error) {
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return time.Time{}, errors.New("want a duration before now, such as -24h or -30m")
		}
		return now.Add(-d), nil
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.UnixMilli(ms), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time; want 2026-01-31, 2026-01-31T12:00:00Z, milliseconds since 1970, or -24h", text)
}
