package api

// DescribeLogDirs, key 35, versions 1 to 5.
//
//	2 flexible; 3 an error for all; 4 size and free space of the file system (KIP-827)
//	5 whether the directory takes no new replicas (KIP-1066): never
//
// Behaviours: the one data directory with the size of each replica in it. What
// is asked for and not here is left out.

import (
	"slices"

	"holdfast/internal/kafka"
	"holdfast/internal/partition"
	"holdfast/internal/wire"
)

func (a *API) describeLogDirs(r *Request) (*Reply, Pending) {
	q := wire.NewDescribeLogDirsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewDescribeLogDirsResponse()
	if !a.authorize(r.Conn.Principal, opDescribe, clusterResource()) {
		if out.ErrorCode = int16(kafka.ErrClusterAuthorizationFailed); r.Header.Version < 3 {
			out.ErrorCode = 0
		}
		return respond(r, &out), nil
	}
	d := a.o.Broker.Directory()
	dir := wire.NewDescribeLogDirsResponseDir()
	dir.Dir = d.Path
	if d.Err != nil {
		dir.ErrorCode = int16(kafka.ErrKafkaStorageError)
	} else {
		dir.TotalBytes, dir.UsableBytes = d.Total, d.Usable
		dir.Topics = a.replicaSizes(q.Topics)
	}
	out.Dirs = append(out.Dirs, dir)
	return respond(r, &out), nil
}

// replicaSizes lists the replicas that are asked for; nil asks for all.
func (a *API) replicaSizes(asked []wire.DescribeLogDirsRequestTopic) (out []wire.DescribeLogDirsResponseDirTopic) {
	if asked == nil {
		for _, p := range a.o.Broker.Partitions() {
			if n := len(out); n == 0 || out[n-1].Topic != p.Topic() {
				out = append(out, wire.DescribeLogDirsResponseDirTopic{Topic: p.Topic()})
			}
			last := &out[len(out)-1]
			last.Partitions = append(last.Partitions, replicaSize(p))
		}
		return out
	}
	for _, in := range asked {
		t := wire.DescribeLogDirsResponseDirTopic{Topic: in.Topic}
		indexes := slices.Compact(slices.Sorted(slices.Values(in.Partitions)))
		for _, i := range indexes {
			if p, code := a.o.Broker.ByName(in.Topic, kafka.PartitionIndex(i)); code == kafka.ErrNone {
				t.Partitions = append(t.Partitions, replicaSize(p))
			}
		}
		if len(t.Partitions) > 0 {
			out = append(out, t)
		}
	}
	return out
}

func replicaSize(p *partition.Partition) wire.DescribeLogDirsResponseDirTopicPartition {
	return wire.DescribeLogDirsResponseDirTopicPartition{Partition: int32(p.ID().Partition), Size: p.Log().Size()}
}
