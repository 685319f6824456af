package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/config"
	"holdfast/internal/vfs"
)

// serverOptions are the flags of server and dev.
type serverOptions struct {
	dataDir     string
	listeners   string
	advertised  string
	adminListen string
	bootstrap   string
	file        string
	nodeID      int
	set         []string
	logFormat   string
	verbose     bool
	quiet       bool
	dev         bool
	brokers     int // of dev
}

func (o *serverOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.dataDir, "data-dir", "", "data directory (log.dirs)")
	f.StringVar(&o.listeners, "listeners", "", "where to listen: PLAINTEXT://HOST:PORT, separated by commas")
	f.StringVar(&o.advertised, "advertised-listeners", "", "what clients are told to connect to, where it differs")
	f.StringVar(&o.adminListen, "admin-listen", "", "HOST:PORT of metrics and health; none switches them off")
	f.StringVar(&o.file, "config", "", "configuration in the format of Kafka's server.properties")
	f.IntVar(&o.nodeID, "node-id", -1, "id of this broker (node.id)")
	if !o.dev {
		f.StringVar(&o.bootstrap, "bootstrap", "", "HOST:PORT of every broker of the cluster, this one too, separated by commas; the same for each of them")
		f.BoolVar(&o.quiet, "quiet", false, "log warnings and errors only")
	}
	f.StringArrayVar(&o.set, "set", nil, "any broker setting KEY=VALUE; may be repeated")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log more")
	_ = cmd.MarkFlagDirname("data-dir")
	_ = cmd.MarkFlagFilename("config", "properties")
	_ = cmd.RegisterFlagCompletionFunc("set", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var list []string
		for _, k := range config.BrokerKeys() {
			if k.Ignored == "" {
				list = append(list, cobra.CompletionWithDesc(k.Name+"=", k.Doc))
			}
		}
		return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
}

const serverLong = `Run a broker until SIGTERM or Ctrl-C, which end it cleanly with status 0.

Settings have the names of Kafka's server.properties. Flags outrank the
environment (KAFKA_LOG_SEGMENT_BYTES or HOLDFAST_LOG_SEGMENT_BYTES for
log.segment.bytes), which outranks the file. Identity on disk outranks them all.
"holdfast config keys" lists the settings, "holdfast config check FILE" judges a file.`

func (a *app) serverCommand() *cobra.Command {
	var o serverOptions
	cmd := &cobra.Command{Use: "server", Short: "Run a broker, for scripts and services", Long: serverLong, Args: words(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Example: "  holdfast server --data-dir /var/lib/holdfast --listeners PLAINTEXT://0.0.0.0:9092\n  holdfast server --config server.properties --set log.retention.hours=24\n" +
			"  holdfast server --node-id 1 --data-dir d1 --listeners PLAINTEXT://127.0.0.1:9092 --admin-listen 127.0.0.1:9644 --bootstrap 127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094",
		RunE: run(func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), o) })}
	o.flags(cmd)
	return cmd
}

const devLong = `Run a durable broker for one person, with nothing to configure; or several, each a
process of its own that can be killed and brought back (--brokers 3).

Data stays in $XDG_DATA_HOME/holdfast/dev, or ~/.local/share/holdfast/dev: the
next start finds it again; the second broker's is dev-2, and so on, and its ports
are the next ones. Nothing is weaker than on a server: every acknowledged record
is on stable storage. One thing is easier: a topic comes into being when a client
asks for it (--set auto.create.topics.enable=false).

With -O json, dev says what happens to its brokers in one JSON object a line.`

func (a *app) devCommand() *cobra.Command {
	o := serverOptions{dev: true}
	cmd := &cobra.Command{Use: "dev", Short: "Run a durable broker on this machine, nothing to configure", Long: devLong, Args: words(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Example: "  holdfast dev\n  holdfast dev --brokers 3\n  holdfast dev --listeners PLAINTEXT://127.0.0.1:19092",
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.brokers < 1:
				return usagef("--brokers %d: want at least one", o.brokers)
			case o.brokers > 1:
				return a.serveCluster(cmd.Context(), o)
			}
			return a.serve(cmd.Context(), o)
		})}
	o.flags(cmd)
	cmd.Flags().IntVar(&o.brokers, "brokers", 1, "how many brokers to run on this machine")
	a.outputFlag(cmd)
	return cmd
}

// brokerConfig merges flags, environment and file.
func (a *app) brokerConfig(o serverOptions) (*config.Broker, []config.Warning, error) {
	s := config.Sources{Env: a.Streams.Env}
	var err error
	if s.Hostname, err = os.Hostname(); err != nil {
		s.Hostname = ""
	}
	if o.file != "" {
		if s.File, err = readProperties(a.Streams, o.file); err != nil {
			return nil, nil, err
		}
	}
	if o.dev { // weaker than whatever anybody says
		s.File = append([]config.Setting{{Key: "auto.create.topics.enable", Value: "true", Origin: "holdfast dev"}}, s.File...)
	}
	for _, item := range o.set {
		key, value, ok := strings.Cut(item, "=")
		if !ok || key == "" {
			return nil, nil, usagef("--set %s: want KEY=VALUE", item)
		}
		s.Flags = append(s.Flags, config.Setting{Key: key, Value: value, Origin: "--set"})
	}
	if o.adminListen == "none" {
		s.Flags = append(s.Flags, config.Setting{Key: "admin.listen", Origin: "--admin-listen"})
		o.adminListen = ""
	}
	if o.nodeID >= 0 {
		s.Flags = append(s.Flags, config.Setting{Key: "node.id", Value: fmt.Sprint(o.nodeID), Origin: "--node-id"})
	}
	for _, f := range []config.Setting{{Key: "log.dirs", Value: o.dataDir, Origin: "--data-dir"}, {Key: "listeners", Value: o.listeners, Origin: "--listeners"},
		{Key: "advertised.listeners", Value: o.advertised, Origin: "--advertised-listeners"}, {Key: "admin.listen", Value: o.adminListen, Origin: "--admin-listen"},
		{Key: "bootstrap", Value: o.bootstrap, Origin: "--bootstrap"}} {
		if f.Value != "" {
			s.Flags = append(s.Flags, f)
		}
	}
	b, warnings, err := config.Load(s)
	if err != nil {
		return nil, warnings, withFix(err, "`holdfast config keys` lists every setting with its meaning.")
	}
	return b, warnings, nil
}

// serve runs a broker until a signal.
func (a *app) serve(ctx context.Context, o serverOptions) error {
	logger, err := a.logger(o)
	if err != nil {
		return err
	}
	if o.dev && o.dataDir == "" && !a.saysDataDir(o) {
		if o.dataDir, err = a.userDataDir(); err != nil {
			return err
		}
	}
	b, warnings, err := a.brokerConfig(o)
	for _, w := range warnings {
		logger.Warn("configuration", "setting", w.Key, "origin", w.Origin, "what", w.Text)
	}
	if err != nil {
		return err
	}
	if b.DataDir == "" {
		return withFix(errors.New("no data directory is named"), "Say --data-dir DIR, or log.dirs in the configuration. `holdfast dev` chooses one by itself.")
	}
	if b.DataDir, err = filepath.Abs(b.DataDir); err != nil {
		return err
	}
	begun := a.Streams.Clock.Now()
	running, signal, err := a.start(ctx, b, logger)
	switch {
	case err != nil && signal != nil:
		logger.Info("stopped before it was ready", "signal", fmt.Sprint(signal))
		return nil
	case err != nil:
		return explainStart(b, err)
	}
	if config.Temporary(b.DataDir) {
		logger.Warn("the data directory lies in a temporary place: the system empties it at boot or by age, and all records with it", "dir", b.DataDir)
	}
	if o.dev {
		a.welcome(b, running, a.Streams.Clock.Since(begun))
	} else {
		logger.Info("ready", "listeners", strings.Join(running.Listeners(), ","), "admin", running.Admin(), "dir", b.DataDir)
	}
	if signal == nil {
		select {
		case <-running.Done():
			return fmt.Errorf("the broker stopped by itself: %w", running.Err())
		case signal = <-a.Streams.Interrupts:
		case <-ctx.Done():
		}
	}
	if signal != nil {
		logger.Info("stopping", "signal", fmt.Sprint(signal))
	}
	return a.stopBroker(ctx, b, running, logger)
}

// start starts the broker. One that waits for the others of its cluster can wait
// for long: a signal ends the wait and is returned.
func (a *app) start(ctx context.Context, b *config.Broker, logger *slog.Logger) (running Running, signal os.Signal, err error) {
	ctx, cancel := context.WithCancel(ctx)
	done, heard := make(chan struct{}), make(chan os.Signal, 1)
	go func() {
		defer close(heard)
		select {
		case s := <-a.Streams.Interrupts:
			heard <- s
			cancel()
		case <-done:
		}
	}()
	running, err = a.StartBroker(ctx, BrokerOptions{Config: b, Log: logger, Version: a.version(), UserSecret: a.userSecret()})
	close(done)
	signal = <-heard
	if err != nil {
		cancel()
	} // else the broker has its context until the process ends
	return running, signal, err
}

// userSecret is the file by which this user's brokers on this machine know each
// other, beside the profiles; empty where the user has no place for either.
func (a *app) userSecret() string {
	profiles, err := a.profileFile()
	if err != nil {
		return ""
	}
	return filepath.Join(filepath.Dir(profiles), "broker.secret")
}

// stopBroker ends the broker cleanly. A second signal does not wait for that.
func (a *app) stopBroker(ctx context.Context, b *config.Broker, running Running, logger *slog.Logger) error {
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.ControlledStopLimit+30*time.Second)
	defer cancel()
	stopped := make(chan error, 1)
	began := a.Streams.Clock.Now()
	go func() { stopped <- running.Stop(stop) }()
	for {
		select {
		case err := <-stopped:
			if err != nil {
				return fmt.Errorf("stop the broker: %w", err)
			}
			logger.Info("stopped")
			return nil
		case <-a.Streams.Interrupts:
			if a.Streams.Clock.Since(began) < repeatWithin {
				continue // a shell or timeout(1) signals the process and its group
			}
			return errors.New("a second signal: not waiting for a clean stop; what was acknowledged is safe")
		}
	}
}

// repeatWithin is how long after the first signal another one counts as the same.
const repeatWithin = time.Second

// explainStart adds what to do to an error of a start.
func explainStart(b *config.Broker, err error) error {
	err = fmt.Errorf("start the broker: %w", err)
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return withFix(fmt.Errorf("%s is in use by %s", b.DataDir, holderText(b.DataDir)),
			"One broker has a directory at a time. Stop the other one, or take another place with --data-dir DIR (and other ports: --listeners, --admin-listen).")
	case errors.Is(err, syscall.EADDRINUSE):
		return withFix(err, "Something listens there already, perhaps another broker: `holdfast cluster info` asks it.\n--listeners PLAINTEXT://127.0.0.1:19092 --admin-listen 127.0.0.1:19644 takes other ports.")
	case errors.Is(err, syscall.EACCES), errors.Is(err, os.ErrPermission):
		return withFix(err, "This user may not write to %s; --data-dir names another place.", b.DataDir)
	}
	return err
}

// saysDataDir reports whether something other than --data-dir names a place.
func (a *app) saysDataDir(o serverOptions) bool {
	b, _, err := a.brokerConfig(o)
	return err == nil && b.DataDir != ""
}

// userDataDir is where dev keeps its data: the user's own, never a temporary one.
func (a *app) userDataDir() (string, error) {
	if dir := a.Streams.env("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "holdfast", "dev"), nil
	}
	home := a.Streams.env("HOME")
	if !filepath.IsAbs(home) {
		return "", withFix(errors.New("no directory for data: neither XDG_DATA_HOME nor HOME is set"), "Say --data-dir DIR.")
	}
	return filepath.Join(home, ".local", "share", "holdfast", "dev"), nil
}

func (a *app) logger(o serverOptions) (*slog.Logger, error) {
	level := slog.LevelInfo
	if o.dev || o.quiet {
		level = slog.LevelWarn
	}
	if o.verbose {
		level = slog.LevelDebug
	}
	options := &slog.HandlerOptions{Level: level}
	var w io.Writer = a.Streams.Err
	switch o.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, usagef("--log-format %s: want text or json", o.logFormat)
}

// welcome tells a person where everything is and what to do next.
func (a *app) welcome(b *config.Broker, r Running, took time.Duration) {
	listener := strings.Join(r.Listeners(), ", ")
	flag := ""
	if listener != defaultBroker {
		flag = " -b " + strings.Split(listener, ", ")[0]
	}
	fmt.Fprintf(a.Streams.Out, `Holdfast %s is ready after %d ms.

  listener        %s
  data directory  %s
  metrics         %s
  survives        one broker: survives kill -9 and power cuts; losing this disk
                  loses the data, because no follower holds a copy

Next, in another terminal:

  %[7]s topic create hello%[6]s
  echo "hello, world" | %[7]s produce hello%[6]s
  %[7]s consume hello -o :end%[6]s

Ctrl-C stops it.
`, a.version(), took.Milliseconds(), listener, b.DataDir, adminText(r.Admin()), flag, shellWord(a.name()))
}

// shellWord is a word as a shell reads it.
func shellWord(word string) string {
	plain := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("/._-+@%:,=", r)
	}
	if word != "" && strings.TrimFunc(word, plain) == "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func adminText(admin string) string {
	if admin == "" {
		return "off"
	}
	return "http://" + admin + "/metrics"
}
