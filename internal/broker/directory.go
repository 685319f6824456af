package broker

import (
	"holdfast/internal/kafka"
)

// Directory says where the partitions here lie.
type Directory struct {
	Path          string
	Total, Usable int64 // bytes of its file system
	Err           error // what stopped it, or nil
}

// Directory describes the data directory as it is now.
func (b *Broker) Directory() Directory {
	free, total := b.o.Dir.Space()
	return Directory{Path: b.o.Dir.Path(), Total: total, Usable: free, Err: b.o.Dir.Err()}
}

// NewUUID draws a random identity.
func (b *Broker) NewUUID() kafka.UUID { return kafka.NewUUID(b.o.Env.Rand) }
