// Package vnet is the only way to the network. Real processes use TCP; tests
// use a network in memory that can delay, cut and partition.
package vnet
