package lint

import (
	"fmt"
	"strings"
	"testing"
)

// planted is a source that a rule must find, or must let pass.
type planted struct {
	rule  func(*tree) []finding
	path  string
	code  string // what follows the package clause
	found string // part of the message; "" is no finding
}

const plantedLayers = `
log: vfs kafka
isr: kafka
api: log
vfs:
kafka:
quorum: log
tests: *
module go.etcd.io/raft/v3: quorum
`

var plants = map[string]planted{
	"upward import":                 {checkLayers, "internal/log/a.go", `import "holdfast/internal/api"`, "log may not import api"},
	"downward import":               {checkLayers, "internal/log/a.go", `import "holdfast/internal/vfs"`, ""},
	"import of a test's package":    {checkLayers, "internal/api/a.go", `import "holdfast/internal/log/logtest"`, "serves tests"},
	"import below the own package":  {checkLayers, "internal/log/a.go", `import "holdfast/internal/log/index"`, ""},
	"upward import below a package": {checkLayers, "internal/log/index/a.go", `import "holdfast/internal/api"`, "may not import api"},
	"tests import everything":       {checkLayers, "tests/rig/a.go", `import "holdfast/internal/api"`, ""},
	"test files are free":           {checkLayers, "internal/log/a_test.go", `import "holdfast/internal/api"`, ""},
	"package without a line":        {checkLayers, "internal/stranger/a.go", ``, "not in internal/lint/layers.txt"},
	"module of somebody else":       {checkLayers, "internal/log/a.go", `import "go.etcd.io/raft/v3/raftpb"`, "only quorum may use"},
	"module of its user":            {checkLayers, "internal/quorum/a.go", `import "go.etcd.io/raft/v3"`, ""},
	"module that nobody knows":      {checkLayers, "internal/quorum/a.go", `import "example.com/x"`, "not a module that shipped code may use"},

	"lock in a pure package":       {checkPurity, "internal/isr/a.go", `import "sync"; var mu sync.Mutex`, "imports sync"},
	"pool in record":               {checkPurity, "internal/record/a.go", `import "sync"; var p sync.Pool`, ""},
	"lock in record":               {checkPurity, "internal/record/a.go", `import "sync"; var m sync.Mutex`, "has sync.Mutex"},
	"goroutine in a pure package":  {checkPurity, "internal/isr/a.go", `func f() { go f() }`, "a go statement"},
	"channel in a pure package":    {checkPurity, "internal/isr/a.go", `type T struct { c chan int }`, "a channel type"},
	"receive in a pure package":    {checkPurity, "internal/isr/a.go", `func f() { <-g() }`, "a channel receive"},
	"send in a pure package":       {checkPurity, "internal/isr/a.go", `func f() { g <- 1 }`, "a channel send"},
	"select in a pure package":     {checkPurity, "internal/isr/a.go", `func f() { select {} }`, "a select statement"},
	"clock in a pure package":      {checkPurity, "internal/isr/a.go", `import "time"; var now = time.Now`, "has time.Now"},
	"duration in a pure package":   {checkPurity, "internal/isr/a.go", `import "time"; const d = time.Second`, ""},
	"clock in a generated file":    {checkPurity, "internal/wire/a.go", "import t \"time\"\nvar now = t.Now()", "has time.Now"},
	"goroutine in another package": {checkPurity, "internal/log/a.go", `func f() { go f() }`, ""},

	"undocumented function":           {checkExportedDocs, "internal/isr/a.go", `func F() {}`, "exported F"},
	"undocumented method":             {checkExportedDocs, "internal/isr/a.go", "// T is.\ntype T int\n\nfunc (t *T) M() {}", "exported T.M"},
	"undocumented type":               {checkExportedDocs, "internal/isr/a.go", "type T int", "exported T"},
	"undocumented type in a group":    {checkExportedDocs, "internal/isr/a.go", "// Group.\ntype (\n\tT int\n)", "exported T"},
	"undocumented constant":           {checkExportedDocs, "internal/isr/a.go", "const C = 1", "exported C"},
	"constants of a documented group": {checkExportedDocs, "internal/isr/a.go", "// Group.\nconst (\n\tC = 1\n)", ""},
	"method of an unexported type":    {checkExportedDocs, "internal/isr/a.go", "func (t t) M() {}", ""},
	"Error method":                    {checkExportedDocs, "internal/isr/a.go", "// T is.\ntype T int\n\nfunc (t T) Error() string { return \"\" }", ""},
	"undocumented function elsewhere": {checkExportedDocs, "internal/log/a.go", `func F() {}`, ""},

	"time.Now":              {checkCalls, "internal/log/a.go", `import "time"; var now = time.Now()`, "use clock.Clock"},
	"renamed import":        {checkCalls, "internal/log/a.go", `import clockless "time"; func f() { clockless.Sleep(1) }`, "time.Sleep: use clock.Clock"},
	"a local that shadows":  {checkCalls, "internal/log/a.go", `func f(time interface{ Now() }) { time.Now() }`, ""},
	"time.Now in clock":     {checkCalls, "internal/clock/a.go", `import "time"; var now = time.Now()`, ""},
	"os.Open":               {checkCalls, "internal/log/a.go", `import "os"; var _, _ = os.Open("x")`, "use vfs.FS"},
	"os.File":               {checkCalls, "internal/log/a.go", `import "os"; var f *os.File`, ""},
	"os.Exit in a command":  {checkCalls, "internal/wire/gen/main.go", `import "os"; func main() { os.Exit(1) }`, ""},
	"net.Dial":              {checkCalls, "internal/server/a.go", `import "net"; var _, _ = net.Dial("tcp", "x")`, "use vnet.Net"},
	"net.Dialer":            {checkCalls, "internal/server/a.go", `import "net"; var d = net.Dialer{}`, "use vnet.Net"},
	"net.SplitHostPort":     {checkCalls, "internal/server/a.go", `import "net"; var _, _, _ = net.SplitHostPort("x")`, ""},
	"fmt.Println":           {checkCalls, "internal/log/a.go", `import "fmt"; func f() { fmt.Println() }`, "slog"},
	"fmt.Println in cli":    {checkCalls, "internal/cli/a.go", `import "fmt"; func f() { fmt.Println() }`, ""},
	"println":               {checkCalls, "internal/log/a.go", `func f() { println() }`, "slog"},
	"standard log":          {checkCalls, "internal/server/a.go", `import "log"`, "use log/slog"},
	"our log":               {checkCalls, "internal/server/a.go", `import "holdfast/internal/log"`, ""},
	"crypto/rand":           {checkCalls, "internal/quorum/a.go", `import "crypto/rand"`, "use env.Rand"},
	"context.Background":    {checkCalls, "internal/log/a.go", `import "context"; var c = context.Background()`, "pass the caller's context"},
	"context of an owner":   {checkCalls, "internal/api/run.go", `import "context"; func f() { _ = context.Background() }`, ""},
	"raw atomics":           {checkCalls, "internal/server/a.go", `import "sync/atomic"; func f(n *int64) { atomic.AddInt64(n, 1) }`, "typed atomics"},
	"init":                  {checkCalls, "internal/log/a.go", `func init() {}`, "side effects"},
	"goto":                  {checkCalls, "internal/log/a.go", "func f() {\nl:\n\tgoto l\n}", "goto"},
	"calls in a test":       {checkCalls, "internal/log/a_test.go", `import "os"; var _, _ = os.Open("x")`, ""},
	"sleep in a test":       {checkTestSleep, "internal/log/a_test.go", `import "time"; func f() { time.Sleep(1) }`, "time.Sleep in a test"},
	"sleep in a whole test": {checkTestSleep, "tests/rig/a_test.go", `import "time"; func f() { time.Sleep(1) }`, ""},

	"goroutine anywhere":           {checkGoroutines, "internal/log/a.go", `func f() { go f() }`, "a goroutine starts here"},
	"goroutine of a wait group":    {checkGoroutines, "internal/log/a.go", `func f() { wg.Go(f) }`, "a goroutine starts here"},
	"goroutine in run.go":          {checkGoroutines, "internal/log/run.go", `func f() { go f() }`, ""},
	"goroutine in server":          {checkGoroutines, "internal/server/a.go", `func f() { go f() }`, ""},
	"long function":                {checkBudgets, "internal/log/a.go", "func f() {\n" + strings.Repeat("\tf()\n", 69) + "}", "f has 71 lines"},
	"function just short enough":   {checkBudgets, "internal/log/a.go", "func f() {\n" + strings.Repeat("\tf()\n", 68) + "}", ""},
	"long table":                   {checkBudgets, "internal/log/a.go", "// f is a table.\n//\n//lint:table\nfunc f() {\n" + strings.Repeat("\tf()\n", 80) + "}", ""},
	"long file":                    {checkBudgets, "internal/log/a.go", strings.Repeat("\n", 1000), "a file ends at 1000"},
	"six parameters":               {checkBudgets, "internal/log/a.go", "func f(a, b, c int, d string, e, g bool) {}", "6 parameters"},
	"five parameters":              {checkBudgets, "internal/log/a.go", "func (r R) f(a, b, c int, d, e bool) {}", ""},
	"long function in a test":      {checkBudgets, "internal/log/a_test.go", "func f() {\n" + strings.Repeat("\tf()\n", 90) + "}", ""},
	"package without a comment":    {checkPackageDocs, "internal/log/a.go", "", "no package comment"},
	"tests without a comment":      {checkPackageDocs, "internal/log/a_test.go", "", ""},
	"package named util":           {checkNames, "internal/log/util/a.go", "", "a package named util"},
	"type named Manager":           {checkNames, "internal/log/a.go", "type SegmentManager struct{}", "a type named SegmentManager"},
	"type named Data":              {checkNames, "internal/log/a.go", "type Data struct{}", "a type named Data"},
	"type named Segment":           {checkNames, "internal/log/a.go", "type Segment struct{}", ""},
	"open mark in a comment":       {checkOpenMarks, "internal/log/a.go", "// FIX" + "ME: later", "do it, or file an issue"},
	"open mark in a test":          {checkOpenMarks, "internal/log/a_test.go", "// TO" + "DO(me) later", "do it, or file an issue"},
	"open mark in a string":        {checkOpenMarks, "internal/log/a.go", `var s = "TO` + `DO"`, ""},
	"source that does not parse":   {func(t *tree) []finding { return t.broken }, "internal/log/a.go", "func {", "does not parse"},
	"link to nothing":              {checkLinks, "docs/a.md", "see [b](b.md)", "nothing is there"},
	"link out of the repository":   {checkLinks, "docs/a.md", "see [b](../../b.md)", "leaves the repository"},
	"link to a missing heading":    {checkLinks, "docs/a.md", "# One heading\nsee [b](#another-heading)", "no such heading"},
	"link to a heading":            {checkLinks, "docs/a.md", "# One heading, `code`\nsee [b](#one-heading-code)", ""},
	"link to the world":            {checkLinks, "docs/a.md", "see [b](https://example.com/x)", ""},
	"link in code":                 {checkLinks, "docs/a.md", "`a[i](b)`\n```\n[x](y)\n```", ""},
	"open mark in a document":      {checkOpenMarks, "docs/a.md", "TO" + "DO", "do it, or file an issue"},
	"document without open marks":  {checkOpenMarks, "docs/a.md", "a list of things to do", ""},
	"exported name, undocumented ": {checkExportedDocs, "internal/kafka/a.go", "var V = 1", "exported V"},
}

func TestRules_FindWhatIsPlanted(t *testing.T) {
	l, err := parseLayers(plantedLayers)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range plants {
		source := p.code
		if strings.HasSuffix(p.path, ".go") {
			pkg := "p"
			if strings.HasSuffix(p.path, "main.go") {
				pkg = "main"
			}
			source = "package " + pkg + "\n" + p.code
		}
		if strings.Contains(name, "generated") {
			source = "// Code generated by hand. DO NOT EDIT.\n\n" + source
		}
		planted := plant(map[string]string{p.path: source})
		planted.layers = l
		if len(planted.broken) > 0 && p.found != "does not parse" {
			t.Errorf("%s: %v", name, planted.broken)
		}
		found := p.rule(planted)
		switch {
		case p.found == "" && len(found) > 0:
			t.Errorf("%s: found %v, want nothing", name, found)
		case p.found != "" && len(found) == 0:
			t.Errorf("%s: found nothing, want %q", name, p.found)
		case p.found != "" && !strings.Contains(fmt.Sprint(found), p.found):
			t.Errorf("%s: found %v, want %q", name, found, p.found)
		}
	}
}

func TestRules_EachHasAPlantedSource(t *testing.T) {
	covered := map[string]bool{}
	for _, p := range plants {
		if p.found == "" {
			continue
		}
		planted := plant(map[string]string{p.path: "package p\n" + p.code})
		for _, r := range rules {
			for _, f := range r.check(planted) {
				covered[r.name] = covered[r.name] || strings.Contains(f.message, p.found)
			}
		}
	}
	for _, r := range rules {
		if !covered[r.name] && r.name != "layers" {
			t.Errorf("rule %s: nothing planted shows that it can fail", r.name)
		}
	}
}

func TestBudgets_GeneratedFilesAreExempt(t *testing.T) {
	long := "// Code generated by gen. DO NOT EDIT.\n\npackage p\n\nfunc f(a, b, c, d, e, g int) {\n" + strings.Repeat("\tf()\n", 2000) + "}\n"
	if found := checkBudgets(plant(map[string]string{"internal/wire/a.go": long})); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}

func TestLayers_FileIsChecked(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"log vfs", "no colon"},
		{"log: vfs", "has no line"},
		{"log:\nlog:", "two lines"},
		{"log: vfs\nvfs: log", "in a circle"},
	} {
		if _, err := parseLayers(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestExemptions_LetThroughAndOnlyShrink(t *testing.T) {
	source := map[string]string{"internal/log/a.go": "// Package p is.\npackage p\n\nfunc init() {}\n"}
	run := func(text string) string {
		exemptions, err := parseExemptions(text)
		if err != nil {
			t.Fatal(err)
		}
		planted := plant(source)
		planted.layers, _ = parseLayers("log:")
		return strings.Join(judge(planted, exemptions), "\n")
	}
	if got := run(""); !strings.Contains(got, "internal/log/a.go:4: func init") {
		t.Errorf("without an exemption: %q", got)
	}
	if got := run("# comment\n\ncalls internal/log/a.go#init it must\n"); got != "" {
		t.Errorf("with an exemption: %q", got)
	}
	if got := run("calls internal/log/a.go#init it must\ncalls internal/log/b.go#f gone\n"); !strings.Contains(got, "exemptions.txt:2") || !strings.Contains(got, "only shrinks") {
		t.Errorf("with one too many: %q", got)
	}
	if _, err := parseExemptions("calls key"); err == nil {
		t.Error("an exemption without a reason is accepted")
	}
}
