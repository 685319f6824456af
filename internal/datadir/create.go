package datadir

import (
	"errors"
	"path"
	"sync"

	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/vfs"
)

// NewLog names a log that may have to be created.
type NewLog struct {
	Topic  string
	ID     kafka.TopicIDPartition
	Config log.Config
}

// From so many new logs on, two syncs of the file system are faster than those of
// each log. createsAtOnce directories are filled side by side.
const (
	createAllAbove = 8
	createsAtOnce  = 4
)

// CreateLogs creates those logs of the list that have no directory yet, if they
// are many, and returns them open. The others are for OpenLog, which also says
// what is wrong with one.
func (d *Dir) CreateLogs(list []NewLog) map[kafka.TopicIDPartition]*log.Log {
	var options []log.Options
	for i := range list {
		if o, ok := d.missing(&list[i]); ok {
			options = append(options, o)
		}
	}
	if len(options) < createAllAbove || d.Err() != nil {
		return nil
	}
	logs, failed, err := log.CreateAll(d.o.Dir, options, each)
	switch {
	case errors.Is(err, errors.ErrUnsupported) || vfs.NoDescriptor(err):
		return nil
	case err != nil:
		d.stop(err)
		return nil
	}
	out := make(map[kafka.TopicIDPartition]*log.Log, len(logs))
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, l := range logs {
		if failed[i] == nil {
			d.adoptLocked(l, 0)
			out[kafka.TopicIDPartition{TopicID: l.Key().TopicID, Partition: l.Key().Partition}] = l
		}
	}
	return out
}

// missing reports whether nothing is there of a log, and nothing ever was.
func (d *Dir) missing(n *NewLog) (log.Options, bool) {
	dir := path.Join(d.o.Dir, kafka.TopicPartition{Topic: n.Topic, Partition: n.ID.Partition}.String())
	o := d.options(dir, n)
	if _, err := log.ReadIdentity(d.o.Env.FS, dir); !errors.Is(err, log.ErrUnfinished) {
		return o, false
	}
	return o, !d.existed(o.Key) && !d.isForgotten(o.Key)
}

func (d *Dir) options(dir string, n *NewLog) log.Options {
	return log.Options{FS: d.o.Env.FS, Clock: d.o.Env.Clock, Dir: dir, Topic: n.Topic, Config: n.Config,
		Key: journal.Key{TopicID: n.ID.TopicID, Partition: n.ID.Partition, Generation: 1}}
}

// existed reports whether acknowledged data of a log is known, which speaks
// against making an empty one.
func (d *Dir) existed(key journal.Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.mu.unread[key]) > 0 || d.mu.points[key].recovery > 0
}

// each calls f for 0..n-1, several at a time.
func each(n int, f func(int)) {
	var all sync.WaitGroup
	for w := range min(createsAtOnce, n) {
		all.Go(func() {
			for i := w; i < n; i += createsAtOnce {
				f(i)
			}
		})
	}
	all.Wait()
}
