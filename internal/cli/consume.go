package cli

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type consumeOptions struct {
	offset     string
	partitions []int32
	number     int64
	format     string
	metaOnly   bool
	regex      bool
	committed  bool
	group      string
	output     string // -O: json, jsonl or empty
}

const consumeLong = `Read records of topics and print them, until Ctrl-C, -n or the end of -o.

-o says where to begin and, after a colon, where to end (exclusive):
  start, end      the first record that is there; only what comes from now on
  47  +2  -3      an offset; 2 records after the start; 3 before the end
  10:20  :end     from 10 up to 20; all that is there now, then stop
  @TIME  @T1:T2   from a time on; between two times. TIME is RFC 3339, a date,
                  milliseconds since 1970, or a duration before now: @-24h:-1h

Without -f, each record is printed as JSON over several lines, with -f jsonl in one
line; a key or value that is not UTF-8 appears as key_base64 or value_base64. -f
takes the percent language of kcat and rpk: %v value, %k key, %t topic, %p partition, %o offset,
%e leader epoch, %d timestamp, %h{...} headers, with {hex} or {base64}.

--group reads as a member of a consumer group and begins where the group stopped.
What was read is committed only after it was written to stdout: killing this
program loses nothing, and at most repeats what was written last.`

const consumeExample = `  holdfast consume orders                          everything from the start, then follow
  holdfast consume orders -o :end -f '%p %o %k %v\n'
  holdfast consume orders -o @-1h -n 10
  holdfast consume orders -f jsonl | jq .value
  holdfast consume orders --group billing -f '%v\n' >> orders.txt
  holdfast consume 'order.*' -r -o end --meta-only`

func (a *app) consumeCommand() *cobra.Command {
	var o consumeOptions
	cmd := &cobra.Command{Use: "consume TOPIC...", Aliases: []string{"c"}, Short: "Read records of topics", Long: consumeLong, Example: consumeExample,
		Args: words(1, noMost), ValidArgsFunction: a.completeTopics,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.interruptible(cmd.Context())
			defer cancel()
			return a.consume(ctx, args, o)
		})}
	f := cmd.Flags()
	f.StringVarP(&o.offset, "offset", "o", "start", "where to begin, and where to end")
	f.Int32SliceVarP(&o.partitions, "partitions", "p", nil, "only these partitions")
	f.Int64VarP(&o.number, "num", "n", 0, "stop after so many records; 0 is without limit")
	f.StringVarP(&o.format, "format", "f", "json", `format of a record, such as '%v\n'; json is JSON over several lines, jsonl in one`)
	f.StringVarP(&o.output, "output", "O", "", "json or jsonl: the same as -f json, -f jsonl")
	f.StringVarP(&o.group, "group", "g", "", "read as a member of a consumer group; commit only what was written out")
	f.BoolVar(&o.metaOnly, "meta-only", false, "neither keys' nor values' bytes, only their sizes")
	f.BoolVarP(&o.regex, "regex", "r", false, "topics are regular expressions")
	f.BoolVar(&o.committed, "read-committed", false, "do not print records of transactions that were aborted or are open")
	_ = cmd.RegisterFlagCompletionFunc("offset", cobra.FixedCompletions([]string{"start", "end", ":end", "@-1h"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{formatJSON, formatJSONL}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{formatJSON, formatJSONL, `%v\n`, `%k %v\n`}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("group", a.completeGroups)
	cmd.MarkFlagsMutuallyExclusive("output", "format")
	a.clientFlags(cmd)
	return cmd
}

// check refuses what does not fit together, before anything is asked.
func (o *consumeOptions) check(span offsetRange) error {
	switch o.output {
	case "":
	case formatJSON, formatJSONL:
		o.format = o.output
	default:
		return usagef("-O %s: records are printed as json or jsonl; -f takes a format such as '%%v\\n'", o.output)
	}
	if o.format == formatYAML || o.format == formatText || o.format == formatWide {
		return usagef("-f %s: records are printed as json or jsonl, or by a format such as '%%v\\n'", o.format)
	}
	if o.number < 0 {
		return usagef("-n %d: want a number of records", o.number)
	}
	if o.group == "" {
		return nil
	}
	if len(o.partitions) > 0 {
		return usagef("-p does not go with --group: the group decides who reads which partition")
	}
	if span.to.kind != pointNone || span.from.kind != pointStart && span.from.kind != pointEnd {
		return usagef("-o %s does not go with --group: there it says only where a group begins that has committed nothing, start or end; `holdfast group seek` moves a group", o.offset)
	}
	return nil
}

// consuming is one run of consume.
type consuming struct {
	app    *app
	o      consumeOptions
	out    *bufio.Writer
	format *kgo.RecordFormatter // nil: JSON
	left   int64                // records to go; -1: without limit
	// ends are where bounded partitions end; a partition that has come there is
	// taken out. nil: not bounded.
	ends map[string]map[int32]int64
}

func (a *app) consume(ctx context.Context, topics []string, o consumeOptions) error {
	span, err := parseOffsets(o.offset, a.Streams.Clock.Now())
	if err != nil {
		return usagef("-o %s: %v", o.offset, err)
	}
	if err := o.check(span); err != nil {
		return err
	}
	c := &consuming{app: a, o: o, out: bufio.NewWriterSize(a.Streams.Out, 64<<10), left: o.number}
	if o.number == 0 {
		c.left = -1
	}
	if o.format != formatJSON && o.format != formatJSONL {
		if c.format, err = kgo.NewRecordFormatter(o.format); err != nil {
			return usagef("-f %s: %v", o.format, err)
		}
	}
	adm, client, err := a.admin(ctx)
	if err != nil {
		return endOfConsume(ctx, err)
	}
	opts, err := c.plan(ctx, planning{adm, client}, topics, span)
	adm.Close()
	if err != nil {
		return endOfConsume(ctx, explain(client.brokers, err))
	}
	if c.ends != nil && len(c.ends) == 0 {
		return nil // nothing lies between the bounds
	}
	seen := &presence{clock: a.Streams.Clock}
	cl, err := kgo.NewClient(append(append(client.options(), opts...), kgo.WithHooks(seen))...)
	if err != nil {
		return usagef("%v", err)
	}
	defer cl.CloseAllowingRebalance()
	watched, stop := context.WithCancel(ctx)
	defer stop()
	go seen.watch(watched, a)
	err = c.poll(ctx, cl)
	return endOfConsume(ctx, explain(client.brokers, cmpOr(err, c.out.Flush())))
}

// endOfConsume makes Ctrl-C a success.
func endOfConsume(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || err == nil) {
		return nil
	}
	return err
}

// planning is what plan asks with.
type planning struct {
	adm    *kadm.Client
	client clientConfig
}

// plan looks the topics up and decides what the client reads.
func (c *consuming) plan(ctx context.Context, with planning, topics []string, r offsetRange) ([]kgo.Opt, error) {
	adm, client := with.adm, with.client
	opts := []kgo.Opt{kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(500 * time.Millisecond)}
	if c.o.committed {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	topics, err := c.topics(ctx, adm, topics)
	if err != nil {
		return nil, err
	}
	if c.o.group != "" {
		return append(opts, c.groupOptions(client, topics, r.from)...), nil
	}
	bounded := r.to.kind != pointNone
	if !bounded && len(c.o.partitions) == 0 {
		return append(opts, kgo.ConsumeTopics(topics...), kgo.ConsumeStartOffset(r.from.offset())), nil
	}
	all, err := listMarks(ctx, adm, topics)
	if err != nil {
		return nil, err
	}
	from, err := all.resolve(ctx, adm, r.from, topics)
	if err != nil {
		return nil, err
	}
	to := from
	if bounded {
		if to, err = all.resolve(ctx, adm, r.to, topics); err != nil {
			return nil, err
		}
		c.ends = map[string]map[int32]int64{}
	}
	read := map[string]map[int32]kgo.Offset{}
	for topic, partitions := range from {
		for number, start := range partitions {
			if len(c.o.partitions) > 0 && !slices.Contains(c.o.partitions, number) {
				continue
			}
			// Nothing beyond the end of now can be waited for: a bound there means "all".
			end, _ := all.ends.Lookup(topic, number)
			stop := min(to[topic][number], end.Offset)
			if bounded && start >= stop {
				continue
			}
			if bounded {
				put(c.ends, topic, number, stop)
			}
			put(read, topic, number, kgo.NewOffset().At(start))
		}
	}
	if err := c.checkPartitions(from); err != nil {
		return nil, err
	}
	return append(opts, kgo.ConsumePartitions(read)), nil
}

func put[V any](m map[string]map[int32]V, topic string, partition int32, v V) {
	if m[topic] == nil {
		m[topic] = map[int32]V{}
	}
	m[topic][partition] = v
}

func (c *consuming) checkPartitions(found map[string]map[int32]int64) error {
	for topic, partitions := range found {
		for _, p := range c.o.partitions {
			if _, ok := partitions[p]; !ok {
				return usagef("-p %d: topic %s has %d partitions", p, topic, len(partitions))
			}
		}
	}
	return nil
}

// topics checks that the topics exist, or finds those that match.
func (c *consuming) topics(ctx context.Context, adm *kadm.Client, wanted []string) ([]string, error) {
	if !c.o.regex {
		details, err := adm.ListTopicsWithInternal(ctx, wanted...)
		if err != nil {
			return nil, err
		}
		for _, name := range wanted {
			if err := details[name].Err; err != nil {
				return nil, fmt.Errorf("topic %s: %w", name, err)
			}
		}
		return wanted, nil
	}
	details, err := adm.ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	matched := map[string]bool{}
	for _, w := range wanted {
		re, err := regexp.Compile("^(?:" + w + ")$")
		if err != nil {
			return nil, usagef("-r %s: %v", w, err)
		}
		for name := range details {
			matched[name] = matched[name] || re.MatchString(name)
		}
	}
	maps.DeleteFunc(matched, func(_ string, ok bool) bool { return !ok })
	if len(matched) == 0 {
		return nil, withFix(fmt.Errorf("no topic matches %v", wanted), "`holdfast topic list` shows what exists.")
	}
	return slices.Sorted(maps.Keys(matched)), nil
}

// poll prints records until everything that was asked for is printed.
func (c *consuming) poll(ctx context.Context, cl *kgo.Client) error {
	const most = 10_000
	for c.left != 0 {
		want := int64(most)
		if c.left > 0 {
			want = min(want, c.left)
		}
		fetches := cl.PollRecords(ctx, int(want))
		if err := c.printAll(fetches); err != nil {
			return err
		}
		if c.o.group != "" {
			if err := c.commit(ctx, cl, fetches); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			if !c.passes(e.Err) {
				return faultOf(e)
			}
		}
		if c.ends != nil && c.passedEnds(fetches) {
			return nil
		}
	}
	return nil
}

// faultOf says what an error met. One of the group's session belongs to no topic.
func faultOf(e kgo.FetchError) error {
	if e.Topic == "" {
		return e.Err
	}
	return fmt.Errorf("read topic %s partition %d: %w", e.Topic, e.Partition, e.Err)
}

// printAll prints records, and returns when the kernel has them.
func (c *consuming) printAll(fetches kgo.Fetches) error {
	for it := fetches.RecordIter(); !it.Done(); {
		if err := c.print(it.Next()); err != nil {
			return err
		}
	}
	return c.out.Flush()
}

// print prints a record that lies within the bounds.
func (c *consuming) print(r *kgo.Record) error {
	if c.left == 0 {
		return nil
	}
	if c.ends != nil {
		end, open := c.ends[r.Topic][r.Partition]
		if !open || r.Offset >= end {
			return nil
		}
	}
	if c.left > 0 {
		c.left--
	}
	if c.format == nil {
		return c.printJSON(r)
	}
	if c.o.metaOnly {
		r.Key, r.Value = nil, nil
	}
	_, err := c.out.Write(c.format.AppendRecord(nil, r))
	return err
}

// passedEnds closes the partitions that have been read to their end, and reports
// whether all have. A partition whose last offsets hold no record for us (a
// transaction's marker, a compacted record) ends with the next record behind
// them or when its fetch position has passed, which the client reports through
// the last offset that it saw.
func (c *consuming) passedEnds(fetches kgo.Fetches) bool {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		end, open := c.ends[p.Topic][p.Partition]
		if !open || len(p.Records) == 0 {
			return
		}
		if p.Records[len(p.Records)-1].Offset >= end-1 {
			delete(c.ends[p.Topic], p.Partition)
			if len(c.ends[p.Topic]) == 0 {
				delete(c.ends, p.Topic)
			}
		}
	})
	return len(c.ends) == 0
}

// printedRecord is a record in JSON.
type printedRecord struct {
	Topic       string          `json:"topic"`
	Partition   int32           `json:"partition"`
	Offset      int64           `json:"offset"`
	LeaderEpoch int32           `json:"leader_epoch"`
	Timestamp   int64           `json:"timestamp"` // milliseconds since 1970
	Headers     []printedHeader `json:"headers,omitempty"`
	Key         *string         `json:"key,omitempty"`
	KeyBase64   string          `json:"key_base64,omitempty"`
	KeySize     *int            `json:"key_size,omitempty"`
	Value       *string         `json:"value"`
	ValueBase64 string          `json:"value_base64,omitempty"`
	ValueSize   *int            `json:"value_size,omitempty"`
}

// printedMeta is a record in JSON without its bytes.
type printedMeta struct {
	Topic       string `json:"topic"`
	Partition   int32  `json:"partition"`
	Offset      int64  `json:"offset"`
	LeaderEpoch int32  `json:"leader_epoch"`
	Timestamp   int64  `json:"timestamp"`
	KeySize     int    `json:"key_size"`
	ValueSize   int    `json:"value_size"`
}

type printedHeader struct {
	Key         string  `json:"key"`
	Value       *string `json:"value"`
	ValueBase64 string  `json:"value_base64,omitempty"`
}

func (c *consuming) printJSON(r *kgo.Record) error {
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	if c.o.format == formatJSON {
		enc.SetIndent("", "  ")
	}
	if c.o.metaOnly {
		return enc.Encode(printedMeta{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, LeaderEpoch: r.LeaderEpoch,
			Timestamp: r.Timestamp.UnixMilli(), KeySize: len(r.Key), ValueSize: len(r.Value)})
	}
	p := printedRecord{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, LeaderEpoch: r.LeaderEpoch, Timestamp: r.Timestamp.UnixMilli()}
	p.Key, p.KeyBase64 = printable(r.Key)
	p.Value, p.ValueBase64 = printable(r.Value)
	for _, h := range r.Headers {
		text, encoded := printable(h.Value)
		p.Headers = append(p.Headers, printedHeader{Key: h.Key, Value: text, ValueBase64: encoded})
	}
	return enc.Encode(p)
}

// printable is the text of bytes, or nil and their base64 where they are no text.
func printable(b []byte) (text *string, encoded string) {
	if b == nil {
		return nil, ""
	}
	if !utf8.Valid(b) {
		return nil, base64.StdEncoding.EncodeToString(b)
	}
	s := string(b)
	return &s, ""
}
