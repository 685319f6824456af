package table_test

import (
	"strings"
	"testing"

	"holdfast/tests/compat/table"
)

// TestMarkdown_CountsAndExplains: the last verdict of a feature counts, what a
// client lacks is not held against the broker, and a failure keeps its reason.
func TestMarkdown_CountsAndExplains(t *testing.T) {
	rows, err := table.Read(strings.NewReader(`{"client":"c","version":"1","feature":"produce none","verdict":"failed","why":"old"}
{"client":"c","version":"1","feature":"produce none","verdict":"passed"}
{"client":"c","version":"1","feature":"produce zstd","verdict":"unsupported","why":"no codec"}
{"client":"c","version":"1","feature":"group join","verdict":"failed","why":"a|b"}
{"client":"d","version":"","feature":"everything","verdict":"not run","why":"no toolchain"}
`))
	if err != nil {
		t.Fatal(err)
	}
	got := table.Markdown(rows, "")
	for _, want := range []string{
		"| c | 1 | 1/1 |  | 0/1 |", "the client has no produce zstd: no codec", "failed: group join: a/b", "not run: everything: no toolchain",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "old") {
		t.Errorf("an earlier verdict is shown:\n%s", got)
	}
	if _, err := table.Read(strings.NewReader("no json\n")); err == nil {
		t.Error("a broken line is read")
	}
}
