package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	check := &cobra.Command{Use: "check FILE", Short: "Say what of a server.properties is accepted, ignored, unknown or unsafe", Args: words(1, 1),
		Long:    "Judge every setting of a server.properties (- is stdin). Unsafe settings are\nnamed with what they cost. The status is 10 where a setting is unsafe or would\nkeep the broker from starting.",
		Example: "  holdfast config check /etc/kafka/server.properties\n  holdfast config check server.properties -O json",
		RunE:    run(func(_ *cobra.Command, args []string) error { return a.checkConfig(args[0]) })}
	a.outputFlag(check)
	keys := &cobra.Command{Use: "keys", Short: "List every setting with its default and meaning", Example: "  holdfast config keys\n  holdfast config keys --topic -O json", Args: words(0, 0), ValidArgsFunction: cobra.NoFileCompletions}
	var topic bool
	keys.Flags().BoolVar(&topic, "topic", false, "topic settings instead of broker settings")
	keys.RunE = run(func(*cobra.Command, []string) error { return a.listKeys(topic) })
	a.outputFlag(keys)
	return parent("config", "Look at configurations", nil, check, keys)
}

// readProperties reads a properties file; origins become "FILE:LINE".
func readProperties(s Streams, name string) ([]config.Setting, error) {
	data, err := s.readInput(name, config.PropertiesMax+1)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	settings, err := config.ParseProperties(data)
	var syntax *config.SyntaxError
	if errors.As(err, &syntax) {
		return nil, fmt.Errorf("%s:%d: %s", name, syntax.Line, syntax.Cause)
	}
	for i := range settings {
		settings[i].Origin = filepath.Base(name) + ":" + strings.TrimPrefix(settings[i].Origin, "line ")
	}
	return settings, err
}

// readInput reads at most so many bytes of a file; - is stdin.
func (s Streams) readInput(name string, most int64) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(s.In, most))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

type checkedSetting struct {
	Verdict string `json:"verdict"`
	Key     string `json:"key"`
	Value   string `json:"value,omitempty"`
	Origin  string `json:"origin,omitempty"`
	Text    string `json:"text,omitempty"`
	Nearest string `json:"nearest,omitempty"`
}

func (a *app) checkConfig(name string) error {
	settings, err := readProperties(a.Streams, name)
	if err != nil {
		return err
	}
	found := judgeTogether(config.Check(settings))
	counts := map[config.Verdict]int{}
	list := []checkedSetting{}
	var rows []any
	for _, f := range found {
		counts[f.Verdict]++
		row := checkedSetting{string(f.Verdict), f.Key, f.Value, f.Origin, f.Text, f.Nearest}
		list, rows = append(list, row), append(rows, row)
	}
	err = a.print(listing{value: list, rows: rows, text: func(bool) error {
		order := []config.Verdict{config.VerdictRefused, config.VerdictUnsafe, config.VerdictUnknown, config.VerdictIgnored, config.VerdictAccepted}
		for _, v := range order {
			for _, row := range list {
				if row.Verdict != string(v) {
					continue
				}
				text := fmt.Sprintf("%-9s %s", row.Verdict, clean(row.Key))
				if row.Value != "" {
					text += "=" + clean(row.Value)
				}
				if row.Origin != "" {
					text += "  (" + row.Origin + ")"
				}
				if row.Text != "" {
					text += "\n          " + clean(row.Text)
				}
				if _, err := fmt.Fprintln(a.Streams.Out, text); err != nil {
					return err
				}
			}
		}
		return nil
	}})
	if err != nil {
		return err
	}
	a.talk("accepted %d, ignored %d, unknown %d, unsafe %d, refused %d", counts[config.VerdictAccepted], counts[config.VerdictIgnored],
		counts[config.VerdictUnknown], counts[config.VerdictUnsafe], counts[config.VerdictRefused])
	if counts[config.VerdictUnsafe]+counts[config.VerdictRefused] > 0 {
		return exit(ExitBad)
	}
	return nil
}

// judgeTogether makes one finding of several on one setting, and judges what only
// two settings together show.
func judgeTogether(found []config.Finding) []config.Finding {
	worst := []config.Verdict{config.VerdictRefused, config.VerdictUnsafe, config.VerdictUnknown, config.VerdictIgnored, config.VerdictAccepted}
	var list []config.Finding
	at := map[string]int{}     // by setting and place
	counts := map[string]int{} // the finding of the last line of a key, which counts
	for _, f := range found {
		id := f.Key + " " + f.Origin
		i, again := at[id]
		if !again {
			at[id], counts[f.Key] = len(list), len(list)
			list = append(list, f)
			continue
		}
		if slices.Index(worst, f.Verdict) < slices.Index(worst, list[i].Verdict) {
			f.Text, list[i].Text = list[i].Text, f.Text
			list[i].Verdict = f.Verdict
		}
		if f.Text != "" && f.Verdict != config.VerdictIgnored {
			list[i].Text = strings.TrimPrefix(list[i].Text+"; "+f.Text, "; ")
		}
	}
	value := func(key string) (string, int) {
		i, ok := counts[key]
		if !ok {
			return "", -1
		}
		return strings.TrimSpace(list[i].Value), i
	}
	isr, i := value("min.insync.replicas")
	factor, _ := value("default.replication.factor")
	want, err := strconv.Atoi(isr)
	have, err2 := strconv.Atoi(factor)
	if err == nil && err2 == nil && want > have && list[i].Verdict == config.VerdictAccepted {
		list[i].Verdict = config.VerdictUnsafe
		list[i].Text = fmt.Sprintf("more than default.replication.factor=%d: topics that take both refuse every write with acks=all", have)
	}
	listeners, i := value("listeners")
	controllers, _ := value("controller.listener.names")
	for name := range strings.SplitSeq(controllers, ",") {
		if name = strings.TrimSpace(name); name != "" && strings.Contains(","+strings.ReplaceAll(listeners, " ", ""), ","+name+"://") && list[i].Text == "" {
			list[i].Text = fmt.Sprintf("%s is not opened: the controller runs inside of this broker", name)
		}
	}
	return list
}

type listedKey struct {
	Key        string `json:"key"`
	Type       string `json:"type"`
	Default    string `json:"default"`
	Allowed    string `json:"allowed,omitempty"`
	Importance string `json:"importance"`
	Dynamic    bool   `json:"dynamic"`
	Ignored    string `json:"ignored,omitempty"`
	Doc        string `json:"doc"`
}

func (a *app) listKeys(topic bool) error {
	keys := config.BrokerKeys()
	if topic {
		keys = config.TopicKeys()
	}
	var list []listedKey
	var rows []any
	for _, k := range keys {
		value := k.Default
		if k.Derived != "" {
			value = k.Derived
		}
		row := listedKey{k.Name, k.Type.String(), value, k.Rule.Text, k.Importance.String(), k.Dynamic || topic, k.Ignored, k.Doc}
		list, rows = append(list, row), append(rows, row)
	}
	return a.print(listing{value: list, rows: rows, text: func(wide bool) error {
		var grid [][]any
		for _, k := range list {
			if k.Ignored != "" && !wide {
				continue
			}
			grid = append(grid, []any{k.Key, k.Type, k.Default, k.Doc})
		}
		if width := a.Streams.width(); width > 0 && !wide {
			return a.paragraphs(grid, width)
		}
		return a.grid([]any{"KEY", "TYPE", "DEFAULT", "MEANING"}, grid)
	}})
}
