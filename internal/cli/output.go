package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// The output formats.
const (
	formatText  = "text"
	formatWide  = "wide"
	formatJSON  = "json"
	formatYAML  = "yaml"
	formatJSONL = "jsonl"
)

var formats = []string{formatText, formatWide, formatJSON, formatYAML, formatJSONL}

// outputFlag gives a command that lists something -O.
func (a *app) outputFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&a.format, "output", "O", formatText, "text, wide, json, yaml, or jsonl: one JSON object a line")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(formats, a.format) {
			return fmt.Errorf("output format %q is unknown; want one of %s", a.format, strings.Join(formats, ", "))
		}
		if before != nil {
			return before(cmd, args)
		}
		return nil
	}
}

// listing is something that is printed as a table or as data. Rows is what jsonl
// prints, one a line; nil means the whole value in one line.
type listing struct {
	value any
	rows  []any
	// text prints the table; wide asks for more columns.
	text func(wide bool) error
}

// print prints in the format that was asked for.
func (a *app) print(l listing) error {
	out := a.Streams.Out
	switch a.format {
	case formatJSON:
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(l.value)
	case formatJSONL:
		rows := l.rows
		if rows == nil {
			rows = []any{l.value}
		}
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		for _, r := range rows {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	case formatYAML:
		return writeYAML(out, l.value)
	}
	return l.text(a.format == formatWide)
}

// writeYAML goes through JSON so that both formats have the same names.
func writeYAML(out interface{ Write([]byte) (int, error) }, value any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(buf.Bytes(), &node); err != nil {
		return err
	}
	plain(&node)
	y := yaml.NewEncoder(out)
	y.SetIndent(2)
	if err := y.Encode(&node); err != nil {
		return err
	}
	return y.Close()
}

// plain takes JSON's flow style off a tree of YAML nodes; the depth is that of
// our own values.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}

// grid prints rows under a header, without lines, as kubectl does.
func (a *app) grid(header []any, rows [][]any) error {
	t := table.NewWriter()
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.AppendHeader(table.Row(header))
	for _, r := range rows {
		t.AppendRow(table.Row(r))
	}
	var text strings.Builder
	for line := range strings.Lines(t.Render() + "\n") {
		text.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	_, err := a.Streams.Out.Write([]byte(text.String()))
	return err
}

// paragraphs prints rows of key, type, default and meaning for a terminal that is
// too narrow for a table: the meaning is wrapped below the rest.
func (a *app) paragraphs(rows [][]any, width int) error {
	var text strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&text, "%v  (%v)", r[0], r[1])
		if value := fmt.Sprint(r[2]); value != "" {
			fmt.Fprintf(&text, "  default %s", value)
		}
		text.WriteString("\n")
		line := "   "
		for _, word := range strings.Fields(fmt.Sprint(r[3])) {
			if len(line)+1+len(word) > width && strings.TrimSpace(line) != "" {
				text.WriteString(line + "\n")
				line = "   "
			}
			line += " " + word
		}
		text.WriteString(line + "\n")
	}
	_, err := io.WriteString(a.Streams.Out, text.String())
	return err
}

// talk prints a line for people, on stderr.
func (a *app) talk(format string, args ...any) { fmt.Fprintf(a.Streams.Err, format+"\n", args...) }

// clean makes text of strangers fit for a terminal: control characters are shown
// as Go escapes.
func clean(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }) < 0 {
		return text
	}
	quoted := fmt.Sprintf("%q", text)
	return quoted[1 : len(quoted)-1]
}

// confirm asks before something is destroyed. Without a terminal, only --yes
// will do.
func (a *app) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !a.Streams.InTTY {
		return usagef("%s\n--yes confirms it in a script; --dry-run shows what would be done", question)
	}
	fmt.Fprintf(a.Streams.Err, "%s Type yes to go on: ", question)
	answer := make([]byte, 0, 8)
	one := make([]byte, 1)
	for len(answer) < cap(answer) {
		n, err := a.Streams.In.Read(one)
		if n == 1 && one[0] != '\n' {
			answer = append(answer, one[0])
			continue
		}
		if n == 1 || err != nil {
			break
		}
	}
	if strings.EqualFold(strings.TrimSpace(string(answer)), "yes") {
		return nil
	}
	return fmt.Errorf("not confirmed; nothing was done")
}
