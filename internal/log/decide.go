package log

import (
	"fmt"

	"holdfast/internal/invariant"
)

// facts are what recovery found out before it changes anything. Every byte is
// looked at through the journal: where a Data entry names a place in a segment,
// its payload is what is there.
type facts struct {
	// clean: the directory says that it was closed in order.
	clean bool
	// journal: there are live journal entries above the recovery point.
	journal bool
	// intact: every extent in the journal has its checksum.
	intact bool
	// reached: valid batches follow each other without a gap from the recovery
	// point to the durable end, which is the end of what the journal and the
	// recovery point cover.
	reached bool
	// torn: behind the last valid batch its segment has bytes that are none.
	torn bool
	// later: there are segments behind the one with the last valid batch.
	later bool
}

// decision is what recovery does.
type decision uint8

const (
	// serve: everything is as it was left.
	serve decision = iota + 1
	// rewrite: write the bytes since the recovery point again and sync them,
	// before anybody reads them: after a failed sync, pages look clean and are not.
	rewrite
	// rewriteCut: the same, and only then cut the torn tail.
	rewriteCut
	// rewriteCutDrop: the same, and drop the segments behind it.
	rewriteCutDrop
	// rewriteDrop: the same without a torn tail.
	rewriteDrop
	// stop: acknowledged bytes are missing or wrong. Nothing is written.
	stop
	// impossible: facts that contradict each other; a bug in finding them out.
	impossible
)

// String is the decision in words for reports.
func (d decision) String() string {
	return [...]string{"", "serve", "rewrite the tail", "rewrite the tail, cut what is torn",
		"rewrite the tail, cut what is torn, drop later segments", "rewrite the tail, drop later segments",
		"stop: acknowledged bytes are missing or wrong", "impossible"}[d]
}

// want is what a row asks of one fact.
type want uint8

const (
	any_ want = iota
	yes
	no
)

func (w want) allows(fact bool) bool { return w == any_ || (w == yes) == fact }

// recoveryCase is one row of the table: a decision and the facts it is for.
type recoveryCase struct {
	label    string
	decision decision
	// In the order of facts.
	clean, journal, intact, reached, torn, later want
}

// recoveryCases is the whole of the decision: exactly one row is for any facts,
// which a test proves by trying all of them.
//
// Rows in words:
//
//	A  Closed in order, or crashed right after a checkpoint: nothing to do but to
//	   rewrite what is not known to be synced, which may be nothing.
//	B  A crash interrupted a write, as crashes do: the torn bytes were never
//	   acknowledged.
//	C  A crash interrupted a write just before or after a segment was begun, or
//	   a later segment reached the disk and an earlier one did not.
//	D  A later segment does not continue the one before: batches at the end of
//	   that one did not reach the disk as a whole.
//	E  A directory that was closed in order has no torn batch: that is rot.
//	F  Batches that were acknowledged are bad. Kafka cuts here; we stop.
//	G  Bytes that were synced straight to their segment changed, even where their
//	   batches look right (a batch's checksum omits offset and leader epoch).
//	X  There is no bad extent without an extent.
var recoveryCases = [...]recoveryCase{
	//      decision       clean journal intact reached torn later
	{"A1", serve, yes, no, yes, yes, no, no},
	{"A2", rewrite, no, any_, yes, yes, no, no},
	{"A3", rewrite, yes, yes, yes, yes, no, no}, // the mark lies: treat it as a crash
	{"B1", rewriteCut, no, any_, yes, yes, yes, no},
	{"C1", rewriteCutDrop, no, any_, yes, yes, yes, yes},
	{"D1", rewriteDrop, no, any_, yes, yes, no, yes},
	{"B2", rewriteCut, yes, yes, yes, yes, yes, no},
	{"C2", rewriteCutDrop, yes, yes, yes, yes, yes, yes},
	{"D2", rewriteDrop, yes, yes, yes, yes, no, yes},
	{"E1", stop, yes, no, yes, yes, yes, any_},
	{"E2", stop, yes, no, yes, yes, no, yes},
	{"F1", stop, any_, any_, yes, no, any_, any_},
	{"G1", stop, any_, yes, no, any_, any_, any_},
	{"X1", impossible, any_, no, no, any_, any_, any_},
}

func (c *recoveryCase) matches(f facts) bool {
	return c.clean.allows(f.clean) && c.journal.allows(f.journal) && c.intact.allows(f.intact) &&
		c.reached.allows(f.reached) && c.torn.allows(f.torn) && c.later.allows(f.later)
}

// decide looks the facts up.
func decide(f facts) *recoveryCase {
	for i := range recoveryCases {
		if c := &recoveryCases[i]; c.matches(f) {
			invariant.Check(c.decision != impossible, "recovery case %s: %+v", c.label, f)
			return c
		}
	}
	panic(fmt.Sprintf("invariant: no recovery case for %+v", f))
}

// mutant is a planted fault of recovery. Tests prove that each is found.
type mutant uint8

const (
	healthy        mutant = iota
	cutFirst              // scans and cuts without the journal's bytes
	skipSync              // serves the tail unsynced
	trustPages            // does not write the tail again
	ignoreExtents         // does not look at the extents' checksums
	ignoreDurable         // Kafka's rule: cuts at the first bad batch, wherever
	dropNothing           // leaves segments behind a torn one
	forgetProducer        // does not rebuild the producer table from the log
)
