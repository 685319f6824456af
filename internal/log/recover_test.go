package log

import "testing"

// TestDecide_ExactlyOneRowForAnyFacts tries all 64 combinations of facts.
func TestDecide_ExactlyOneRowForAnyFacts(t *testing.T) {
	used := map[string]int{}
	for bits := range 64 {
		f := facts{clean: bits&1 != 0, journal: bits&2 != 0, intact: bits&4 != 0,
			reached: bits&8 != 0, torn: bits&16 != 0, later: bits&32 != 0}
		var rows []string
		for i := range recoveryCases {
			if recoveryCases[i].matches(f) {
				rows = append(rows, recoveryCases[i].label)
				used[recoveryCases[i].label]++
			}
		}
		if len(rows) != 1 {
			t.Errorf("%+v: rows %v, want exactly one", f, rows)
		}
	}
	for _, c := range recoveryCases {
		if used[c.label] == 0 {
			t.Errorf("row %s is for nothing", c.label)
		}
	}
}

// TestDecide_NeverCutsAcknowledgedBytes states the rule that the table must obey,
// whatever its rows look like.
func TestDecide_NeverCutsAcknowledgedBytes(t *testing.T) {
	for bits := range 64 {
		f := facts{clean: bits&1 != 0, journal: bits&2 != 0, intact: bits&4 != 0,
			reached: bits&8 != 0, torn: bits&16 != 0, later: bits&32 != 0}
		if !f.journal && !f.intact {
			continue // impossible
		}
		d := decide(f).decision
		switch {
		case (!f.reached || !f.intact) && d != stop:
			t.Errorf("%+v: %v", f, d)
		case f.torn && d != stop && d != rewriteCut && d != rewriteCutDrop:
			t.Errorf("%+v leaves a torn tail: %v", f, d)
		case f.later && d != stop && d != rewriteCutDrop && d != rewriteDrop:
			t.Errorf("%+v leaves later segments: %v", f, d)
		case !f.clean && d == serve:
			t.Errorf("%+v trusts the page cache: %v", f, d)
		}
	}
}

func TestDecide_PanicsOverTheImpossible(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a bad extent without an extent was accepted")
		}
	}()
	decide(facts{reached: true})
}
