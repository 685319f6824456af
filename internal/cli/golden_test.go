package cli_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with testdata/NAME.golden.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; -update writes it", err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s (-want +got; -update accepts it):\n%s", file, diff)
	}
}

// nowhere answers nothing, so that completion of leaf commands offers nothing.
var nowhere = []string{"HOLDFAST_BROKERS=127.0.0.1:1"}

// commands lists every command below one, by asking completion.
func commands(t *testing.T, path ...string) [][]string {
	t.Helper()
	c := newCall("")
	c.env = nowhere
	if code := c.run(t, append(append([]string{"__complete"}, path...), "")...); code != 0 {
		t.Fatalf("complete %v: status %d: %s", path, code, c.err)
	}
	var all [][]string
	for line := range strings.Lines(c.out.String()) {
		name, _, described := strings.Cut(strings.TrimSpace(line), "\t")
		if !described || strings.HasPrefix(name, "-") || name == "help" || name == "completion" {
			continue
		}
		sub := append(append([]string{}, path...), name)
		all = append(append(all, sub), commands(t, sub...)...)
	}
	return all
}

// The help of every command, and that commands which do something have examples.
func TestGolden_Help(t *testing.T) {
	var text strings.Builder
	list := append([][]string{{}}, commands(t)...)
	const least = 35
	if len(list) < least {
		t.Errorf("only %d commands were found", len(list))
	}
	for _, path := range list {
		r := hf(t, "", append(path, "--help")...).want(t, 0)
		fmt.Fprintf(&text, "$ %s\n%s\n", strings.Join(append(append([]string{"holdfast"}, path...), "--help"), " "), r.out)
		if !strings.Contains(r.out, "Examples:") && !strings.Contains(r.out, "Available Commands:") {
			t.Errorf("%v has no example", path)
		}
	}
	golden(t, "help", text.String())
}

var varying = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`127\.0\.0\.1:[1-9]\d{2,}`), "ADDR"},
	{regexp.MustCompile(`((?m)^ *0 +127\.0\.0\.1 +|"port": ?|port: )\d+`), "${1}PORT"},
	{regexp.MustCompile(`\b[A-Za-z0-9_-]{22}\b`), "ID"},
	{regexp.MustCompile(`"(timestamp|behind_ms)": ?\d+`), `"$1": N`},
	{regexp.MustCompile(`((?m)behind_ms: )\d+`), "${1}N"},
	{regexp.MustCompile(`holdfast-[0-9a-f]{32}`), "MEMBER"},
	{regexp.MustCompile(`(record\(s\), )\S+ behind`), "${1}N behind"},
	{regexp.MustCompile(`((?m)^orders +1 +2 +3 +1 +)\S+ +`), "${1}N "},
	{regexp.MustCompile(`go1\.[\w.]+`), "GO"},
	{regexp.MustCompile(` +\n`), "\n"},
}

// transcript runs command lines and returns what a person saw.
func transcript(t *testing.T, addr string, lines ...string) string {
	t.Helper()
	var text strings.Builder
	for _, line := range lines {
		input, args, piped := strings.Cut(line, " | ")
		if !piped {
			input, args = "", line
		}
		fields := strings.Fields(args)
		if addr != "" {
			fields = append(fields, "-b", addr)
		}
		r := hf(t, strings.ReplaceAll(input, `\n`, "\n"), fields...)
		fmt.Fprintf(&text, "$ %s\n%s%sstatus %d\n\n", line, r.out, r.err, r.code)
	}
	all := text.String()
	for _, v := range varying {
		all = v.pattern.ReplaceAllString(all, v.with)
	}
	return all
}

// Every listing in every format, from a broker of others in this process.
func TestGolden_Listings(t *testing.T) {
	_, addr := fake(t, "orders", "audit")
	lines := []string{`a\nb\nc\n | produce orders -p 1`, `consume orders -g billing -n 2 -f %v\n`}
	for _, listing := range []string{"topic list", "topic list -i orders", "cluster info", "group list", "group describe billing", "group seek billing --to end",
		"topic create new --dry-run", "topic alter orders --set retention.ms=5 --dry-run", "topic add-partitions orders -n 1 --dry-run", "topic trim orders -o end --dry-run",
		"topic delete orders --dry-run", "group delete billing --dry-run"} {
		for _, format := range []string{"text", "wide", "json", "yaml", "jsonl"} {
			lines = append(lines, listing+" -O "+format)
		}
	}
	for _, format := range []string{"json", "jsonl", `%t/%p@%o %k=%v\n`} {
		lines = append(lines, "consume orders -o :end -f "+strings.ReplaceAll(format, " ", "_"))
	}
	golden(t, "listings", transcript(t, addr, lines...))
}

// The listings that need no broker.
func TestGolden_Offline(t *testing.T) {
	text := transcript(t, "", "version", "version -O json", "config keys", "config keys --topic", "topic list -X list")
	golden(t, "offline", text)
}

// Errors with their statuses, and where they go.
func TestGolden_Errors(t *testing.T) {
	_, addr := fake(t, "here")
	online := transcript(t, addr, "topic describe gone", "topic create here", "topic create here --if-not-exists", "topic alter here", "topic alter here --set novalue",
		"topic alter here --set x", "topic delete here", "topic delete gone --yes", "topic trim here -o 9 --yes", "topic trim here -o x --yes", "topic add-partitions here -n 0",
		"consume gone", "consume here -o sideways", "consume here -n -1", "consume here -p 9", "consume zz.* -r", "consume here -g g -p 0", "consume here -O yaml",
		"x\\n | produce gone", "x\\n | produce here --acks 2", "x\\n | produce here -z rar", "x\\n | produce here -H x", "x\\n | produce here -p 9", "x\\n | produce here --continue",
		"group describe gone", "group delete gone --yes", "group seek g", "group seek g --to start", "group seek g --to 1:2", "group offset-delete g", "topic list -O xml", "topic list -X x=1")
	offline := transcript(t, "", "topik", "topic lst", "topic create", "topic list --nonsense", "topic list -b 127.0.0.1:1", "topic list -b nowhere.invalid:9092", "completion foo",
		"server", "server --set x", "server --log-format xml", "dev", "config check /nonexistent", "log check /nonexistent", "log dump /nonexistent", "profile show")
	golden(t, "errors", online+offline)
}
