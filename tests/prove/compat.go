package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"holdfast/tests/compat/table"
	"holdfast/tests/rig"
)

// writeCompatibility makes docs/COMPATIBILITY.md of what the tests of
// tests/compat reported in the file.
func writeCompatibility(cells string, began time.Time) error {
	f, err := os.Open(cells)
	if err != nil {
		return fmt.Errorf("write the compatibility table: %w", err)
	}
	defer f.Close()
	rows, err := table.Read(f)
	if err != nil {
		return err
	}
	header := fmt.Sprintf("- commit: %s\n- date: %s UTC\n- machine: %s\n- repeat: `go run ./tests/prove -only compat`\n", commit(), began.UTC().Format("2006-01-02 15:04"), machine())
	return os.WriteFile(filepath.Join(rig.Root(), "docs", "COMPATIBILITY.md"), []byte(table.Markdown(rows, header)), 0o644)
}
