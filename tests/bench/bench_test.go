package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const latLine = "LAT tag= rate=10000 size=1024 linger=0s sent=40000 acked=40000 errs=0 late=0 produce[p50=0.65 p90=1.00 p99=3.95 p99.9=8.82 max=12.40ms] e2e[p50=0.80 p90=1.1 p99=4.26 p99.9=9 max=13ms n=30000] clientCPU=0.50 brokerCPU=0.75 foreign=0.02\n"

func TestParseOfALine(t *testing.T) {
	m := parse(latLine)
	for key, want := range map[string]float64{"produce.p99": 3.95, "produce.max": 12.4, "e2e.p99": 4.26, "brokerCPU": 0.75, "errs": 0, "foreign": 0.02} {
		if got, ok := m.values[key]; !ok || got != want {
			t.Errorf("%s is %v, %v, want %v", key, got, ok, want)
		}
	}
	if m = parse("SYNC tag= clients=1 size=100 req/s=4724 p50=186us p99=518us brokerCPUus/req=121.0 foreign=0.30"); m.values["req/s"] != 4724 || m.values["p50"] != 186 || m.foreign != 0.3 {
		t.Errorf("parsed %v", m)
	}
}

// report3 is a row with three blocks in which ours is twice theirs.
func report3(fl floor) (*report, row) {
	rw := row{name: "r", title: "R", figures: []figure{{"x/s", "x", "", []floor{fl}}}}
	ours, theirs := &system{name: "holdfast", title: "H"}, &system{name: "kafka", title: "K"}
	r := newReport(options{}, &field{systems: []*system{ours, theirs}}, []row{rw})
	for block, x := range []float64{10, 20, 1000} {
		r.add(block, rw, ours, measurement{values: map[string]float64{"x": 2 * x}})
		r.add(block, rw, theirs, measurement{values: map[string]float64{"x": x}})
	}
	return r, rw
}

func TestFloors(t *testing.T) {
	for _, tt := range []struct {
		floor floor
		want  string
	}{
		{least("kafka", 2), "2 [2-2] | at least 2 | holds"},
		{least("kafka", 2.1), "2 [2-2] | at least 2.1 | **below the floor**"},
		{most("kafka", 2), "2 [2-2] | at most 2 | holds"},
		{most("kafka", 1.9), "2 [2-2] | at most 1.9 | **below the floor**"},
		{most("l1f", 1), "NOT SHOWN | at most 1 | "},
		{most("", 50), "40 [20-2e+03] | at most 50 | holds"},
	} {
		r, rw := report3(tt.floor)
		if got := r.verdict(rw, rw.figures[0], tt.floor); got != strings.Replace(tt.want, "2e+03", "2000", 1) {
			t.Errorf("%+v: %q, want %q", tt.floor, got, tt.want)
		}
	}
}

func TestEveryFloorNamesASystemOfItsRow(t *testing.T) {
	for _, r := range table() {
		for _, f := range r.figures {
			for _, fl := range f.floors {
				if fl.against != "" && !strings.Contains(strings.Join(r.systems, " ")+" ", fl.against+" ") {
					t.Errorf("%s, %s: nobody measures %s", r.name, f.title, fl.against)
				}
			}
		}
	}
}

func TestSectionIsReplacedAndTheRestStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.md")
	for _, text := range []string{"first", "second"} {
		if err := writeSection(path, sectionStart+"\n"+text+"\n"+sectionEnd+"\n"); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := "# Performance\n\n" + sectionStart + "\n" + text + "\n" + sectionEnd + "\n"; string(b) != want {
			t.Errorf("file is %q, want %q", b, want)
		}
	}
	if err := os.WriteFile(path, []byte("by hand"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeSection(path, "x"); err == nil {
		t.Error("a file without the section was overwritten")
	}
}
