// Package node builds one broker from its settings and an Env: it is the wiring,
// and the order of start and stop. It decides nothing.
//
// Start: lock and read the data directory (its journal is replayed); open the
// metadata quorum and elect; register this broker, which is a new incarnation and
// a new leader epoch for what it leads; open every log; open the doors. Stop goes
// the same way backwards, and the clean-shutdown mark comes last.
//
// File map
//
//	node.go    start and stop
//	view.go    what the admin door shows
//	faults.go  planted faults, in builds made for proving the rigs
package node
