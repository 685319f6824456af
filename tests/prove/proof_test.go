package main

import (
	"strings"
	"testing"

	"holdfast/tests/rig"
)

func TestProofNamesWhatWasNotShown(t *testing.T) {
	p := proof{commit: "abc", absent: []string{"young"}, runs: []outcome{{
		suite: suite{name: "powercut"}, passed: 1, skipped: 1, small: true,
		results: []rig.Result{
			{Test: "TestA", What: "cut | power", Rounds: 50, Acknowledged: 7, Seed: 9},
			{Test: "TestB", NotShown: "no loop device"},
			{Test: "TestC", What: "planted fault x: caught", Lost: 3},
			{Test: "TestD", What: "y", Failed: true},
		},
	}}}
	text := p.markdown()
	for _, want := range []string{
		"commit: abc", "| young | **not run** |", "| powercut (small counts) | 1 | 0 | 1 |", "| TestA | cut / power | 50 | 7 | 0 | 0 | 0 |  | 9 |", "| holds |",
		"NOT SHOWN TestB: no loop device", "| caught |", "| **FAILED** |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the proof lacks %q:\n%s", want, text)
		}
	}
}

func TestCountOfEvents(t *testing.T) {
	var o outcome
	var shown strings.Builder
	o.count(strings.NewReader(`{"Action":"pass","Test":"TestA"}
{"Action":"fail","Test":"TestB"}
{"Action":"skip","Test":"TestC"}
{"Action":"output","Test":"TestB","Output":"--- FAIL: TestB\n"}
{"Action":"output","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"x"}
not json
`), &shown, false)
	if o.passed != 1 || o.failed != 1 || o.skipped != 1 {
		t.Errorf("counted %d, %d, %d", o.passed, o.failed, o.skipped)
	}
	if got := shown.String(); got != "--- FAIL: TestB\nnot json\n" {
		t.Errorf("shown %q", got)
	}
}
