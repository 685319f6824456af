package quickstart_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/tests/quickstart"
	"holdfast/tests/rig"
)

const sample = "# T\n\n```sh quickstart server\nserve\n```\n\ntext\n\n```sh quickstart\na\nb\n```\n```text quickstart output\nx ... y\n```\n```sh\nother\n```\n```sh test\nmake test\n```\n"

func TestBlocksOfASample(t *testing.T) {
	blocks, err := quickstart.Blocks(sample)
	if err != nil {
		t.Fatal(err)
	}
	var marks []string
	for _, b := range blocks {
		marks = append(marks, b.Mark)
	}
	if got, want := strings.Join(marks, ", "), "sh quickstart server, sh quickstart, text quickstart output, sh test"; got != want {
		t.Errorf("marks %q, want %q", got, want)
	}
	if blocks[1].Text != "a\nb\n" || blocks[1].Line != 9 {
		t.Errorf("second block is %+v", blocks[1])
	}
	if c, err := quickstart.TestCommand(blocks); err != nil || c != "make test" {
		t.Errorf("test command %q, %v", c, err)
	}
	if _, err := quickstart.Blocks(sample + "```sh\n"); err == nil {
		t.Error("an open block is not noticed")
	}
	if _, err := quickstart.TestCommand(blocks[:3]); err == nil {
		t.Error("a missing test command is not noticed")
	}
}

func TestMissingLine(t *testing.T) {
	for _, tt := range []struct{ output, expected, want string }{
		{"a\nb\n", "a\nb", ""},
		{"a\nx\nb\n", "a\n...\nb", ""},
		{"listening on 127.0.0.1:9092 now\n", "listening on ... now", ""},
		{"name   partitions\n", "name partitions", ""},
		{"b\na\n", "a\nb", "b"},
		{"a\n", "a\nb", "b"},
		{"axb\n", "a.b", "a.b"},
	} {
		if got := quickstart.Missing(tt.output, tt.expected); got != tt.want {
			t.Errorf("Missing(%q, %q) = %q, want %q", tt.output, tt.expected, got, tt.want)
		}
	}
}

// TestCIRunsTheTestCommand holds the README, the CI and each other to their word.
func TestCIRunsTheTestCommand(t *testing.T) {
	blocks, err := quickstart.Blocks(read(t, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	command, err := quickstart.TestCommand(blocks)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(read(t, ".ci/run")) {
		if line = strings.TrimSpace(line); line == command || strings.HasSuffix(line, " "+command) && !strings.HasPrefix(line, "#") {
			return
		}
	}
	t.Errorf("README says %q runs the tests; no line of .ci/run is or ends with that command", command)
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(rig.Root(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
