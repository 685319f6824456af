package lint

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// root is where the repository begins, seen from this directory.
const root = "../.."

type rule struct {
	name  string
	check func(*tree) []finding
}

var rules = []rule{
	{"parse", func(t *tree) []finding { return t.broken }},
	{"layers", checkLayers},
	{"purity", checkPurity},
	{"calls", checkCalls},
	{"sleep", checkTestSleep},
	{"goroutines", checkGoroutines},
	{"budgets", checkBudgets},
	{"package-docs", checkPackageDocs},
	{"exported-docs", checkExportedDocs},
	{"names", checkNames},
	{"open-marks", checkOpenMarks},
	{"links", checkLinks},
}

// exemption lets the findings of one rule with one key through.
type exemption struct {
	line   int
	rule   string
	key    string
	reason string
	used   bool
}

func parseExemptions(text string) (list []*exemption, err error) {
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return nil, fmt.Errorf("exemptions.txt:%d: want a rule, a key and a reason", i+1)
		}
		list = append(list, &exemption{line: i + 1, rule: fields[0], key: fields[1], reason: strings.Join(fields[2:], " ")})
	}
	return list, nil
}

// judge sorts what the rules find into what fails and what is exempt, and
// reports exemptions that nothing needed.
func judge(t *tree, exemptions []*exemption) (failures []string) {
	for _, r := range rules {
		for _, f := range r.check(t) {
			if !exempt(exemptions, r.name, f.key) {
				file, _, _ := strings.Cut(f.key, "#")
				failures = append(failures, fmt.Sprintf("%s:%d: %s [%s %s]", file, f.line, f.message, r.name, f.key))
			}
		}
	}
	for _, e := range exemptions {
		if !e.used {
			failures = append(failures, fmt.Sprintf("internal/lint/exemptions.txt:%d: %s %s is not needed any more: remove it, the list only shrinks", e.line, e.rule, e.key))
		}
	}
	sort.Strings(failures)
	return failures
}

func exempt(exemptions []*exemption, rule, key string) bool {
	for _, e := range exemptions {
		if e.rule == rule && e.key == key {
			e.used = true
			return true
		}
	}
	return false
}

func TestRepository_KeepsTheHouseRules(t *testing.T) {
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("%s is not the root of the repository: %v", root, err)
	}
	repository, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(repository.files) < 10 {
		t.Fatalf("only %d Go files found: the walk is broken", len(repository.files))
	}
	text, err := os.ReadFile("exemptions.txt")
	if err != nil {
		t.Fatal(err)
	}
	exemptions, err := parseExemptions(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, failure := range judge(repository, exemptions) {
		t.Error(failure)
	}
	for _, w := range warnings(repository) {
		t.Logf("%s: %s", w.key, w.message)
	}
}
