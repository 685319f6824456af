package table

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Row is one cell that a run reports: how one client did at one feature.
type Row struct {
	Client  string `json:"client"`
	Version string `json:"version"`
	Feature string `json:"feature"`
	Verdict string `json:"verdict"` // passed, failed, unsupported (by the client), differs (with the reason), not run
	Why     string `json:"why,omitempty"`
}

// Read takes rows from JSON lines; the last of one client and feature counts.
func Read(r io.Reader) ([]Row, error) {
	var rows []Row
	at := map[[2]string]int{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var row Row
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return nil, fmt.Errorf("read rows: %w", err)
		}
		k := [2]string{row.Client, row.Feature}
		if i, ok := at[k]; ok {
			rows[i] = row
			continue
		}
		at[k] = len(rows)
		rows = append(rows, row)
	}
	return rows, lines.Err()
}

// summary is one client's line.
type summary struct {
	client, version string
	passed          map[string]int // by the first word of the feature
	total           map[string]int
	notes           []string
}

// Columns are the first words of features, in the order of the table.
var columns = []string{"produce", "consume", "group", "admin", "survive", "tool", "suite"}

func column(feature string) string {
	word, _, _ := strings.Cut(feature, " ")
	if slices.Contains(columns, word) {
		return word
	}
	return ""
}

// Markdown renders the rows; header is what the run was made on.
func Markdown(rows []Row, header string) string {
	var out strings.Builder
	out.WriteString("# Compatibility\n\nWritten by `make prove` (tests/compat/table); never edited by hand.\n\n" + header + "\n")
	out.WriteString("Each cell is what passed of what was tried; what a client itself cannot do is not tried and is named in the notes.\n\n| client | version |")
	for _, c := range columns {
		out.WriteString(" " + c + " |")
	}
	out.WriteString(" notes |\n|---|---|" + strings.Repeat("---|", len(columns)+1) + "\n")
	for _, s := range summarise(rows) {
		fmt.Fprintf(&out, "| %s | %s |", s.client, s.version)
		for _, c := range columns {
			cell := ""
			if s.total[c] > 0 {
				cell = fmt.Sprintf("%d/%d", s.passed[c], s.total[c])
			}
			fmt.Fprintf(&out, " %s |", cell)
		}
		fmt.Fprintf(&out, " %s |\n", strings.Join(s.notes, "<br>"))
	}
	return out.String()
}

func summarise(rows []Row) []*summary {
	var all []*summary
	by := map[string]*summary{}
	for _, r := range rows {
		s := by[r.Client]
		if s == nil {
			s = &summary{client: r.Client, version: r.Version, passed: map[string]int{}, total: map[string]int{}}
			by[r.Client] = s
			all = append(all, s)
		}
		s.add(r)
	}
	for _, s := range all {
		s.notes = fold(s.notes)
	}
	return all
}

func (s *summary) add(r Row) {
	c := column(r.Feature)
	why := cell(r.Why)
	switch r.Verdict {
	case "passed":
		s.passed[c]++
		s.total[c]++
		if why != "" {
			s.notes = append(s.notes, r.Feature+": "+why)
		}
	case "unsupported":
		s.notes = append(s.notes, "the client has no "+r.Feature+": "+why)
	case "not run":
		s.notes = append(s.notes, "not run: "+r.Feature+": "+why)
	default:
		s.total[c]++
		s.notes = append(s.notes, r.Verdict+": "+r.Feature+": "+why)
	}
}

// fold joins notes that differ only in the feature.
func fold(notes []string) []string {
	var out []string
	count := map[string]int{}
	for _, n := range notes {
		i := strings.LastIndex(n, ": ")
		if count[n[i:]]++; count[n[i:]] == 1 || i < 0 {
			out = append(out, n)
		}
	}
	for j, n := range out {
		if c := count[n[strings.LastIndex(n, ": "):]]; c > 1 {
			out[j] = fmt.Sprintf("%s (and %d more like it)", n, c-1)
		}
	}
	return out
}

func cell(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "|", "/"), "\n", " ")
	if len(s) > 300 {
		s = s[:300] + "..."
	}
	return s
}
