package cli

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	defaultBroker = "127.0.0.1:9092"
	// answerMax is how long a command that asks once waits for its answer.
	answerMax = 30 * time.Second
	dialMax   = 5 * time.Second
	// silenceMax is how long a broker may be silent, beyond what a request itself
	// waits for, before another one is asked. A paused one is silent for good.
	silenceMax = 3 * time.Second
)

// clientFlags gives a command the flags of a client.
func (a *app) clientFlags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVarP(&a.brokers, "brokers", "b", nil, "HOST:PORT of one or more brokers (HOLDFAST_BROKERS; default "+defaultBroker+"); also --bootstrap-server")
	cmd.Flags().StringArrayVarP(&a.options, "client-option", "X", nil, "client property KEY=VALUE; -X list shows them")
	cmd.Flags().StringVar(&a.profile, "profile", "", "the profile that holds for this command (HOLDFAST_PROFILE)")
	_ = cmd.RegisterFlagCompletionFunc("profile", a.completeProfiles)
	_ = cmd.RegisterFlagCompletionFunc("brokers", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("client-option", completeClientOptions)
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "bootstrap-server" {
			name = "brokers"
		}
		return pflag.NormalizedName(name)
	})
	runs := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, o := range a.options {
			if o == "list" || o == "help" {
				return a.listClientOptions()
			}
		}
		return runs(cmd, args)
	}
	args := cmd.Args
	cmd.Args = func(cmd *cobra.Command, given []string) error {
		for _, o := range a.options {
			if o == "list" || o == "help" {
				return nil
			}
		}
		if args == nil {
			return nil
		}
		return args(cmd, given)
	}
}

// clientOption is one key of -X.
type clientOption struct {
	name, doc string
	apply     func(c *clientConfig, value string) error
}

// clientConfig is what -X can set.
type clientConfig struct {
	brokers     []string
	clientID    string
	acks        string
	linger      time.Duration
	compression string
	requestMax  time.Duration
	instance    string        // of a group's member
	sessionMax  time.Duration // of a group's member; 0: the client's default
}

var clientOptions = []clientOption{
	{"acks", "produce: all (or -1), 1 or 0; all is the default", func(c *clientConfig, v string) error {
		c.acks = v
		_, err := parseAcks(v)
		return err
	}},
	{"bootstrap.servers", "the same as -b", func(c *clientConfig, v string) error {
		c.brokers = strings.Split(v, ",")
		return nil
	}},
	{"client.id", "the name that the broker knows this client by; default holdfast", func(c *clientConfig, v string) error {
		c.clientID = v
		return nil
	}},
	{"compression.type", "produce: none, gzip, snappy, lz4 or zstd; default none", func(c *clientConfig, v string) error {
		c.compression = v
		_, err := parseCodec(v)
		return err
	}},
	{"group.instance.id", "consume --group: a name that stays; a member that was killed is then replaced at once by one of the same name", func(c *clientConfig, v string) error {
		c.instance = v
		return nil
	}},
	{"linger.ms", "produce: how long a batch waits for more records; default 0", func(c *clientConfig, v string) (err error) {
		c.linger, err = parseMillis(v)
		return err
	}},
	{"request.timeout.ms", "how long the broker may take for one request; default 10000", func(c *clientConfig, v string) (err error) {
		c.requestMax, err = parseMillis(v)
		return err
	}},
	{"session.timeout.ms", "consume --group: how long the group waits for a member that is silent; default 45000", func(c *clientConfig, v string) (err error) {
		c.sessionMax, err = parseMillis(v)
		return err
	}},
}

func parseMillis(text string) (time.Duration, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("want milliseconds")
	}
	return time.Duration(n) * time.Millisecond, nil
}

// completeClientOptions offers KEY= of -X to the shell.
func completeClientOptions(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	var list []string
	for _, o := range clientOptions {
		if strings.HasPrefix(o.name, toComplete) {
			list = append(list, cobra.CompletionWithDesc(o.name+"=", o.doc))
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func (a *app) listClientOptions() error {
	rows := make([][]any, 0, len(clientOptions))
	for _, o := range clientOptions {
		rows = append(rows, []any{o.name, o.doc})
	}
	if err := a.grid([]any{"KEY", "MEANING"}, rows); err != nil {
		return &ranError{err: err}
	}
	return nil
}

func defaultClient() clientConfig {
	return clientConfig{clientID: "holdfast", acks: "all", compression: "none", requestMax: 10 * time.Second}
}

// withOptions applies -X KEY=VALUE.
func (a *app) withOptions(c clientConfig, options []string) (clientConfig, error) {
	for _, o := range options {
		name, value, ok := strings.Cut(o, "=")
		if !ok {
			return c, usagef("-X %s: want KEY=VALUE; -X list shows the keys", o)
		}
		i := sort.Search(len(clientOptions), func(i int) bool { return clientOptions[i].name >= name })
		if i == len(clientOptions) || clientOptions[i].name != name {
			return c, usagef("-X %s: unknown client property%s; -X list shows the known ones", name, notYet(name))
		}
		if err := clientOptions[i].apply(&c, value); err != nil {
			return c, usagef("-X %s: %v", o, err)
		}
	}
	return c, nil
}

// clientConfig reads -b, -X, the environment and the profile, which outrank each
// other in that order.
func (a *app) clientConfig() (clientConfig, error) {
	name, p, err := a.chosenProfile()
	if err != nil {
		return clientConfig{}, err
	}
	c := defaultClient()
	c.brokers = slices.Clone(p.Brokers)
	if c, err = a.withOptions(c, p.Options); err != nil {
		return c, fmt.Errorf("profile %s: %w", name, err)
	}
	if env := a.Streams.env("HOLDFAST_BROKERS"); env != "" {
		c.brokers = strings.Split(env, ",")
	}
	if c, err = a.withOptions(c, a.options); err != nil {
		return c, err
	}
	if len(a.brokers) > 0 {
		c.brokers = a.brokers
	}
	if len(c.brokers) == 0 {
		c.brokers = []string{defaultBroker}
	}
	for i, b := range c.brokers {
		if b = strings.TrimSpace(b); b == "" {
			return c, usagef("-b %s: an address is empty", strings.Join(c.brokers, ","))
		}
		if err := checkAddress(b); err != nil {
			return c, usagef("-b %s: %v", b, err)
		}
		c.brokers[i] = b
	}
	return c, nil
}

// checkAddress refuses what people paste for an address of a broker and what
// would then be looked up as a name.
func checkAddress(address string) error {
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		return fmt.Errorf("want HOST:PORT without %s://, such as %s", scheme, strings.TrimSuffix(rest, "/"))
	}
	if _, port, err := net.SplitHostPort(address); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("want HOST:PORT with a port from 1 to 65535")
		}
	}
	return nil
}

func notYet(name string) string {
	for _, prefix := range []string{"sasl.", "ssl.", "security."} {
		if strings.HasPrefix(name, prefix) {
			return " (only PLAINTEXT connections exist yet)"
		}
	}
	return ""
}

// options are those of every client.
func (c clientConfig) options() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(c.brokers...), kgo.ClientID(c.clientID), kgo.DialTimeout(dialMax), kgo.DisableClientMetrics(),
		kgo.ProduceRequestTimeout(c.requestMax), kgo.MetadataMinAge(250 * time.Millisecond), kgo.RequestTimeoutOverhead(silenceMax),
	}
}

// admin connects for commands that ask and answer. It fails at once where no
// broker answers.
func (a *app) admin(ctx context.Context) (*kadm.Client, clientConfig, error) {
	c, err := a.clientConfig()
	if err != nil {
		return nil, c, err
	}
	cl, err := kgo.NewClient(append(c.options(), kgo.RequestRetries(5), kgo.RetryTimeout(answerMax))...)
	if err != nil {
		return nil, c, usagef("%v", err)
	}
	pingCtx, cancel := context.WithTimeout(ctx, time.Duration(max(1, len(c.brokers)))*silenceMax+dialMax)
	defer cancel()
	if err := cl.Ping(pingCtx); err != nil {
		cl.Close()
		return nil, c, explain(c.brokers, err)
	}
	a.client = cl
	return kadm.NewClient(cl), c, nil
}

// ask runs f with a connected admin client, a bound on time, and Ctrl-C.
func (a *app) ask(cmd *cobra.Command, f func(ctx context.Context, adm *kadm.Client) error) error {
	return a.askFor(cmd, 0, f)
}

// askFor is ask for a command that looks on for a while by itself.
func (a *app) askFor(cmd *cobra.Command, looks time.Duration, f func(ctx context.Context, adm *kadm.Client) error) error {
	ctx, cancel := a.interruptible(cmd.Context())
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, looks+answerMax)
	defer stop()
	adm, c, err := a.admin(ctx)
	if err != nil {
		return err
	}
	defer adm.Close()
	return explain(c.brokers, f(ctx, adm))
}

// interruptible is a context that ends at the first signal.
func (a *app) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-a.Streams.Interrupts:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// completeTopics offers topic names to the shell, quickly or not at all.
func (a *app) completeTopics(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(cmd, toComplete, func(ctx context.Context, adm *kadm.Client) ([]string, error) {
		topics, err := adm.ListTopics(ctx)
		return topics.Names(), err
	})
}

// completeGroups offers group names to the shell, quickly or not at all.
func (a *app) completeGroups(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(cmd, toComplete, func(ctx context.Context, adm *kadm.Client) ([]string, error) {
		groups, err := adm.ListGroups(ctx)
		return groups.Groups(), err
	})
}

// completionMax is how long a person who presses TAB waits for names.
const completionMax = 1500 * time.Millisecond

// complete asks for names and offers those that fit. It is silent in every case:
// what it prints would stand in the middle of a command line.
func (a *app) complete(cmd *cobra.Command, toComplete string, ask func(context.Context, *kadm.Client) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	none := cobra.ShellCompDirectiveNoFileComp
	ctx, cancel := context.WithTimeout(cmd.Context(), completionMax)
	defer cancel()
	adm, _, err := a.admin(ctx)
	if err != nil {
		return nil, none
	}
	defer adm.Close()
	all, err := ask(ctx, adm)
	if err != nil {
		return nil, none
	}
	var names []string
	for _, name := range all {
		if strings.HasPrefix(name, toComplete) {
			names = append(names, name)
		}
	}
	return names, none
}
