package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

const modulePath = "holdfast"

// tree is the parsed repository.
type tree struct {
	fset     *token.FileSet
	files    []*file
	markdown map[string]string // content by path
	exists   func(path string) bool
	layers   layers
	broken   []finding // files that do not parse
}

// file is one Go file.
type file struct {
	path      string // from the root of the repository
	pkg       string // as in layers.txt, with the elements below: "vfs", "wire/gen", "cmd/holdfast"
	lines     int
	ast       *ast.File
	generated bool
	fset      *token.FileSet
}

// finding is one violation. Its key names it in exemptions.txt and holds no
// line number, so that it survives edits elsewhere in the file.
type finding struct {
	key     string
	line    int
	message string
}

func (f *file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// isCommand tells whether the file belongs to a program of its own.
func (f *file) isCommand() bool { return f.ast.Name.Name == "main" }

// top is the part of the package's name that layers.txt knows.
func (f *file) top() string { return topOf(f.pkg) }

func topOf(pkg string) string {
	top, _, _ := strings.Cut(pkg, "/")
	return top
}

func isOneOf(name string, list ...string) bool {
	for _, l := range list {
		if l == name {
			return true
		}
	}
	return false
}

// at makes a finding at a position; what narrows the key down within the file.
func (f *file) at(pos token.Pos, what, format string, args ...any) finding {
	key := f.path
	if what != "" {
		key += "#" + what
	}
	return finding{key: key, line: f.fset.Position(pos).Line, message: fmt.Sprintf(format, args...)}
}

// shipped lists the files that rules about code look at: written by hand, not
// tests, not behind the tools tag.
func (t *tree) shipped() []*file {
	var list []*file
	for _, f := range t.files {
		if !f.isTest() && !f.generated && !isOneOf(f.top(), "tools", "lint") {
			list = append(list, f)
		}
	}
	return list
}

func (t *tree) addGo(name string, source []byte) {
	parsed, err := parser.ParseFile(t.fset, name, source, parser.ParseComments)
	if err != nil {
		t.broken = append(t.broken, finding{key: name, message: fmt.Sprintf("does not parse: %v", err)})
		return
	}
	pkg := strings.TrimPrefix(path.Dir(name), "internal/")
	t.files = append(t.files, &file{
		path: name, pkg: pkg, lines: bytes.Count(source, []byte("\n")), ast: parsed,
		generated: ast.IsGenerated(parsed), fset: t.fset,
	})
}

// plant makes a tree of sources by path, for self-tests.
func plant(sources map[string]string) *tree {
	t := &tree{fset: token.NewFileSet(), markdown: map[string]string{}}
	t.exists = func(name string) bool {
		for known := range sources {
			if known == name || strings.HasPrefix(known, name+"/") {
				return true
			}
		}
		return false
	}
	for name, source := range sources {
		if strings.HasSuffix(name, ".md") {
			t.markdown[name] = source
		} else {
			t.addGo(name, []byte(source))
		}
	}
	return t
}

// load parses the repository at root.
func load(root string) (*tree, error) {
	t := &tree{fset: token.NewFileSet(), markdown: map[string]string{}}
	t.exists = func(name string) bool {
		_, err := os.Stat(filepath.Join(root, name))
		return err == nil
	}
	text, err := os.ReadFile(filepath.Join(root, "internal/lint/layers.txt"))
	if err != nil {
		return nil, err
	}
	if t.layers, err = parseLayers(string(text)); err != nil {
		return nil, err
	}
	return t, t.loadDir(root, "")
}

func (t *tree) loadDir(root, dir string) error {
	entries, err := os.ReadDir(filepath.Join(root, dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), ".") || e.Name() == "testdata":
			continue
		case e.IsDir():
			err = t.loadDir(root, name)
		case strings.HasSuffix(name, ".go"):
			var source []byte
			if source, err = os.ReadFile(filepath.Join(root, name)); err == nil {
				t.addGo(name, source)
			}
		case strings.HasSuffix(name, ".md"):
			var text []byte
			text, err = os.ReadFile(filepath.Join(root, name))
			t.markdown[name] = string(text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// imports maps the names under which a file knows its imports to their paths.
func (f *file) imports() map[string]string {
	names := map[string]string{}
	for _, spec := range f.ast.Imports {
		importPath, _ := strconv.Unquote(spec.Path.Value) // the parser has accepted it
		name := path.Base(importPath)
		if name == "v2" || name == "v3" {
			name = path.Base(path.Dir(importPath))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = importPath
	}
	return names
}

// member tells which member of which import an expression is: fmt, Print.
func member(imports map[string]string, e ast.Expr) (importPath, name string) {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok || x.Obj != nil { // Obj is set for what the file itself declares
		return "", ""
	}
	return imports[x.Name], s.Sel.Name
}

// funcName is the name of a function as keys have it: Name or Type.Name.
func funcName(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return d.Name.Name
	}
	return receiverName(d) + "." + d.Name.Name
}

func receiverName(d *ast.FuncDecl) string {
	e := d.Recv.List[0].Type
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if index, ok := e.(*ast.IndexExpr); ok {
		e = index.X
	}
	if index, ok := e.(*ast.IndexListExpr); ok {
		e = index.X
	}
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return "?"
}

// eachFunc visits every function declaration of a file.
func (f *file) eachFunc(visit func(d *ast.FuncDecl)) {
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			visit(fn)
		}
	}
}

// inspect visits every node with the name of the declaration around it.
func (f *file) inspect(visit func(n ast.Node, within string)) {
	for _, d := range f.ast.Decls {
		within := "package"
		if fn, ok := d.(*ast.FuncDecl); ok {
			within = funcName(fn)
		}
		ast.Inspect(d, func(n ast.Node) bool {
			if n != nil {
				visit(n, within)
			}
			return true
		})
	}
}
