// Command gen writes the Go code of package wire from the schema folder. Run it
// from the root of the repository: go run ./internal/wire/gen. With -check it
// writes nothing and fails when a generated file is not up to date.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

func main() {
	dir := flag.String("dir", "internal/wire", "folder of package wire")
	check := flag.Bool("check", false, "compare instead of writing")
	flag.Parse()
	if err := run(*dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(dir string, check bool) error {
	s, err := load(filepath.Join(dir, "schema"))
	if err != nil {
		return err
	}
	files, err := generate(s)
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "gen_*.go"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if _, ok := files[filepath.Base(path)]; ok {
			continue
		}
		if check {
			return fmt.Errorf("%s: no schema makes this file", path)
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if check {
			have, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(have, content) {
				return fmt.Errorf("%s is not up to date: run go run ./internal/wire/gen", path)
			}
			continue
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func load(dir string) (*schema, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	sort.Strings(paths)
	s := &schema{enums: map[string]*enum{}, shared: map[string]*object{}}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		p := &parser{out: s, file: path}
		if err := p.parse(string(text)); err != nil {
			return nil, err
		}
	}
	sort.Slice(s.apis, func(i, j int) bool { return s.apis[i].key < s.apis[j].key })
	return s, s.link()
}
