package quickstart

import (
	"fmt"
	"regexp"
	"strings"
)

// Block is one marked block of the README.
type Block struct {
	Mark string // "sh quickstart server", "sh quickstart", "text quickstart output" or "sh test"
	Text string
	Line int // of the fence, from 1
}

// Blocks are the marked blocks in their order.
func Blocks(readme string) ([]Block, error) {
	var out []Block
	var open *Block
	for i, line := range strings.Split(readme, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &Block{Mark: strings.Join(strings.Fields(fence), " "), Line: i + 1}
		case isFence:
			if marked(open.Mark) {
				out = append(out, *open)
			}
			open = nil
		case open != nil:
			open.Text += line + "\n"
		}
	}
	if open != nil {
		return nil, fmt.Errorf("block of line %d is not closed", open.Line)
	}
	return out, nil
}

func marked(mark string) bool {
	return strings.HasPrefix(mark, "sh quickstart") || strings.HasPrefix(mark, "text quickstart") || mark == "sh test"
}

// TestCommand is the one command of the block marked "sh test".
func TestCommand(blocks []Block) (string, error) {
	var found []string
	for _, b := range blocks {
		if b.Mark == "sh test" {
			found = append(found, strings.TrimSpace(b.Text))
		}
	}
	if len(found) != 1 || found[0] == "" || strings.Contains(found[0], "\n") {
		return "", fmt.Errorf("want one block marked ```sh test with one command, found %d: %q", len(found), found)
	}
	return found[0], nil
}

// Missing returns the first expected line that the output lacks, or "". The
// lines must come in their order, with anything between them.
func Missing(output, expected string) string {
	rest := output
	for _, line := range strings.Split(strings.TrimSpace(expected), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line == "..." {
			continue
		}
		pattern := strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, `[^\n]*`)
		pattern = strings.Join(strings.Fields(pattern), `[ \t]+`)
		at := regexp.MustCompile(pattern).FindStringIndex(rest)
		if at == nil {
			return line
		}
		rest = rest[at[1]:]
	}
	return ""
}
