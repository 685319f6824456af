package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/internal/log"
	"holdfast/internal/vfs"
)

func (a *app) logCommand() *cobra.Command {
	var running bool
	check := &cobra.Command{Use: "check FILE|DIR...", Short: "Verify segments, indexes and checksums of a stopped broker", Args: words(1, noMost),
		Long: `Verify what is stored: checksums of all batches, offsets, indexes, sidecars,
producer tables. Nothing is changed. DIR is a data directory or that of one
partition; FILE is one .log file. Stop the broker first: it writes while it runs.

The journal of a data directory is not consulted: a torn tail of the newest
segment is a warning, because the next start makes it good from the journal.
The status is 10 where stored bytes are wrong or missing.`,
		Example: "  holdfast log check ~/.local/share/holdfast/dev\n  holdfast log check /var/lib/holdfast/orders-0 -O json",
		RunE:    run(func(_ *cobra.Command, args []string) error { return a.checkLogs(args, running) })}
	check.Flags().BoolVar(&running, "while-running", false, "check although a broker has the directory; what it is writing may look torn")
	a.outputFlag(check)
	var o dumpOptions
	dump := &cobra.Command{Use: "dump FILE|DIR...", Short: "Print the batches of segments", Args: words(1, noMost),
		Example: "  holdfast log dump orders-0/00000000000000000000.log\n  holdfast log dump orders-0 --records -O jsonl | jq .value",
		RunE:    run(func(_ *cobra.Command, args []string) error { return a.dumpLogs(args, o) })}
	f := dump.Flags()
	f.BoolVarP(&o.records, "records", "r", false, "the records too")
	f.Int64VarP(&o.from, "offset", "o", 0, "begin with the batch that holds this offset")
	f.Int64VarP(&o.number, "num", "n", 0, "stop after so many batches of a file; 0 is without limit")
	a.outputFlag(dump)
	return parent("log", "Look into the files of a broker", nil, check, dump)
}

const segmentSuffix = ".log"

// place is a partition's directory, or one segment file of it.
type place struct {
	dir  string
	file string // empty: the whole directory
}

// places finds the partitions in what was named: segments, partition
// directories, data directories.
func places(fsys vfs.FS, names []string) ([]place, error) {
	const depth = 2 // a data directory, and a directory of several of them
	var found []place
	for _, name := range names {
		st, err := fsys.Stat(name)
		if err != nil {
			return nil, err
		}
		if !st.IsDir {
			if !strings.HasSuffix(name, segmentSuffix) {
				return nil, usagef("%s is no segment: its name does not end in %s", name, segmentSuffix)
			}
			found = append(found, place{dir: path.Dir(name), file: path.Base(name)})
			continue
		}
		before := len(found)
		level := []string{name}
		for d := 0; d <= depth && len(level) > 0; d++ {
			var deeper []string
			for _, dir := range level {
				entries, err := fsys.ReadDir(dir)
				if err != nil {
					return nil, err
				}
				if slices.ContainsFunc(entries, func(e vfs.DirEntry) bool { return !e.IsDir && strings.HasSuffix(e.Name, segmentSuffix) }) {
					found = append(found, place{dir: dir})
					continue
				}
				for _, e := range entries {
					if e.IsDir {
						deeper = append(deeper, path.Join(dir, e.Name))
					}
				}
			}
			level = deeper
		}
		if len(found) == before {
			return nil, fmt.Errorf("%s: no segment is in there", name)
		}
	}
	return found, nil
}

type checkedLog struct {
	Dir      string           `json:"dir"`
	Faults   int              `json:"faults"`
	Warnings int              `json:"warnings"`
	Findings []checkedFinding `json:"findings"`
	Error    string           `json:"error,omitempty"`
}

type checkedFinding struct {
	Severity string `json:"severity"`
	Kind     string `json:"kind"`
	File     string `json:"file"`
	Position int64  `json:"position"`
	Offset   int64  `json:"offset"` // -1: none is concerned
	Cause    string `json:"cause"`
}

func (a *app) checkLogs(names []string, running bool) error {
	fsys := vfs.OS{}
	list, err := places(fsys, names)
	if err != nil {
		return fmt.Errorf("log check: %w", err)
	}
	for _, p := range list {
		if dir := heldIn(p.dir); dir != "" && !running {
			return withFix(fmt.Errorf("log check: %s is in use by %s, which writes there while it runs", dir, holderText(dir)),
				"Stop that broker first (Ctrl-C or SIGTERM), or check a snapshot of the directory.\n--while-running checks all the same; a torn end of a newest segment then means nothing.")
		}
	}
	var all []checkedLog
	var rows []any
	faults, warnings, unread := 0, 0, 0
	for i, p := range list {
		a.logProgress("checking", i, len(list), p.dir)
		c := checkPlace(fsys, p)
		faults, warnings = faults+c.Faults, warnings+c.Warnings
		if c.Error != "" {
			unread++
		}
		all, rows = append(all, c), append(rows, c)
	}
	a.logProgress("", len(list), len(list), "")
	err = a.print(listing{value: all, rows: rows, text: func(bool) error {
		for _, c := range all {
			for _, f := range c.Findings {
				fmt.Fprintf(a.Streams.Out, "%s: %s: %s at %d: %s\n", f.Severity, f.Kind, f.File, f.Position, f.Cause)
			}
			if c.Error != "" {
				a.talk("error: %s: %s", c.Dir, c.Error)
			}
		}
		return nil
	}})
	if err != nil {
		return err
	}
	a.talk("checked %d, faults %d, warnings %d, not readable %d", len(all), faults, warnings, unread)
	switch {
	case faults > 0:
		return exit(ExitBad)
	case unread > 0:
		return exit(ExitUnknown)
	}
	return nil
}

func checkPlace(fsys vfs.FS, p place) checkedLog {
	c := checkedLog{Dir: path.Join(p.dir, p.file), Findings: []checkedFinding{}}
	var err error
	if p.file != "" {
		err = checkSegment(fsys, c.Dir, c.add)
	} else {
		err = log.Check(fsys, p.dir, c.add)
	}
	if err != nil && !errors.Is(err, log.ErrUnfinished) {
		c.Error = err.Error()
	}
	return c
}

func (c *checkedLog) add(f log.Finding) {
	switch f.Severity {
	case log.Fault:
		c.Faults++
	case log.Warning:
		c.Warnings++
	}
	c.Findings = append(c.Findings, checkedFinding{f.Severity.String(), f.Kind.String(), f.File, f.Position, int64(f.Offset), f.Cause.Error()})
}

// logProgress shows on a terminal which of many directories is looked at.
func (a *app) logProgress(what string, i, n int, name string) {
	if !a.Streams.ErrTTY || n < 2 {
		return
	}
	fmt.Fprint(a.Streams.Err, "\r\x1b[K")
	if what != "" {
		fmt.Fprintf(a.Streams.Err, "%s %d of %d: %s", what, i+1, n, name)
	}
}

// segments are the segment files of a place, in order.
func (p place) segments(fsys vfs.FS) ([]string, error) {
	if p.file != "" {
		return []string{path.Join(p.dir, p.file)}, nil
	}
	entries, err := fsys.ReadDir(p.dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir && strings.HasSuffix(e.Name, segmentSuffix) {
			files = append(files, path.Join(p.dir, e.Name))
		}
	}
	return files, nil
}
