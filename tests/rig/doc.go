// Package rig runs real broker processes, loads them, kills them and compares
// what their clients were told with what is there afterwards.
//
// It is the ground of the packages beside it (kill9, powercut, compat,
// restart, badinput, quickstart), whose tests carry the build tag rig because
// they take minutes; package history holds the verdicts. It is NOT part of the
// product, and it knows the product only by its command line, its listener and
// its admin listener.
//
// Invariants:
//
//  1. Only loopback is spoken to, and every wait has a deadline.
//  2. A process is ended by the id that Start got for it; it dies with the test
//     process too. A mounted image is unmounted and its loop device detached
//     when the test ends, and one that a killed test left behind is swept by
//     the next.
//  3. Whatever a rig needs and does not find (root, a loop device, kcat, Java)
//     fails the test, unless HOLDFAST_ALLOW_MISSING names it; then the test
//     prints NOT SHOWN and is skipped.
//  4. A run prints its seed, and the same seed plans the same run. (The load
//     itself depends on the scheduler: a seed repeats the plan, not the bytes.)
//
// Variables:
//
//	HOLDFAST_RIG_ROUNDS     accidents to make; each test has a small default
//	HOLDFAST_RIG_SEED       seed of the plan; the clock when unset
//	HOLDFAST_RIG_BINARY     broker to test instead of building ./cmd/holdfast
//	HOLDFAST_RIG_TARGET     holdfast (default), strawman, kafka or kafka-flush
//	HOLDFAST_RIG_RESULTS    file that results are appended to, one JSON object a line
//	HOLDFAST_RIG_FULL       1: the sizes that docs/PROOF.md is made of
//	HOLDFAST_ALLOW_MISSING  comma-separated: powercut, kcat, kafka, root
//
// File map:
//
//	settings.go  the variables, results, NOT SHOWN
//	binary.go    building the broker once
//	process.go   one child process
//	broker.go    a broker as a child process: command line, readiness, ports
//	peer.go      Apache Kafka as a target, for control
//	client.go    client options that never give up; topics
//	ledger.go    a history.Checker that many goroutines may feed
//	load.go      writers and tail readers
//	audit.go     the complete read after an accident
//	campaign.go  rounds of load, accident, restart and audit
//	disk.go      an ext4 image on a loop device whose power can be cut
package rig
