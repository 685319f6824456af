// Package powercut takes the power away from the file system under a loaded
// broker and demands that no acknowledged record is lost: an ext4 image on a
// loop device is shut down without its log being flushed, the broker is killed,
// the image is mounted again. Whatever was not synced is gone.
//
// It does not tear sectors and does not reorder what the kernel had already
// written back; the crash tests on the file system in memory do.
package powercut
