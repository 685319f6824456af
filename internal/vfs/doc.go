// Package vfs is the only way to files. OS is the real file system; Mem is one
// in memory that can crash, tear, rot, fill up and fail.
//
// It is not a cache, a buffer or a log: it moves bytes to offsets and says
// exactly what survives a crash.
//
// # Invariants
//
//  1. Bytes are durable after SyncData or Sync of their file, or when a write to
//     a DataSync file has returned. Nothing else makes bytes durable.
//  2. A directory entry (creation, rename, removal) is durable after SyncDir of
//     its directory, provided that the directory itself can be reached from
//     durable entries. Syncing a file does not make its entry durable.
//  3. After a failed sync nobody knows what is on the medium: the pages look
//     clean, reads return the new bytes, and the next crash brings back the old
//     ones. A second sync that succeeds proves nothing about the first.
//  4. A full file system is errors.Is(err, ErrNoSpace), whatever the cause.
//  5. No method of OS or Mem waits while it holds a lock that another method
//     needs, so that a whole broker can run inside a testing/synctest bubble.
//
// # Lock order
//
// Mem.mu is the only lock and a leaf.
//
// # File map
//
//	vfs.go         the interfaces, flags and errors
//	align.go       memory for Direct files
//	walk.go        small functions over any FS: ReadFile, WriteFile, SyncAll
//	os.go          OS: what is the same on every Unix
//	os_linux.go    fdatasync, O_DIRECT, fallocate, syncfs
//	os_other.go    the same on other Unix systems, with what they have
//	mem.go         Mem: names, directories, locks, space
//	mem_file.go    Mem: the pages of a file, which of them are dirty, syncing
//	mem_crash.go   Mem: what a crash leaves
//	mem_fault.go   Mem: programmed faults, latency, the trace of operations
package vfs
