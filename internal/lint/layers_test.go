package lint

import (
	"fmt"
	"strconv"
	"strings"
)

// layers is layers.txt.
type layers struct {
	allowed map[string][]string // by package
	modules map[string][]string // users by module
}

func parseLayers(text string) (layers, error) {
	l := layers{allowed: map[string][]string{}, modules: map[string][]string{}}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, list, ok := strings.Cut(line, ":")
		if !ok {
			return l, fmt.Errorf("layers.txt:%d: no colon", i+1)
		}
		into := l.allowed
		if module, is := strings.CutPrefix(name, "module "); is {
			name, into = module, l.modules
		}
		if into[name] != nil {
			return l, fmt.Errorf("layers.txt:%d: %s has two lines", i+1, name)
		}
		into[name] = append([]string{}, strings.Fields(list)...)
	}
	for name, list := range l.allowed {
		for _, to := range list {
			if to != "*" && l.allowed[to] == nil {
				return l, fmt.Errorf("layers.txt: %s may import %s, which has no line", name, to)
			}
		}
	}
	return l, l.acyclic()
}

// acyclic refuses a file whose edges do not all go down.
func (l layers) acyclic() error {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case visiting:
			return fmt.Errorf("layers.txt: %s can import itself in a circle", name)
		case done:
			return nil
		}
		state[name] = visiting
		for _, to := range l.allowed[name] {
			if to == "*" {
				continue
			}
			if err := visit(to); err != nil {
				return err
			}
		}
		state[name] = done
		return nil
	}
	for name := range l.allowed {
		if err := visit(name); err != nil {
			return err
		}
	}
	return nil
}

// checkLayers holds imports to layers.txt.
func checkLayers(t *tree) (found []finding) {
	known := map[string]bool{}
	for _, f := range t.files {
		if !known[f.top()] && t.layers.allowed[f.top()] == nil {
			known[f.top()] = true
			found = append(found, f.at(f.ast.Package, "package", "package %s is not in internal/lint/layers.txt: add it there, in its storey, with what it may import", f.top()))
			continue
		}
		if f.isTest() || f.top() == "tools" {
			continue
		}
		for _, spec := range f.ast.Imports {
			importPath, _ := strconv.Unquote(spec.Path.Value)
			if why := t.layers.refuses(f.pkg, importPath); why != "" {
				found = append(found, f.at(spec.Pos(), importPath, "%s", why))
			}
		}
	}
	return found
}

func (l layers) refuses(pkg, importPath string) string {
	if !strings.Contains(strings.Split(importPath, "/")[0], ".") && !isOurs(importPath) {
		return "" // the standard library
	}
	if !isOurs(importPath) {
		return l.refusesModule(topOf(pkg), importPath)
	}
	target := strings.TrimPrefix(strings.TrimPrefix(importPath, modulePath+"/"), "internal/")
	if strings.HasSuffix(target, "test") && !strings.HasSuffix(pkg, "test") && topOf(pkg) != "tests" {
		return fmt.Sprintf("%s serves tests, and this is not one", target)
	}
	if topOf(target) == topOf(pkg) {
		return ""
	}
	for _, allowed := range l.allowed[topOf(pkg)] {
		if allowed == "*" || allowed == topOf(target) {
			return ""
		}
	}
	return fmt.Sprintf("%s may not import %s (internal/lint/layers.txt): imports go down only; an interface belongs to the package that needs it", pkg, target)
}

func isOurs(importPath string) bool {
	return importPath == modulePath || strings.HasPrefix(importPath, modulePath+"/")
}

func (l layers) refusesModule(top, importPath string) string {
	for module, users := range l.modules {
		if importPath != module && !strings.HasPrefix(importPath, module+"/") {
			continue
		}
		if isOneOf(top, users...) {
			return ""
		}
		return fmt.Sprintf("only %s may use %s (internal/lint/layers.txt)", strings.Join(users, ", "), module)
	}
	return fmt.Sprintf("%s is not a module that shipped code may use: it needs a decision note and a line in internal/lint/layers.txt", importPath)
}
