//go:build faults

package node

import (
	"strings"

	"holdfast/internal/coord"
	"holdfast/internal/partition"
	"holdfast/internal/vfs"
)

// planted are the faults that Options.Faults names, separated by commas:
//
//	ack-before-write    acknowledge a batch before it is written
//	ack-before-high-watermark  acknowledge what the leader alone has
//	no-fsync            every sync does nothing, and synchronous writes are ordinary ones
//	no-producer-table   forget every producer at start
//	commit-early        answer an offset commit before it is written
//	clean-moves-nothing drop old records of consumer groups without a copy
//	clean-raises-early  drop them before the copies are committed
type planted struct{ names string }

func plantedFaults(names string) planted { return planted{names} }

func (p planted) has(name string) bool {
	for _, n := range strings.Split(p.names, ",") {
		if n == name {
			return true
		}
	}
	return false
}

func (p planted) fs(real vfs.FS) vfs.FS {
	if p.has("no-fsync") {
		return lyingFS{real}
	}
	return real
}

func (p planted) partition() partition.Faults {
	return partition.Faults{AckBeforeWrite: p.has("ack-before-write"), AckEarly: p.has("ack-before-high-watermark"), ForgetProducers: p.has("no-producer-table")}
}

func (p planted) coord() coord.Faults {
	return coord.Faults{CommitEarly: p.has("commit-early"), CleanMovesNothing: p.has("clean-moves-nothing"), CleanRaisesEarly: p.has("clean-raises-early")}
}

// lyingFS claims that everything is on stable storage.
type lyingFS struct{ vfs.FS }

func (l lyingFS) OpenFile(name string, flag vfs.Flag) (vfs.File, error) {
	f, err := l.FS.OpenFile(name, flag&^(vfs.DataSync|vfs.Direct))
	if err != nil {
		return nil, err
	}
	return lyingFile{f}, nil
}

func (l lyingFS) SyncDir(string) error { return nil }

func (l lyingFS) SyncAll(string) error { return nil }

type lyingFile struct{ vfs.File }

func (lyingFile) SyncData() error { return nil }

func (lyingFile) Sync() error { return nil }
