package lint

import (
	"go/ast"
	"strconv"
)

// ban is a call that has a better place or a replacement.
type ban struct {
	from    string
	names   []string // none: every function of the package
	allowed []string // packages that may
	instead string
}

var bans = []ban{
	{"time", clockCalls, []string{"clock", "tests"}, "use clock.Clock"},
	{"os", nil, []string{"vfs", "vnet", "cli", "cmd", "tests"}, "use vfs.FS"},
	{"net", []string{"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialUnix", "DialIP", "Listen", "ListenTCP", "ListenPacket", "ListenUDP", "ListenUnix", "Pipe"},
		[]string{"vnet", "cli", "cmd", "tests"}, "use vnet.Net"},
	{"fmt", []string{"Print", "Printf", "Println"}, []string{"cli", "cmd", "tests"}, "write to an io.Writer or to slog"},
	{"context", []string{"Background", "TODO"}, nil, "pass the caller's context; only what may start goroutines begins one"},
	{"sync/atomic", []string{"AddInt32", "AddInt64", "AddUint32", "AddUint64", "LoadInt32", "LoadInt64", "LoadUint32", "LoadUint64", "LoadPointer",
		"StoreInt32", "StoreInt64", "StoreUint32", "StoreUint64", "StorePointer", "CompareAndSwapInt32", "CompareAndSwapInt64", "SwapInt32", "SwapInt64"},
		nil, "use the typed atomics (atomic.Int64)"},
}

// bannedImports are refused as a whole.
var bannedImports = []ban{
	{"log", nil, []string{"tests"}, "use log/slog"},
	{"io/ioutil", nil, nil, "use io, or vfs.FS"},
	{"os/exec", nil, []string{"tests", "cli"}, "a broker runs no other program"},
	{"math/rand", nil, nil, "use env.Rand"},
	{"math/rand/v2", nil, []string{"env", "vfs", "vnet", "sim", "cli", "tests"}, "use env.Rand"},
	{"crypto/rand", nil, []string{"env", "tests"}, "use env.Rand"},
}

// checkCalls refuses banned calls and imports, and a few statements.
func checkCalls(t *tree) (found []finding) {
	for _, f := range t.shipped() {
		for _, spec := range f.ast.Imports {
			importPath, _ := strconv.Unquote(spec.Path.Value)
			for _, b := range bannedImports {
				if importPath == b.from && !isOneOf(f.top(), b.allowed...) {
					found = append(found, f.at(spec.Pos(), importPath, "import of %s: %s", importPath, b.instead))
				}
			}
		}
		imports := f.imports()
		f.inspect(func(n ast.Node, within string) {
			if what, instead := bannedNode(f, imports, n); what != "" {
				found = append(found, f.at(n.Pos(), within, "%s: %s", what, instead))
			}
		})
	}
	return found
}

func bannedNode(f *file, imports map[string]string, n ast.Node) (what, instead string) {
	switch n := n.(type) {
	case *ast.CallExpr:
		if what, instead = bannedMember(f, imports, n.Fun); what != "" {
			return what, instead
		}
		if id, ok := n.Fun.(*ast.Ident); ok && id.Obj == nil && isOneOf(id.Name, "print", "println") {
			return id.Name, "write to slog"
		}
	case *ast.CompositeLit:
		if from, name := member(imports, n.Type); from == "net" && isOneOf(name, "Dialer", "ListenConfig") && !isOneOf(f.top(), "vnet", "cli", "tests") {
			return "net." + name, "use vnet.Net"
		}
	case *ast.FuncDecl:
		if n.Recv == nil && n.Name.Name == "init" {
			return "func init", "side effects of an import surprise; build it where it is used"
		}
	case *ast.BranchStmt:
		if n.Tok.String() == "goto" {
			return "goto", "use a loop or a function"
		}
	}
	return "", ""
}

// bannedMember looks at the function of a call. Commands may use the terminal
// and the environment.
func bannedMember(f *file, imports map[string]string, fun ast.Expr) (what, instead string) {
	from, name := member(imports, fun)
	for _, b := range bans {
		if from != b.from || isOneOf(f.top(), b.allowed...) || from == "context" && mayStartGoroutines(f) {
			continue
		}
		if f.isCommand() && isOneOf(from, "os", "fmt") {
			continue
		}
		if len(b.names) == 0 || isOneOf(name, b.names...) {
			return from + "." + name, b.instead
		}
	}
	return "", ""
}

// checkTestSleep refuses waiting by the clock in tests: it is slow when it is
// long and flaky when it is short.
func checkTestSleep(t *tree) (found []finding) {
	for _, f := range t.files {
		if !f.isTest() || f.top() == "tests" {
			continue
		}
		imports := f.imports()
		f.inspect(func(n ast.Node, within string) {
			if call, ok := n.(*ast.CallExpr); ok {
				if from, name := member(imports, call.Fun); from == "time" && name == "Sleep" {
					found = append(found, f.at(n.Pos(), within, "time.Sleep in a test: use a channel, testing/synctest or clock.Sim"))
				}
			}
		})
	}
	return found
}
