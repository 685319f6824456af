package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Program is what the command line is made of.
type Program struct {
	Streams Streams
	// StartBroker starts the broker of server and dev.
	StartBroker StartBroker
	Version     string // empty: what the build says
	// Name is how the user called the program, for commands that he may paste;
	// empty is holdfast.
	Name string
}

func (p Program) name() string {
	if p.Name == "" {
		return "holdfast"
	}
	return p.Name
}

// Main runs the process's own command line, its name first, and returns its exit
// status.
func Main(line []string) int {
	return Run(context.Background(), Program{Streams: SystemStreams(), StartBroker: startNode, Name: line[0]}, line[1:])
}

// Run runs one command line (without the program's name) and returns its exit
// status.
func Run(ctx context.Context, p Program, args []string) int {
	if code, done := forwarded(p, args); done {
		return code
	}
	a := &app{Program: p}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(p.Streams.In)
	root.SetOut(p.Streams.Out)
	root.SetErr(p.Streams.Err)
	strictCompletion(root)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitOK
	}
	if ran, ok := err.(*ranError); ok {
		err = ran.err
	} else {
		// Everything that fails before a command runs is a wrong command line.
		err = usagef("%w", err)
	}
	var f *failure
	if errors.As(err, &f) && f.code == ExitUsage && f.fix == "" {
		err = &failure{code: ExitUsage, err: err, fix: fmt.Sprintf("`%s --help` shows what it takes.", cmd.CommandPath())}
	}
	return report(p.Streams, err)
}

// forwarded answers the spellings that cobra does not know.
func forwarded(p Program, args []string) (int, bool) {
	if len(args) == 1 && args[0] == "--version" {
		fmt.Fprintln(p.Streams.Out, "holdfast "+p.version())
		return ExitOK, true
	}
	return 0, false
}

// app carries the program and the flags that every command has.
type app struct {
	Program
	format  string // -O
	brokers []string
	profile string      // --profile
	options []string    // -X
	client  *kgo.Client // of the command that asks; nil before
}

// ranError marks an error of a command that has begun, as against one of its
// command line.
type ranError struct{ err error }

func (e *ranError) Error() string { return e.err.Error() }

// run makes a function fit for cobra's RunE.
func run(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := f(cmd, args); err != nil {
			return &ranError{err: err}
		}
		return nil
	}
}

const rootLong = `Holdfast is a durable log broker that speaks Kafka's protocol: a write that was
acknowledged is never lost.

Data goes to stdout, talk goes to stderr. Exit statuses: 0 done or good, 1 could
not, 2 wrong command line, 10 the answer is bad, 11 the answer is unknown.`

const rootExample = `  holdfast dev                                  a durable broker on this machine
  holdfast topic create orders -p 6
  echo hello | holdfast produce orders          exits 0 only if every line is acknowledged
  holdfast consume orders -o start -n 1`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{Use: "holdfast", Short: "A durable log broker that speaks Kafka's protocol", Long: rootLong, Example: rootExample,
		SilenceUsage: true, SilenceErrors: true, Args: noSuchCommand, RunE: showHelp}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetHelpCommandGroupID("tools")
	root.SetCompletionCommandGroupID("tools")
	root.AddGroup(&cobra.Group{ID: "broker", Title: "Run a broker:"}, &cobra.Group{ID: "client", Title: "Use a broker:"}, &cobra.Group{ID: "tools", Title: "Tools:"})
	for id, list := range map[string][]*cobra.Command{
		"broker": {a.devCommand(), a.serverCommand()},
		"client": {a.topicCommand(), a.produceCommand(), a.consumeCommand(), a.groupCommand(), a.clusterCommand(), a.apiCommand()},
		"tools":  {a.logCommand(), a.simCommand(), a.configCommand(), a.profileCommand(), a.versionCommand()},
	} {
		for _, c := range list {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	return root
}

// strictCompletion makes cobra's own command refuse shells that it does not
// know. It binds the output, which must be set.
func strictCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args, c.RunE = noSuchCommand, showHelp
		}
	}
}

// parent makes a command that only has children.
func parent(use, short string, aliases []string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Aliases: aliases, Args: noSuchCommand, RunE: showHelp}
	c.AddCommand(children...)
	return c
}

func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// noMost is the most words of a command that takes any number of them.
const noMost = -1

// words makes a command take so many arguments, and say how it is called where
// it gets fewer or more.
func words(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		want := cmd.CommandPath() + strings.TrimPrefix(cmd.Use, cmd.Name())
		switch {
		case len(args) < least:
			return fmt.Errorf("something is missing: want `%s`", want)
		case most != noMost && len(args) > most:
			return fmt.Errorf("%q is one word too many: want `%s`", args[most], want)
		}
		return nil
	}
}

// noSuchCommand refuses words that are no command of cmd.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return fmt.Errorf("%s", text)
}
