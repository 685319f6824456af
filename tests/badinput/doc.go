// Package badinput throws what strangers and accidents send at a running
// broker: frames that lie, batches that lie, a second process on the same
// directory, a full disk, a directory of a newer version.
//
// After every case the process is alive, a neighbour's connection works as
// before, and nothing of it was stored.
package badinput
