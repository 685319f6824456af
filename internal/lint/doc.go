// Package lint holds the house rules as tests: which package may import which,
// what pure packages may not touch, which calls have a replacement, how long
// things may be. It ships nothing.
//
// It parses the files in-process and walks directories with os.ReadDir. It never
// runs another program: what a child process reads is no input of the test
// cache, and go test would answer "ok (cached)" after a violation was added.
//
// # Invariants
//
//  1. Every rule has a planted source that it must find (selftest_test.go); a
//     rule that cannot fail is not a rule.
//  2. exemptions.txt only shrinks: an entry that nothing needs fails the test.
//  3. A package that does not exist yet is no finding; a package that layers.txt
//     does not know is one.
//
// # File map
//
//	layers.txt         which package may import which, and who may use which module
//	exemptions.txt     findings that are let through, each with its reason
//	lint_test.go       runs every rule over the repository
//	tree_test.go       the parsed repository
//	layers_test.go     imports
//	purity_test.go     pure packages
//	calls_test.go      banned calls and imports, each with its replacement
//	budgets_test.go    lengths, parameters, placement of goroutines
//	docs_test.go       comments, names and links
//	selftest_test.go   the planted sources
package lint
