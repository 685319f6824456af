// Package compat lets other people's software judge a running broker: franz-go
// and kcat write and read with every compression, and Apache Kafka's own dump
// tool reads the segments and indexes that are left on disk.
//
// The clients below testdata/clients are small programs in four languages that
// speak one protocol (its README), so that each runs the same scenarios:
// TestClients, and TestSurvive with a broker that is killed under them. What
// they report becomes docs/COMPATIBILITY.md. HOLDFAST_COMPAT_CLIENTS names
// some, separated by commas; otherwise small runs have those of CI only.
//
// With HOLDFAST_RIG_ADDR (and HOLDFAST_RIG_DATA for the dump tool) the tests
// run against a broker that stands already, for instance Apache Kafka itself:
// what fails there is a fault of the test.
package compat
