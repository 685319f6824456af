// Package groups kills a broker with kill -9 while a group of three members
// consumes and commits, and demands that no committed offset is lost or goes
// backwards and that no record is skipped. It also plants a fault, a commit that
// is answered before it is written, and demands that the same rig finds it.
//
// A commit that is answered before its fsync survives kill -9 with the page
// cache; the power cuts of package node's tests see it.
package groups
