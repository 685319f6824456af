package lint

import (
	"go/ast"
	"path"
	"strings"
)

const (
	functionLinesMax = 70
	fileLinesWarn    = 600
	fileLinesMax     = 1000
	parametersMax    = 5
)

// checkBudgets bounds functions, files and parameter lists. A function whose
// comment holds //lint:table is a table and may be long.
func checkBudgets(t *tree) (found []finding) {
	for _, f := range t.shipped() {
		if f.lines > fileLinesMax {
			found = append(found, f.at(f.ast.Package, "", "%d lines: a file ends at %d; one noun, one file", f.lines, fileLinesMax))
		}
		f.eachFunc(func(d *ast.FuncDecl) {
			lines := f.fset.Position(d.End()).Line - f.fset.Position(d.Pos()).Line + 1
			if lines > functionLinesMax && !isTable(d) {
				found = append(found, f.at(d.Pos(), funcName(d), "%s has %d lines, at most %d: the parent decides, the leaves compute", funcName(d), lines, functionLinesMax))
			}
			if n := d.Type.Params.NumFields(); n > parametersMax {
				found = append(found, f.at(d.Pos(), funcName(d), "%s has %d parameters, at most %d: use an options struct", funcName(d), n, parametersMax))
			}
		})
	}
	return found
}

func isTable(d *ast.FuncDecl) bool {
	if d.Doc == nil {
		return false
	}
	for _, c := range d.Doc.List {
		if strings.HasPrefix(c.Text, "//lint:table") {
			return true
		}
	}
	return false
}

// warnings are worth a line in the log of the test and no failure.
func warnings(t *tree) (found []finding) {
	for _, f := range t.shipped() {
		if f.lines > fileLinesWarn && f.lines <= fileLinesMax {
			found = append(found, f.at(f.ast.Package, "", "%d lines, aim at %d", f.lines, fileLinesWarn))
		}
	}
	return found
}

// goroutinePackages own goroutines as their job. Elsewhere they start in a file
// named run.go.
var goroutinePackages = []string{"server", "node", "datadir", "quorum", "cli", "cmd", "tests"}

// checkGoroutines keeps the places few where goroutines begin, so that each has
// an owner who stops it and waits.
func checkGoroutines(t *tree) (found []finding) {
	for _, f := range t.shipped() {
		if mayStartGoroutines(f) {
			continue
		}
		f.inspect(func(n ast.Node, within string) {
			if startsGoroutine(n) {
				found = append(found, f.at(n.Pos(), within, "a goroutine starts here: only run.go and the packages %s start them", strings.Join(goroutinePackages, ", ")))
			}
		})
	}
	return found
}

func mayStartGoroutines(f *file) bool {
	return isOneOf(f.top(), goroutinePackages...) || path.Base(f.path) == "run.go"
}

// startsGoroutine also sees the Go method of sync.WaitGroup and errgroup.Group.
func startsGoroutine(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		return true
	case *ast.CallExpr:
		s, ok := n.Fun.(*ast.SelectorExpr)
		return ok && s.Sel.Name == "Go" && len(n.Args) == 1
	}
	return false
}
