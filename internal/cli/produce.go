package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// produceOptions are the flags of produce.
type produceOptions struct {
	input       inputOptions
	acks        string
	compression string
	unackedFile string
	resume      string
	goesOn      bool
	ackFormat   string
	giveUpAfter time.Duration
}

const produceLong = `Write records from stdin to a topic.

Every input record is sent until the broker has acknowledged it: what can be
tried again is tried again without limit, and stderr says what is waited for.
The status is 0 only if every input record was acknowledged; the last line on
stderr is always

  acknowledged=N failed=M unknown=K

Failed records were refused; unknown ones were sent (or about to be) and neither
acknowledged nor refused: they may be stored or not. Ctrl-C stops reading and
waits for what is under way; a second Ctrl-C gives up.

-f is the format of the input: %v value, %k key, %h headers, %t topic,
%p partition, %K %V lengths, and {hex}, {base64}, {json} behind a verb. The
default '%v\n' makes a record of every line.

--unacked-file FILE keeps the input that was not acknowledged. Input goes to the
file, durably, before it is sent; the file is removed once everything is
acknowledged. After a failure it holds exactly the input that was not
acknowledged; after kill -9 of this program it holds at least that, and
FILE.state tells what of it was acknowledged. --resume FILE sends the rest (a
record whose acknowledgement got lost is then stored twice); with --continue,
stdin follows it, and keeps being kept. Status 10 says that resuming again cannot
help, because a record in FILE will never be accepted as it is:

  feed | { holdfast produce orders --unacked-file left.txt ||
    until holdfast produce --resume left.txt --continue || [ $? = 10 ]; do sleep 1; done; }`

const produceExample = `  echo hello | holdfast produce orders
  holdfast produce orders -f '%k %v\n' < pairs.txt
  holdfast produce orders -k customer-7 -H source:import -z zstd < lines.txt
  holdfast produce orders --unacked-file left.txt < lines.txt || holdfast produce --resume left.txt`

func (a *app) produceCommand() *cobra.Command {
	var o produceOptions
	cmd := &cobra.Command{Use: "produce TOPIC", Aliases: []string{"p"}, Short: "Write records from stdin to a topic", Long: produceLong, Example: produceExample,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.resume != "" {
				return words(0, 1)(cmd, args)
			}
			return words(1, 1)(cmd, args)
		},
		ValidArgsFunction: a.completeTopics,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.input.Topic = args[0]
			}
			return a.produce(cmd, o)
		})}
	f := cmd.Flags()
	f.StringVarP(&o.input.Format, "format", "f", `%v\n`, "format of the input")
	f.StringVarP(&o.input.Key, "key", "k", "", "key of every record that the format gives none")
	f.StringArrayVarP(&o.input.Headers, "header", "H", nil, "header NAME:VALUE of every record; may be repeated")
	f.Int32VarP(&o.input.Partition, "partition", "p", -1, "partition of every record; -1 lets keys decide")
	f.BoolVarP(&o.input.Tombstone, "tombstone", "Z", false, "an empty value is a tombstone (null)")
	f.StringVarP(&o.compression, "compression", "z", "", "none, gzip, snappy, lz4 or zstd (default none)")
	f.StringVar(&o.acks, "acks", "", "all (-1), 1 or 0 (default all)")
	f.StringVar(&o.ackFormat, "ack-format", "", `print every acknowledged record on stdout, for example '%p %o\n'`)
	f.StringVar(&o.unackedFile, "unacked-file", "", "keep in FILE the input that was not acknowledged")
	f.StringVar(&o.resume, "resume", "", "send what an earlier --unacked-file FILE holds, instead of stdin")
	f.BoolVar(&o.goesOn, "continue", false, "with --resume: stdin follows, beginning where the earlier run stopped reading")
	f.DurationVar(&o.giveUpAfter, "give-up-after", 0, "give up after this long; 0 never does (also --timeout)")
	f.DurationVar(&o.giveUpAfter, "timeout", 0, "the same as --give-up-after")
	_ = f.MarkHidden("timeout")
	cmd.MarkFlagsMutuallyExclusive("unacked-file", "resume")
	_ = cmd.RegisterFlagCompletionFunc("compression", cobra.FixedCompletions([]string{"none", "gzip", "snappy", "lz4", "zstd"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("acks", cobra.FixedCompletions([]string{"all", "1", "0"}, cobra.ShellCompDirectiveNoFileComp))
	a.clientFlags(cmd)
	return cmd
}

// produce runs the command.
func (a *app) produce(cmd *cobra.Command, o produceOptions) error {
	c, err := a.clientConfig()
	if err != nil {
		return err
	}
	if o.goesOn && o.resume == "" {
		return usagef("--continue belongs to --resume FILE")
	}
	if o.acks != "" {
		c.acks = o.acks
	}
	if o.compression != "" {
		c.compression = o.compression
	}
	var keep *ledger
	switch {
	case o.resume != "":
		keep, err = resumeLedger(o.resume, o.goesOn, &o.input, a.Streams.Clock)
	case o.unackedFile != "":
		keep, err = createLedger(o.unackedFile, o.input, a.Streams.Clock)
	}
	if err != nil {
		return err
	}
	if keep != nil {
		defer keep.close()
	}
	p, err := a.newProducing(c, o, keep)
	if err != nil {
		if keep != nil {
			_, _ = keep.settle(true) // nothing was read: no file is left behind
		}
		return err
	}
	return p.run(cmd.Context())
}

// newProducing checks every option before anything is read or sent.
func (a *app) newProducing(c clientConfig, o produceOptions, keep *ledger) (*producing, error) {
	p := &producing{app: a, client: c, o: o, keep: keep, clock: a.Streams.Clock, pending: map[int64]time.Time{}, idle: make(chan struct{}, 1), readEnd: make(chan error, 1)}
	var err error
	if p.source, err = newSource(a.Streams.In, o.input, keep); err != nil {
		return nil, err
	}
	if p.template, err = o.input.template(); err != nil {
		return nil, err
	}
	if o.ackFormat != "" {
		if p.ackFormat, err = kgo.NewRecordFormatter(o.ackFormat); err != nil {
			return nil, usagef("--ack-format: %v", err)
		}
	}
	opts, err := c.produceOptions(o.input)
	if err != nil {
		return nil, err
	}
	p.acksNone = c.acks == "0"
	p.waits = &waits{broker: strings.Join(c.brokers, ",")}
	p.cl, err = kgo.NewClient(append(opts, kgo.WithHooks(p.waits), kgo.WithLogger(p.waits))...)
	if err != nil {
		return nil, usagef("%v", err)
	}
	return p, nil
}

// produceOptions are those of a client that never gives a record up by itself.
func (c clientConfig) produceOptions(in inputOptions) ([]kgo.Opt, error) {
	acks, err := parseAcks(c.acks)
	if err != nil {
		return nil, usagef("--acks %s: %v", c.acks, err)
	}
	codec, err := parseCodec(c.compression)
	if err != nil {
		return nil, usagef("-z %s: %v", c.compression, err)
	}
	opts := append(c.options(), kgo.RequiredAcks(acks), kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(c.linger),
		kgo.RequestRetries(math.MaxInt32), kgo.RetryTimeout(0), kgo.RecordRetries(math.MaxInt64), kgo.UnknownTopicRetries(-1), kgo.AlwaysRetryEOF(),
		kgo.ConsiderMissingTopicDeletedAfter(math.MaxInt64), kgo.DefaultProduceTopic(in.Topic),
		kgo.RetryBackoffFn(func(tries int) time.Duration { return min(time.Second, 50*time.Millisecond<<min(tries, 5)) }))
	if acks != kgo.AllISRAcks() {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	if in.Partition >= 0 || strings.Contains(in.Format, "%p") {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	return opts, nil
}

func parseAcks(text string) (kgo.Acks, error) {
	switch text {
	case "all", "-1":
		return kgo.AllISRAcks(), nil
	case "1":
		return kgo.LeaderAck(), nil
	case "0":
		return kgo.NoAck(), nil
	}
	return kgo.Acks{}, fmt.Errorf("want all, -1, 1 or 0")
}

func parseCodec(text string) (kgo.CompressionCodec, error) {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "uncompressed": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	codec, ok := codecs[text]
	if !ok {
		return codec, fmt.Errorf("want none, gzip, snappy, lz4 or zstd")
	}
	return codec, nil
}

// fate is what became of a record.
type fate uint8

const (
	acknowledged fate = iota
	refused           // the broker, or the client before it was sent, said no
	unknownFate       // sent, perhaps, and never answered
)

// ambiguous are errors that end a record without saying whether it is stored.
var ambiguous = []*kerr.Error{kerr.UnknownServerError, kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerEpoch, kerr.ProducerFenced}

func fateOf(err error) fate {
	if err == nil {
		return acknowledged
	}
	var code *kerr.Error
	if errors.As(err, &code) && !code.Retriable && !slices.Contains(ambiguous, code) {
		return refused
	}
	// The client has no name for this one: a partition that does not exist, before
	// anything was sent.
	if code == nil && strings.Contains(err.Error(), "invalid record partitioning choice") {
		return refused
	}
	return unknownFate
}

// connect waits until a broker answers and the topic exists. It waits without
// limit; stop ends it.
func (p *producing) connect(ctx context.Context) error {
	adm := kadm.NewClient(p.cl)
	for {
		// A broker that refuses the connection answers Ping at once; requests would
		// be tried again inside the client where nobody sees it.
		try, cancel := context.WithTimeout(ctx, dialMax)
		err := p.cl.Ping(try)
		if err == nil && p.o.input.Topic != "" {
			var topics kadm.TopicDetails
			if topics, err = adm.ListTopicsWithInternal(try, p.o.input.Topic); err == nil {
				err = topics.Error()
			}
		}
		cancel()
		var code *kerr.Error
		switch {
		case err == nil, ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &code) && (!code.Retriable || errors.Is(code, kerr.UnknownTopicOrPartition)):
			return explain(p.client.brokers, fmt.Errorf("topic %s: %w", p.o.input.Topic, err))
		}
		p.waits.note(err)
		timer := p.clock.NewTimer(250 * time.Millisecond)
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
