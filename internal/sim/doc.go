// Package sim is a seeded world: a cluster of whole brokers' cores on disks that
// crash and a network that loses, in one goroutine, everything drawn from one seed.
package sim
