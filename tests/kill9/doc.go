// Package kill9 kills a loaded broker with kill -9 at random moments and
// demands that no acknowledged record is lost and, with idempotence, none
// stands twice. It also plants faults and demands that the same rig finds them.
//
// The page cache survives kill -9: a missing fsync is invisible here and is
// package powercut's to find.
package kill9
