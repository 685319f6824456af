// Package isr decides, for the leader of one partition, which prefix of the log
// is committed and whether a write may be accepted. It is pure: no file, lock,
// clock or goroutine; the partition feeds it events and executes what it says.
//
// What it is not: it stores nothing and sends nothing. With one broker the only
// member is the leader itself; followers are further members of the same rule.
//
// Invariants
//
//  1. The high watermark counts durable ends only (DESIGN: what durable means).
//  2. Within one leader epoch the high watermark never goes back.
//  3. The high watermark does not move while the ISR is smaller than
//     min.insync.replicas (KIP-966, strict min ISR).
//  4. min.insync.replicas is literal: it is never bounded by the number of
//     replicas (docs/DIFFERENCES.md).
package isr
