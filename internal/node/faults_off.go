//go:build !faults

package node

import (
	"holdfast/internal/coord"
	"holdfast/internal/partition"
	"holdfast/internal/vfs"
)

// planted are the faults that this process was asked to have. This build has
// none; a build with the tag "faults" reads them from the environment, so that
// the rigs can prove that they would notice.
type planted struct{}

func plantedFaults(string) planted { return planted{} }

func (planted) fs(real vfs.FS) vfs.FS { return real }

func (planted) partition() partition.Faults { return partition.Faults{} }

func (planted) coord() coord.Faults { return coord.Faults{} }
