// Package vfs is the only way to files. OS is the real file system; Mem is one
// in memory that can crash, tear, rot, fill up and fail.
package vfs
