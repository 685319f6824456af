package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

type groupSeek struct {
	to         string
	shift      int64
	fromFile   string
	toGroup    string
	topics     []string
	partitions []int32
	execute    bool
	yes        bool
	dryRun     bool
	export     bool
}

const groupSeekLong = `Move the committed offsets of a consumer group. Without --execute (or --yes) the
plan is shown and nothing is changed. The group must have no members: stop its
consumers first.

Where to, one of:
  --to start|end         the first record that is there; after the last one
  --to N, +N, -N         an offset; N after the start; N before the end
  --to @TIME             the first record at or after a time: RFC 3339, a date,
                         milliseconds since 1970, or a duration ago: @-24h
  --shift N              N records on from what is committed, or back with -N
  --from-file FILE       lines TOPIC,PARTITION,OFFSET (- is stdin); what --export
                         and Kafka's own tool write
  --to-group GROUP       what another group has committed

An offset outside of the partition is moved to its nearest end, as Kafka does.
Topics are those the group has committed for, or those of --topic.`

const groupSeekExample = `  holdfast group seek billing --to @-24h                   preview
  holdfast group seek billing --to @-24h --execute
  holdfast group seek billing --to start --topic orders -p 0 --execute
  holdfast group seek billing --shift 0 --export > before.csv
  holdfast group seek billing --from-file before.csv --execute`

func (a *app) groupSeekCommand() *cobra.Command {
	var o groupSeek
	cmd := &cobra.Command{Use: "seek GROUP", Aliases: []string{"reset-offsets"}, Short: "Move a consumer group's offsets; shows the plan unless --execute", Long: groupSeekLong, Example: groupSeekExample,
		Args: words(1, 1), ValidArgsFunction: a.completeGroups,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			if f := cmd.Flags(); !f.Changed("to") && !f.Changed("shift") && !f.Changed("from-file") && !f.Changed("to-group") {
				return usagef("where to? say --to, --shift, --from-file or --to-group")
			}
			return a.ask(cmd, func(ctx context.Context, adm *kadm.Client) error { return a.seekGroup(ctx, adm, args[0], o) })
		})}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "start, end, N, +N, -N or @TIME")
	f.Int64Var(&o.shift, "shift", 0, "so many records on from what is committed; negative goes back")
	f.StringVar(&o.fromFile, "from-file", "", "read TOPIC,PARTITION,OFFSET lines")
	f.StringVar(&o.toGroup, "to-group", "", "take the offsets of another group")
	f.StringSliceVarP(&o.topics, "topic", "t", nil, "only these topics, also those that the group has not committed for")
	f.Int32SliceVarP(&o.partitions, "partitions", "p", nil, "only these partitions")
	f.BoolVar(&o.execute, "execute", false, "do it")
	f.BoolVarP(&o.yes, "yes", "y", false, "the same as --execute")
	f.BoolVar(&o.dryRun, "dry-run", false, "show the plan only, which is the default")
	f.BoolVar(&o.export, "export", false, "print the plan as TOPIC,PARTITION,OFFSET lines")
	cmd.MarkFlagsMutuallyExclusive("to", "shift", "from-file", "to-group")
	cmd.MarkFlagsMutuallyExclusive("execute", "dry-run")
	cmd.MarkFlagsMutuallyExclusive("yes", "dry-run")
	_ = cmd.RegisterFlagCompletionFunc("to", cobra.FixedCompletions([]string{"start", "end", "@-1h", "@-24h"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("topic", a.completeTopics)
	_ = cmd.RegisterFlagCompletionFunc("to-group", a.completeGroups)
	a.outputFlag(cmd)
	a.clientFlags(cmd)
	return cmd
}

// seekRow is one partition of a seek.
type seekRow struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"` // -1: nothing was committed
	To        int64  `json:"to"`
	Again     int64  `json:"again"`   // records that will be read once more
	Skipped   int64  `json:"skipped"` // records that will never be read
	Result    string `json:"result"`  // would-seek, moved, failed
	Error     string `json:"error,omitempty"`
}

func (a *app) seekGroup(ctx context.Context, adm *kadm.Client, group string, o groupSeek) error {
	known, err := refuseMembers(ctx, adm, group)
	if err != nil {
		return err
	}
	committed, err := adm.FetchOffsets(ctx, group)
	if err != nil {
		return fmt.Errorf("group %s: %w", group, err)
	}
	rows, err := a.seekPlan(ctx, adm, group, o, committed)
	if err != nil {
		return err
	}
	known = known || len(committed) > 0
	switch {
	case len(rows) == 0 && known:
		return withFix(fmt.Errorf("group %s: there is nothing to move", group), "The group has committed nothing that fits; --topic names topics to move it in all the same.")
	case len(rows) == 0:
		return withFix(fmt.Errorf("there is no group %s, and so nothing to move", group), "`holdfast group list` shows what exists; --topic names topics to make the group with.")
	case !known && !o.execute && !o.yes:
		a.talk("there is no group %s yet: --execute makes it; `holdfast group list` shows what exists", group)
	}
	var firstErr error
	if o.execute || o.yes {
		offsets := kadm.Offsets{}
		for _, r := range rows {
			offsets.AddOffset(r.Topic, r.Partition, r.To, -1)
		}
		resp, err := adm.CommitOffsets(ctx, group, offsets)
		if err != nil {
			return fmt.Errorf("group %s: %w", group, err)
		}
		for i := range rows {
			r := &rows[i]
			r.Result = "moved"
			if done, ok := resp.Lookup(r.Topic, r.Partition); !ok || done.Err != nil {
				err := cmpOr(done.Err, kerr.UnknownServerError)
				r.Result, r.Error, firstErr = "failed", err.Error(), cmpOr(firstErr, err)
			}
		}
	}
	return a.printSeek(rows, o, firstErr)
}

// refuseMembers fails for a group that consumers are in: they would overwrite
// what is moved under them. It also tells whether the broker knows the group, which
// some answer with the state Dead for a group that never was.
func refuseMembers(ctx context.Context, adm *kadm.Client, group string) (known bool, err error) {
	groups, err := adm.DescribeGroups(ctx, group)
	if err != nil {
		return false, err
	}
	g := groups[group]
	if errors.Is(g.Err, kerr.GroupIDNotFound) {
		return false, nil
	}
	if g.Err != nil {
		return false, fmt.Errorf("group %s: %w", group, g.Err)
	}
	if g.State == "Empty" || g.State == "Dead" || g.State == "" {
		return g.State == "Empty", nil
	}
	clients := map[string]bool{}
	for _, m := range g.Members {
		clients[clean(m.ClientID)+" at "+clean(m.ClientHost)] = true
	}
	who := slices.Sorted(maps.Keys(clients))
	const shown = 5
	if len(who) > shown {
		who = append(who[:shown], "...")
	}
	return true, withFix(fmt.Errorf("group %s is %s with %d member(s): %s", group, g.State, len(g.Members), strings.Join(who, ", ")),
		"Stop its consumers first; a consumer that was killed leaves the group after its session timeout. `holdfast group describe %s` shows them.", group)
}

// seekPlan decides where each partition goes.
func (a *app) seekPlan(ctx context.Context, adm *kadm.Client, group string, o groupSeek, committed kadm.OffsetResponses) ([]seekRow, error) {
	wanted, err := a.seekTargets(ctx, adm, o, committed)
	if err != nil {
		return nil, err
	}
	topics := slices.Sorted(maps.Keys(wanted))
	if len(topics) == 0 {
		return nil, nil
	}
	all, err := listMarks(ctx, adm, topics)
	if err != nil {
		return nil, err
	}
	var rows []seekRow
	for _, topic := range topics {
		for _, number := range slices.Sorted(maps.Keys(wanted[topic])) {
			if len(o.partitions) > 0 && !slices.Contains(o.partitions, number) {
				continue
			}
			start, ok := all.starts.Lookup(topic, number)
			end, ok2 := all.ends.Lookup(topic, number)
			if err := cmpOr(start.Err, end.Err); err != nil || !ok || !ok2 {
				return nil, inPartition(topic, number, cmpOr(err, kerr.UnknownTopicOrPartition))
			}
			r := seekRow{Group: group, Topic: topic, Partition: number, From: -1, To: min(max(wanted[topic][number], start.Offset), end.Offset), Result: "would-seek"}
			if c, ok := committed.Lookup(topic, number); ok && c.Err == nil {
				r.From = c.At
			}
			from := r.From
			if from < 0 {
				from = start.Offset
			}
			from = min(max(from, start.Offset), end.Offset)
			r.Again, r.Skipped = max(0, from-r.To), max(0, r.To-from)
			if r.From < 0 {
				r.Again = 0
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// seekTargets are the offsets that were asked for, before they are brought into
// the partitions' bounds.
func (a *app) seekTargets(ctx context.Context, adm *kadm.Client, o groupSeek, committed kadm.OffsetResponses) (map[string]map[int32]int64, error) {
	var found map[string]map[int32]int64
	switch {
	case o.fromFile != "":
		var err error
		if found, err = a.readOffsets(o.fromFile); err != nil {
			return nil, err
		}
	case o.toGroup != "":
		other, err := adm.FetchOffsets(ctx, o.toGroup)
		if err != nil {
			return nil, fmt.Errorf("group %s: %w", o.toGroup, err)
		}
		if found = committedOf(other, 0); len(found) == 0 {
			return nil, withFix(fmt.Errorf("--to-group %s: that group has committed nothing", o.toGroup), "`holdfast group list` shows what exists.")
		}
	case o.to == "":
		found = committedOf(committed, o.shift)
	default:
		return a.seekTo(ctx, adm, o, committed)
	}
	if len(o.topics) > 0 {
		maps.DeleteFunc(found, func(topic string, _ map[int32]int64) bool { return !slices.Contains(o.topics, topic) })
	}
	return found, nil
}

func committedOf(list kadm.OffsetResponses, shift int64) map[string]map[int32]int64 {
	found := map[string]map[int32]int64{}
	list.Each(func(r kadm.OffsetResponse) {
		if r.Err == nil && r.At >= 0 {
			put(found, r.Topic, r.Partition, r.At+shift)
		}
	})
	return found
}

// seekTo is --to: a place in every partition of the named topics, or in those
// partitions that the group has committed for.
func (a *app) seekTo(ctx context.Context, adm *kadm.Client, o groupSeek, committed kadm.OffsetResponses) (map[string]map[int32]int64, error) {
	r, err := parseOffsets(o.to, a.Streams.Clock.Now())
	if err == nil && r.to.kind != pointNone {
		err = fmt.Errorf("want one place, without an end")
	}
	if err != nil {
		return nil, usagef("--to %s: %v", o.to, err)
	}
	known := committedOf(committed, 0)
	topics := o.topics
	if len(topics) == 0 {
		topics = slices.Sorted(maps.Keys(known))
	}
	if len(topics) == 0 {
		return nil, nil
	}
	all, err := listMarks(ctx, adm, topics)
	if err != nil {
		return nil, err
	}
	found, err := all.resolve(ctx, adm, r.from, topics)
	if err != nil || len(o.topics) > 0 {
		return found, err
	}
	for topic, partitions := range found {
		maps.DeleteFunc(partitions, func(number int32, _ int64) bool { _, ok := known[topic][number]; return !ok })
	}
	return found, nil
}

// readOffsets reads lines TOPIC,PARTITION,OFFSET.
func (a *app) readOffsets(name string) (map[string]map[int32]int64, error) {
	const most = 64 << 20
	data, err := a.Streams.readInput(name, most)
	if err != nil {
		return nil, fmt.Errorf("--from-file: %w", err)
	}
	found := map[string]map[int32]int64{}
	for i, line := range strings.Split(string(bytes.TrimSpace(data)), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.ReplaceAll(line, `"`, ""), ",")
		if len(fields) == 4 { // Kafka's tool puts the group first where several are exported
			fields = fields[1:]
		}
		if len(fields) != 3 {
			return nil, usagef("--from-file %s line %d: want TOPIC,PARTITION,OFFSET", name, i+1)
		}
		partition, err := strconv.ParseInt(strings.TrimSpace(fields[1]), 10, 32)
		at, err2 := strconv.ParseInt(strings.TrimSpace(fields[2]), 10, 64)
		if err = cmpOr(err, err2); err != nil || partition < 0 || at < 0 {
			return nil, usagef("--from-file %s line %d: partition and offset must be numbers", name, i+1)
		}
		put(found, strings.TrimSpace(fields[0]), int32(partition), at)
	}
	return found, nil
}

func (a *app) printSeek(rows []seekRow, o groupSeek, firstErr error) error {
	if o.export {
		for _, r := range rows {
			if _, err := fmt.Fprintf(a.Streams.Out, "%s,%d,%d\n", r.Topic, r.Partition, r.To); err != nil {
				return err
			}
		}
		return firstErr
	}
	list := make([]any, len(rows))
	for i := range rows {
		list[i] = rows[i]
	}
	err := a.print(listing{value: rows, rows: list, text: func(bool) error {
		var grid [][]any
		for _, r := range rows {
			from := "-"
			if r.From >= 0 {
				from = fmt.Sprint(r.From)
			}
			row := []any{clean(r.Topic), r.Partition, from, r.To, r.Again, r.Skipped, r.Result}
			if r.Error != "" {
				row = append(row, r.Error)
			}
			grid = append(grid, row)
		}
		return a.grid([]any{"TOPIC", "PARTITION", "FROM", "TO", "AGAIN", "SKIPPED", "RESULT"}, grid)
	}})
	if err != nil || firstErr != nil {
		return cmpOr(err, firstErr)
	}
	if !o.execute && !o.yes {
		a.talk("nothing was changed; --execute does it")
	}
	return nil
}
