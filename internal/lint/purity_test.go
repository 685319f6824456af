package lint

import (
	"go/ast"
	"go/token"
	"strconv"
	"strings"
)

// wellKnownMethods have the contract of the interface that they satisfy.
var wellKnownMethods = []string{"Error", "Unwrap", "Is", "String"}

// purePackages decide and encode. Whoever calls them brings the time, the bytes
// and the randomness, so that every run can be repeated.
var purePackages = []string{"kafka", "bin", "record", "wire", "producer", "meta", "controller", "config", "isr", "founding", "group", "auth", "invariant"}

var impureImports = map[string]string{
	"os": "take the bytes as a parameter", "io/ioutil": "take the bytes as a parameter", "os/exec": "no",
	"net": "leave addresses as strings", "net/http": "no", "syscall": "return a typed error",
	"sync": "the caller serialises", "sync/atomic": "the caller serialises", "context": "pure calls do not wait",
	"math/rand": "take random numbers as parameters", "math/rand/v2": "take random numbers as parameters", "crypto/rand": "take random numbers as parameters",
	"log/slog": "return what is worth saying; the shell says it", "runtime": "no", "runtime/debug": "no",
}

var clockCalls = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

func isPure(f *file) bool { return isOneOf(f.pkg, purePackages...) }

// checkPurity keeps the outside world and concurrency out of pure packages.
// Generated files are held to it as well.
func checkPurity(t *tree) (found []finding) {
	for _, f := range t.files {
		if !isPure(f) || f.isTest() {
			continue
		}
		for _, spec := range f.ast.Imports {
			importPath, _ := strconv.Unquote(spec.Path.Value)
			if f.pkg == "record" && importPath == "sync" {
				continue // pools of codecs; impurity lets nothing else of sync pass
			}
			if instead, banned := impureImports[importPath]; banned {
				found = append(found, f.at(spec.Pos(), importPath, "pure package %s imports %s: %s", f.pkg, importPath, instead))
			}
		}
		imports := f.imports()
		f.inspect(func(n ast.Node, within string) {
			if what := impurity(imports, n); what != "" {
				found = append(found, f.at(n.Pos(), within, "pure package %s has %s: decisions return effects and take the time as a parameter", f.pkg, what))
			}
		})
	}
	return found
}

func impurity(imports map[string]string, n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "a go statement"
	case *ast.SelectStmt:
		return "a select statement"
	case *ast.ChanType:
		return "a channel type"
	case *ast.SendStmt:
		return "a channel send"
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			return "a channel receive"
		}
	case *ast.SelectorExpr:
		switch from, name := member(imports, n); {
		case from == "time" && isOneOf(name, clockCalls...), from == "sync" && name != "Pool":
			return from + "." + name
		}
	}
	return ""
}

// checkExportedDocs wants a comment on every exported identifier of pure
// packages: their contract is all that a caller sees.
func checkExportedDocs(t *tree) (found []finding) {
	for _, f := range t.shipped() {
		if !isPure(f) {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				known := d.Recv != nil && isOneOf(d.Name.Name, wellKnownMethods...)
				if !known && d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiverName(d))) && isBlank(d.Doc) {
					found = append(found, f.at(d.Pos(), funcName(d), "exported %s has no comment", funcName(d)))
				}
			case *ast.GenDecl:
				found = append(found, undocumented(f, d)...)
			}
		}
	}
	return found
}

func isBlank(c *ast.CommentGroup) bool { return c == nil || strings.TrimSpace(c.Text()) == "" }

// undocumented lists exported names of a declaration. A comment on the group
// covers constants and variables, not types.
func undocumented(f *file, d *ast.GenDecl) (found []finding) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && isBlank(s.Doc) && (isBlank(d.Doc) || d.Lparen.IsValid()) {
				found = append(found, f.at(s.Pos(), s.Name.Name, "exported %s has no comment", s.Name.Name))
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && isBlank(s.Doc) && isBlank(s.Comment) && isBlank(d.Doc) {
					found = append(found, f.at(s.Pos(), name.Name, "exported %s has no comment", name.Name))
				}
			}
		}
	}
	return found
}
