package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func (a *app) groupCommand() *cobra.Command {
	return parent("group", "List, describe, move and delete consumer groups", []string{"groups", "g"},
		a.groupListCommand(), a.groupDescribeCommand(), a.groupSeekCommand(), a.groupOffsetDeleteCommand(), a.groupDeleteCommand())
}

// listedGroup is one line of group list.
type listedGroup struct {
	Group       string `json:"group"`
	State       string `json:"state"`
	Protocol    string `json:"protocol_type"`
	Coordinator int32  `json:"coordinator"`
}

func (a *app) groupListCommand() *cobra.Command {
	var states []string
	cmd := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List consumer groups", Args: words(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Example: "  holdfast group list\n  holdfast group list --states Stable,Empty -O json",
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd, func(ctx context.Context, adm *kadm.Client) error { return a.listGroups(ctx, adm, states) })
		})}
	cmd.Flags().StringSliceVarP(&states, "states", "s", nil, "only groups in these states: Stable, Empty, PreparingRebalance, CompletingRebalance, Dead")
	_ = cmd.RegisterFlagCompletionFunc("states", cobra.FixedCompletions([]string{"Stable", "Empty", "PreparingRebalance", "CompletingRebalance", "Dead"}, cobra.ShellCompDirectiveNoFileComp))
	a.outputFlag(cmd)
	a.clientFlags(cmd)
	return cmd
}

func (a *app) listGroups(ctx context.Context, adm *kadm.Client, states []string) error {
	found, err := adm.ListGroups(ctx, states...)
	if err != nil {
		return err
	}
	list := []listedGroup{}
	var rows []any
	for _, g := range found.Sorted() {
		row := listedGroup{Group: g.Group, State: g.State, Protocol: g.ProtocolType, Coordinator: g.Coordinator}
		list, rows = append(list, row), append(rows, row)
	}
	return a.print(listing{value: list, rows: rows, text: func(wide bool) error {
		header := []any{"GROUP", "STATE"}
		if wide {
			header = append(header, "PROTOCOL-TYPE", "COORDINATOR")
		}
		var grid [][]any
		for _, g := range list {
			row := []any{clean(g.Group), g.State}
			if wide {
				row = append(row, g.Protocol, g.Coordinator)
			}
			grid = append(grid, row)
		}
		return a.grid(header, grid)
	}})
}

// describedGroup is everything that group describe says of a group.
type describedGroup struct {
	Group       string          `json:"group"`
	State       string          `json:"state"`
	Protocol    string          `json:"protocol_type"`
	Assignor    string          `json:"assignor"`
	Coordinator int32           `json:"coordinator"`
	Members     []groupMember   `json:"members"`
	Lag         int64           `json:"lag"`            // records, over all partitions that are known
	BehindMs    int64           `json:"behind_ms"`      // age of the oldest record that was not consumed; 0: none; -1: unknown
	Unread      int64           `json:"expired_unread"` // offsets that were deleted before the group came to them
	Offsets     []groupPosition `json:"offsets"`
}

type groupMember struct {
	Member     string `json:"member"`
	Instance   string `json:"instance,omitempty"`
	Client     string `json:"client"`
	Host       string `json:"host"`
	Partitions int    `json:"partitions"`
}

// groupPosition is how far a group came in one partition.
type groupPosition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"` // -1: nothing was committed
	Start     int64  `json:"start_offset"`
	End       int64  `json:"end_offset"`
	Lag       int64  `json:"lag"`       // -1: unknown
	BehindMs  int64  `json:"behind_ms"` // -1: unknown
	Member    string `json:"member,omitempty"`
	Client    string `json:"client,omitempty"`
	Host      string `json:"host,omitempty"`
	Metadata  string `json:"metadata,omitempty"`
	Error     string `json:"error,omitempty"`
}

const groupDescribeLong = `Show members, committed offsets and lag of consumer groups.

LAG is the number of offsets between the committed one and the end. BEHIND is the
age of the oldest record that was not consumed: the time that the group is behind.
Offsets that retention deleted before the group came to them are counted as
expired unread.`

func (a *app) groupDescribeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "describe GROUP...", Aliases: []string{"desc", "info"}, Short: "Show members, offsets and lag of consumer groups", Long: groupDescribeLong,
		Args: words(1, noMost), ValidArgsFunction: a.completeGroups,
		Example: "  holdfast group describe billing\n  holdfast group describe billing -O json | jq '.[0].lag'",
		RunE: run(func(cmd *cobra.Command, args []string) error {
			return a.ask(cmd, func(ctx context.Context, adm *kadm.Client) error { return a.describeGroups(ctx, adm, args) })
		})}
	a.outputFlag(cmd)
	a.clientFlags(cmd)
	return cmd
}

func (a *app) describeGroups(ctx context.Context, adm *kadm.Client, names []string) error {
	lags, err := adm.Lag(ctx, names...)
	if err != nil {
		return err
	}
	list := []describedGroup{}
	var rows []any
	for _, name := range names {
		l := lags[name]
		if err := l.Error(); err != nil {
			return fmt.Errorf("describe group %s: %w", name, err)
		}
		if l.State == "Dead" && len(l.Members) == 0 && len(l.Lag) == 0 {
			return fmt.Errorf("describe group %s: %w", name, kerr.GroupIDNotFound)
		}
		list = append(list, describeGroup(l))
	}
	if err := a.behind(ctx, list); err != nil {
		return err
	}
	for _, g := range list {
		rows = append(rows, g)
	}
	return a.print(listing{value: list, rows: rows, text: func(wide bool) error {
		for i, g := range list {
			if i > 0 {
				fmt.Fprintln(a.Streams.Out)
			}
			if err := a.printGroup(g, wide); err != nil {
				return err
			}
		}
		return nil
	}})
}

func describeGroup(l kadm.DescribedGroupLag) describedGroup {
	g := describedGroup{Group: l.Group, State: l.State, Protocol: l.ProtocolType, Assignor: l.Protocol, Coordinator: l.Coordinator.NodeID,
		Members: []groupMember{}, Offsets: []groupPosition{}}
	for _, m := range l.Members {
		row := groupMember{Member: m.MemberID, Client: m.ClientID, Host: m.ClientHost}
		if m.InstanceID != nil {
			row.Instance = *m.InstanceID
		}
		if c, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range c.Topics {
				row.Partitions += len(t.Partitions)
			}
		}
		g.Members = append(g.Members, row)
	}
	for _, p := range l.Lag.Sorted() {
		row := groupPosition{Topic: p.Topic, Partition: p.Partition, Committed: p.Commit.At, Start: -1, End: -1, Lag: p.Lag, BehindMs: -1, Metadata: p.Commit.Metadata}
		if p.Start.Err == nil {
			row.Start = p.Start.Offset
		}
		if p.End.Err == nil {
			row.End = p.End.Offset
		}
		if p.Err != nil {
			row.Error = p.Err.Error()
		}
		if m := p.Member; m != nil {
			row.Member, row.Client, row.Host = m.MemberID, m.ClientID, m.ClientHost
		}
		if p.Lag > 0 {
			g.Lag += p.Lag
		}
		if row.Committed >= 0 && row.Start > row.Committed {
			g.Unread += row.Start - row.Committed
		}
		g.Offsets = append(g.Offsets, row)
	}
	return g
}

// behind finds out how old the first record is that each partition's group did
// not consume. What cannot be found out in time stays unknown.
func (a *app) behind(ctx context.Context, list []describedGroup) error {
	for i := range list {
		g := &list[i]
		times, err := a.recordTimes(ctx, g.Offsets)
		if err != nil {
			return err
		}
		now := a.Streams.Clock.Now()
		for j := range g.Offsets {
			p := &g.Offsets[j]
			if p.Lag == 0 {
				p.BehindMs = 0
			}
			if at, ok := times[p.Topic][p.Partition]; ok {
				p.BehindMs = max(0, now.Sub(at).Milliseconds())
			}
			switch {
			case p.BehindMs < 0 && p.Lag > 0:
				g.BehindMs = -1
			case g.BehindMs >= 0:
				g.BehindMs = max(g.BehindMs, p.BehindMs)
			}
		}
	}
	return nil
}

func (a *app) printGroup(g describedGroup, wide bool) error {
	out := a.Streams.Out
	fmt.Fprintf(out, "Group:           %s\nState:           %s\nAssignor:        %s\nCoordinator:     %d\nMembers:         %d\nLag:             %d record(s), %s behind\n",
		clean(g.Group), g.State, clean(dash(g.Assignor)), g.Coordinator, len(g.Members), g.Lag, spell(g.BehindMs))
	if g.Unread > 0 {
		fmt.Fprintf(out, "Expired unread:  %d offset(s) were deleted before the group came to them\n", g.Unread)
	}
	if len(g.Offsets) > 0 {
		fmt.Fprintln(out)
		members := wide || alike(g.Members)
		var grid [][]any
		for _, p := range g.Offsets {
			lag := "?"
			if p.Lag >= 0 {
				lag = fmt.Sprint(p.Lag)
			}
			committed := "-"
			if p.Committed >= 0 {
				committed = fmt.Sprint(p.Committed)
			}
			row := []any{clean(p.Topic), p.Partition, committed, offset(p.End), lag, spell(p.BehindMs), clean(dash(p.Client)), clean(dash(p.Host))}
			if members {
				row = append(row, clean(dash(p.Member)))
			}
			if wide {
				row = append(row, clean(dash(p.Metadata)))
			}
			if p.Error != "" {
				row = append(row, p.Error)
			}
			grid = append(grid, row)
		}
		header := []any{"TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "BEHIND", "CLIENT", "HOST"}
		if members {
			header = append(header, "MEMBER")
		}
		if wide {
			header = append(header, "METADATA")
		}
		if err := a.grid(header, grid); err != nil {
			return err
		}
	}
	return a.printMembers(out, g, wide)
}

// alike reports whether client and host do not tell the members apart.
func alike(members []groupMember) bool {
	seen := map[[2]string]bool{}
	for _, m := range members {
		who := [2]string{m.Client, m.Host}
		if seen[who] {
			return true
		}
		seen[who] = true
	}
	return false
}

func (a *app) printMembers(out io.Writer, g describedGroup, wide bool) error {
	if !wide || len(g.Members) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	var grid [][]any
	for _, m := range g.Members {
		grid = append(grid, []any{clean(m.Member), clean(dash(m.Instance)), clean(dash(m.Client)), clean(dash(m.Host)), m.Partitions})
	}
	return a.grid([]any{"MEMBER", "INSTANCE", "CLIENT", "HOST", "PARTITIONS"}, grid)
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// spell is a time in milliseconds for people.
func spell(ms int64) string {
	switch d := time.Duration(ms) * time.Millisecond; {
	case ms < 0:
		return "?"
	case ms == 0:
		return "0s"
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// groupResult is what became of a group or of its offset in one partition.
type groupResult struct {
	Group     string `json:"group"`
	Topic     string `json:"topic,omitempty"`
	Partition *int32 `json:"partition,omitempty"`
	Result    string `json:"result"` // deleted, would-delete, failed
	Detail    string `json:"detail,omitempty"`
	Error     string `json:"error,omitempty"`
}

func (a *app) groupResults(list []groupResult, firstErr error) error {
	rows := make([]any, len(list))
	for i := range list {
		rows[i] = list[i]
	}
	err := a.print(listing{value: list, rows: rows, text: func(bool) error {
		for _, r := range list {
			if r.Error != "" {
				continue
			}
			text := clean(r.where()) + ": " + r.Result
			if r.Detail != "" {
				text += " (" + r.Detail + ")"
			}
			if _, err := fmt.Fprintln(a.Streams.Out, text); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil || firstErr == nil {
		return err
	}
	for _, r := range list {
		if r.Error != "" {
			a.talk("error: %s: %s", clean(r.where()), r.Error)
		}
	}
	var f *failure
	if errors.As(explain(nil, firstErr), &f) && f.fix != "" {
		a.talk("  %s", f.fix)
	}
	return exit(ExitFailed)
}

func (r groupResult) where() string {
	switch {
	case r.Partition != nil:
		return fmt.Sprintf("%s %s/%d", r.Group, r.Topic, *r.Partition)
	case r.Topic != "":
		return r.Group + " " + r.Topic
	}
	return r.Group
}

func (a *app) groupDeleteCommand() *cobra.Command {
	var yes, dryRun bool
	cmd := &cobra.Command{Use: "delete GROUP...", Aliases: []string{"rm"}, Short: "Delete consumer groups and their offsets for ever",
		Args: words(1, noMost), ValidArgsFunction: a.completeGroups,
		Long:    "Delete consumer groups with everything they committed. A group that has members\nis refused by the broker: stop its consumers first.",
		Example: "  holdfast group delete billing --dry-run\n  holdfast group delete billing --yes",
		RunE: run(func(cmd *cobra.Command, args []string) error {
			return a.askAfter(cmd, func(ctx context.Context, adm *kadm.Client) error { return a.deleteGroups(ctx, adm, args, yes, dryRun) })
		})}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be lost, and delete nothing")
	a.outputFlag(cmd)
	a.clientFlags(cmd)
	return cmd
}

func (a *app) deleteGroups(ctx context.Context, adm *kadm.Client, names []string, yes, dryRun bool) error {
	plan, offsets, err := groupPlan(ctx, adm, names)
	if err != nil {
		return err
	}
	if dryRun {
		return a.groupResults(plan, nil)
	}
	for _, r := range plan {
		a.talk("%s: %s", clean(r.Group), r.Detail)
	}
	if err := a.confirm(yes, fmt.Sprintf("Deleting %d group(s) with %d committed offset(s) cannot be undone.", len(names), offsets)); err != nil {
		return err
	}
	resp, err := adm.DeleteGroups(ctx, names...)
	if err != nil {
		return err
	}
	var list []groupResult
	var firstErr error
	for _, name := range names {
		if err := resp[name].Err; err != nil {
			list = append(list, groupResult{Group: name, Result: "failed", Error: err.Error()})
			firstErr = cmpOr(firstErr, err)
			continue
		}
		list = append(list, groupResult{Group: name, Result: "deleted"})
	}
	return a.groupResults(list, firstErr)
}

// groupPlan is what a deletion takes.
func groupPlan(ctx context.Context, adm *kadm.Client, names []string) (plan []groupResult, offsets int, err error) {
	groups, err := adm.DescribeGroups(ctx, names...)
	if err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		g := groups[name]
		committed, err := adm.FetchOffsets(ctx, name)
		if err = cmpOr(g.Err, err); err != nil {
			return nil, 0, fmt.Errorf("group %s: %w", name, err)
		}
		n := 0
		committed.Each(func(kadm.OffsetResponse) { n++ })
		if g.State == "Dead" && n == 0 {
			return nil, 0, fmt.Errorf("group %s: %w", name, kerr.GroupIDNotFound)
		}
		offsets += n
		plan = append(plan, groupResult{Group: name, Result: "would-delete", Detail: fmt.Sprintf("%s, %d members, %d committed offsets", strings.ToLower(g.State), len(g.Members), n)})
	}
	return plan, offsets, nil
}

func (a *app) groupOffsetDeleteCommand() *cobra.Command {
	var topics []string
	var yes, dryRun bool
	cmd := &cobra.Command{Use: "offset-delete GROUP --topic TOPIC", Short: "Delete what a group committed for topics", Args: words(1, 1), ValidArgsFunction: a.completeGroups,
		Long:    "Delete what a group committed for topics: the group then begins there as if it had\nnever read them. A topic that members of the group read is refused by the broker.",
		Example: "  holdfast group offset-delete billing --topic orders --dry-run\n  holdfast group offset-delete billing --topic orders --yes",
		RunE: run(func(cmd *cobra.Command, args []string) error {
			return a.askAfter(cmd, func(ctx context.Context, adm *kadm.Client) error {
				plan, err := offsetPlan(ctx, adm, args[0], topics)
				switch {
				case err != nil:
					return err
				case dryRun:
					return a.groupResults(plan, nil)
				}
				return a.deleteOffsets(ctx, adm, plan, yes)
			})
		})}
	cmd.Flags().StringSliceVarP(&topics, "topic", "t", nil, "the topics; may be repeated")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be lost, and delete nothing")
	_ = cmd.MarkFlagRequired("topic")
	_ = cmd.RegisterFlagCompletionFunc("topic", a.completeTopics)
	a.outputFlag(cmd)
	a.clientFlags(cmd)
	return cmd
}

// offsetPlan is what offset-delete takes: what the group has committed.
func offsetPlan(ctx context.Context, adm *kadm.Client, group string, topics []string) ([]groupResult, error) {
	committed, err := adm.FetchOffsetsForTopics(ctx, group, topics...)
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", group, err)
	}
	var plan []groupResult
	for _, p := range committed.Sorted() {
		if p.At >= 0 {
			plan = append(plan, groupResult{Group: group, Topic: p.Topic, Partition: &p.Partition, Result: "would-delete", Detail: fmt.Sprintf("committed %d", p.At)})
		}
	}
	if len(plan) == 0 {
		return nil, fmt.Errorf("group %s has committed nothing for %s", group, strings.Join(topics, ", "))
	}
	return plan, nil
}

func (a *app) deleteOffsets(ctx context.Context, adm *kadm.Client, plan []groupResult, yes bool) error {
	group := plan[0].Group
	set := kadm.TopicsSet{}
	for _, r := range plan {
		set.Add(r.Topic, *r.Partition)
	}
	if err := a.confirm(yes, fmt.Sprintf("Deleting %d committed offset(s) of group %s cannot be undone.", len(plan), group)); err != nil {
		return err
	}
	resp, err := adm.DeleteOffsets(ctx, group, set)
	if err != nil {
		return err
	}
	var firstErr error
	for i := range plan {
		r := &plan[i]
		r.Result, r.Detail = "deleted", ""
		if err, _ := resp.Lookup(r.Topic, *r.Partition); err != nil {
			r.Result, r.Error, firstErr = "failed", err.Error(), cmpOr(firstErr, err)
		}
	}
	return a.groupResults(plan, firstErr)
}
