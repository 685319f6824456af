package lint

import (
	"go/ast"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode"
)

// checkPackageDocs wants a package comment for every package with shipped code.
func checkPackageDocs(t *tree) (found []finding) {
	first, documented := map[string]*file{}, map[string]bool{}
	for _, f := range t.files {
		if f.isTest() || f.top() == "tools" {
			continue
		}
		if first[f.pkg] == nil {
			first[f.pkg] = f
		}
		if !f.generated && !isBlank(f.ast.Doc) {
			documented[f.pkg] = true
		}
	}
	for _, pkg := range sortedKeys(first) {
		if f := first[pkg]; !documented[pkg] {
			found = append(found, f.at(f.ast.Package, "package", "package %s has no package comment: doc.go says what it is and is not, its invariants, lock order and files", pkg))
		}
	}
	return found
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

var (
	emptyPackageNames = []string{"util", "utils", "common", "base", "helper", "helpers", "manager", "misc", "shared"}
	emptyTypeNames    = regexp.MustCompile(`(Manager|Helper|Util|Utils|Impl)$|^(Info|Data|Base)$`)
)

// checkNames refuses names that say nothing.
func checkNames(t *tree) (found []finding) {
	for _, f := range t.shipped() {
		if isOneOf(path.Base(f.pkg), emptyPackageNames...) {
			found = append(found, f.at(f.ast.Package, "package", "a package named %s: name it for what it holds", path.Base(f.pkg)))
		}
		f.inspect(func(n ast.Node, _ string) {
			if s, ok := n.(*ast.TypeSpec); ok && emptyTypeNames.MatchString(s.Name.Name) {
				found = append(found, f.at(s.Pos(), s.Name.Name, "a type named %s: name it for what it is", s.Name.Name))
			}
		})
	}
	return found
}

var openMarks = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`)

// checkOpenMarks refuses comments that put work off. Work that is put off has
// an issue, and what is missing is said in the documents.
func checkOpenMarks(t *tree) (found []finding) {
	for _, f := range t.files {
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				if mark := openMarks.FindString(c.Text); mark != "" {
					found = append(found, f.at(c.Pos(), mark, "%s in a comment: do it, or file an issue", mark))
				}
			}
		}
	}
	for _, name := range sortedKeys(t.markdown) {
		for i, line := range strings.Split(t.markdown[name], "\n") {
			if mark := openMarks.FindString(line); mark != "" {
				found = append(found, finding{name + "#" + mark, i + 1, mark + " in a document: do it, or file an issue"})
			}
		}
	}
	return found
}

var markdownLink = regexp.MustCompile(`\]\(([^)\s]+)(?:\s+"[^"]*")?\)`)

// checkLinks follows the relative links of every document, anchors included.
func checkLinks(t *tree) (found []finding) {
	for _, name := range sortedKeys(t.markdown) {
		for i, line := range proseLines(t.markdown[name]) {
			for _, m := range markdownLink.FindAllStringSubmatch(line, -1) {
				if why := t.deadLink(name, m[1]); why != "" {
					found = append(found, finding{name + "#" + m[1], i + 1, "link to " + m[1] + ": " + why})
				}
			}
		}
	}
	return found
}

func (t *tree) deadLink(from, target string) string {
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return ""
	}
	file, anchor, _ := strings.Cut(target, "#")
	to := from
	if file != "" {
		to = path.Join(path.Dir(from), file)
		if strings.HasPrefix(file, "/") || strings.HasPrefix(to, "..") {
			return "it leaves the repository"
		}
		if !t.exists(to) {
			return "nothing is there"
		}
	}
	text, known := t.markdown[to]
	if anchor != "" && known && !slices.Contains(anchors(text), anchor) {
		return "no such heading"
	}
	return ""
}

// proseLines blanks what is inside code fences and code spans.
func proseLines(text string) []string {
	lines := strings.Split(text, "\n")
	fenced := false
	for i, line := range lines {
		isFence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if isFence {
			fenced = !fenced
		}
		if fenced || isFence {
			lines[i] = ""
			continue
		}
		lines[i] = codeSpan.ReplaceAllString(line, "")
	}
	return lines
}

var codeSpan = regexp.MustCompile("`[^`]*`")

// anchors lists the anchors of the headings of a document.
func anchors(text string) (list []string) {
	fenced := false
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		}
		heading, is := strings.CutPrefix(line, "#")
		if fenced || !is {
			continue
		}
		list = append(list, slug(strings.TrimLeft(heading, "#")))
	}
	return list
}

func slug(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(heading)) {
		switch {
		case r == ' ':
			b.WriteRune('-')
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			b.WriteRune(r)
		}
	}
	return b.String()
}
