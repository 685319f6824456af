// Package sim is a seeded world: a cluster of brokers' cores (metadata quorum,
// controller, data directory, partitions) on disks that crash and a network that
// loses, delays and repeats, with clients that write and read. One goroutine drives
// everything, and everything is drawn from one seed.
//
// What it is not: the shells of a broker (connections, the fetcher's sessions, the
// reconcile of package broker, lifecycle) do not run here; node, reconcile, replicate
// and control do the same in a few lines, one event at a time.
//
// A world has a safety phase, in which the kinds of faults that its seed has chosen
// happen, and a liveness phase, in which everything is mended and has to come to
// rest. After every event the checkers look whether what was promised holds.
//
// # Invariants
//
//  1. The same Options give the same Result: no clock, no goroutine, no map order and
//     no randomness but the seed's decides anything.
//  2. A checker that finds something ends the world.
//  3. Faults keep within what the cluster promises to survive: a disk is taken away
//     only while the others have everything.
//
// # What the checkers hold (check*.go)
//
// One leader in an epoch and one in a term of the quorum. Whoever may be elected has
// what is committed, on stable storage. Logs are equal, to the byte, below every high
// watermark; it never falls in a process. What was said to be durable is there after
// a power cut. What is acknowledged is committed where the answer says; what a
// consumer reads is committed and the same for all. Producers' sequences are there
// once, in order, without a gap. Metadata of one offset is the same everywhere, after
// every start, and is what its log says. In peace: every producer answered, every
// consumer at the end, every ISR full, every log equal.
//
// # File map
//
//	world.go        Run: one event after the other
//	event.go        what is to come
//	network.go      messages and questions
//	node.go         one broker's process
//	death.go        how it ends, and starts again
//	storage.go      flush rounds that take their time
//	reconcile.go    metadata to roles; proposals of ISRs
//	replicate.go    followers
//	damage.go       replicas that have lost records
//	control.go      registration, heartbeats, sessions, recovery
//	producer.go     idempotent producers
//	consumer.go     consumers
//	fault.go        the seed's choice, faults, peace
//	plant.go        faults that are built in and must be found
//	check.go        metadata, and who may be elected
//	check_log.go    logs
//	check_client.go what clients are told
//	report.go       sums
//	run.go          worlds side by side
package sim
