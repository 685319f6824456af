package api

// AlterReplicaLogDirs, key 34, versions 1 and 2: moves replicas between the
// directories of a broker.
//
// Behaviours: a broker has one data directory. Naming it for a replica that is
// there already is done at once; any other is LOG_DIR_NOT_FOUND.

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) alterReplicaLogDirs(r *Request) (*Reply, Pending) {
	q := wire.NewAlterReplicaLogDirsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewAlterReplicaLogDirsResponse()
	allowed := a.authorize(r.Conn.Principal, opAlter, clusterResource())
	for i := range q.Dirs {
		d := &q.Dirs[i]
		for _, in := range d.Topics {
			t := wire.AlterReplicaLogDirsResponseTopic{Topic: in.Topic}
			for _, p := range in.Partitions {
				code := kafka.ErrClusterAuthorizationFailed
				if allowed {
					code = a.moveReplica(d.Dir, in.Topic, kafka.PartitionIndex(p))
				}
				t.Partitions = append(t.Partitions, wire.AlterReplicaLogDirsResponseTopicPartition{Partition: p, ErrorCode: int16(code)})
			}
			out.Topics = append(out.Topics, t)
		}
	}
	return respond(r, &out), nil
}

func (a *API) moveReplica(dir, topic string, p kafka.PartitionIndex) kafka.ErrorCode {
	if dir != a.o.Broker.Directory().Path {
		return kafka.ErrLogDirNotFound
	}
	_, code := a.o.Broker.ByName(topic, p)
	return code
}
