// Package cluster runs several real broker processes as one cluster on loopback
// and does to them what happens to machines: kill -9, SIGSTOP, cut links, lost
// power, a wiped disk, a restart in turn. Writers and readers go on meanwhile,
// and package history judges what they saw.
//
// It is the ground of its own tests and of the packages accident and failover;
// package rig is its own ground. It knows the product by its command line, its
// Kafka listener and the JSON of its admin listener.
//
// Invariants:
//
//  1. A cluster differs from one broker only by --node-id and --bootstrap.
//  2. Every wait has a deadline, and what it waited for is in its error together
//     with what the brokers printed last.
//  3. A process is ended by the id that its start returned.
//  4. An accident is healed before the history is judged: all brokers run, all
//     replicas are in sync.
//
// File map:
//
//	cluster.go   the brokers: start, kill, pause, resume, stop in order
//	links.go     links between brokers that can be cut, one way or both
//	state.go     what the cluster says of itself: leaders, in-sync replicas, ends
//	campaign.go  rounds of load, accident, healing and audit
//	accidents.go the accidents of a campaign
package cluster
