package partition_test

import (
	"log/slog"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/datadir"
	"holdfast/internal/env"
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/partition"
	"holdfast/internal/purgatory"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

// lazy is a storage that never flushes.
type lazy struct{}

func (lazy) Submit(datadir.Flushable, *log.Log, log.Span, []byte, kafka.Offset) {}
func (lazy) Err() error                                                         { return nil }
func (lazy) Note(*log.Log, kafka.Offset)                                        {}
func (lazy) Cut(*log.Log, kafka.Offset) error                                   { return nil }
func (lazy) Restart(*log.Log, kafka.Offset) error                               { return nil }
func (lazy) Full() bool                                                         { return false }

func reviewPartition(t *testing.T, pageCache bool) *partition.Partition {
	t.Helper()
	ground := env.NewTest(1)
	id := kafka.TopicIDPartition{TopicID: kafka.TopicID{1}}
	_ = ground.FS.MkdirAll("/d")
	l, err := log.Create(log.Options{FS: ground.FS, Clock: ground.Clock, Dir: "/d/t-0", Topic: "t",
		Key: journal.Key{TopicID: id.TopicID, Generation: 1}, Config: log.DefaultConfig()})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := config.ResolveTopic(nil, nil)
	if pageCache {
		c.Durability = config.DurabilityPageCache
	}
	p := partition.New(partition.Options{Topic: "t", ID: id, Self: 1, Log: l, Storage: lazy{}, Clock: ground.Clock, Config: &c})
	p.Lead(partition.Leadership{Epoch: 1, ISR: []kafka.BrokerID{1}, MinISR: 1})
	return p
}

func reviewBatch(t *testing.T, producer *record.Producer) []byte {
	t.Helper()
	b := record.NewBuilder(record.Options{Producer: producer})
	b.Append(kafka.Timestamp(1), nil, []byte("value"))
	data, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A leadership that ends and begins again counts bytes as durable that no flush
// round has reported.
func TestReview_LeadAfterResignCountsUnflushedBytes(t *testing.T) {
	p := reviewPartition(t, false)
	w := purgatory.New(1, func() {})
	if r := p.Append(partition.AppendRequest{Records: reviewBatch(t, nil), Asked: -1, Wait: partition.WaitISR, Waiter: w}); !r.Waiting {
		t.Fatalf("%+v", r)
	}
	p.Resign()
	p.Lead(partition.Leadership{Epoch: 2, ISR: []kafka.BrokerID{1}, MinISR: 1})
	if o := p.Offsets(); o.HighWatermark != 0 || o.Durable != 0 {
		t.Errorf("nothing was flushed: durable %d, high watermark %d", o.Durable, o.HighWatermark)
	}
}

// A new leader epoch of a page-cache topic whose bytes are not on disk yet.
func TestReview_NewEpochOfAPageCacheTopic(t *testing.T) {
	p := reviewPartition(t, true)
	p.Append(partition.AppendRequest{Records: reviewBatch(t, nil), Asked: -1, Wait: partition.WaitISR})
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("panic: %v", r)
		}
	}()
	p.Lead(partition.Leadership{Epoch: 2, ISR: []kafka.BrokerID{1}, MinISR: 1})
}

// "First fsync error: that directory stops, nothing more is acknowledged."
func TestReview_PageCacheTopicOfAStoppedDirectory(t *testing.T) {
	ground := env.NewTest(1)
	d, err := datadir.Open(datadir.Options{Env: ground.Env, Dir: "/data", NodeID: kafka.NoBroker, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	open := func(n byte, pageCache bool) *partition.Partition {
		id := kafka.TopicIDPartition{TopicID: kafka.TopicID{n}}
		name := string([]byte{'t', '0' + n})
		l, _, err := d.OpenLog(name, id, log.DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		c, _ := config.ResolveTopic(nil, nil)
		if pageCache {
			c.Durability = config.DurabilityPageCache
		}
		p := partition.New(partition.Options{Topic: name, ID: id, Self: 1, Log: l, Storage: d, Clock: ground.Clock, Config: &c})
		p.Lead(partition.Leadership{Epoch: 1, ISR: []kafka.BrokerID{1}, MinISR: 1})
		return p
	}
	strict, loose := open(1, false), open(2, true)
	reviewFailSyncs(ground)
	done := make(chan struct{})
	w := purgatory.New(1, func() { close(done) })
	strict.Append(partition.AppendRequest{Records: reviewBatch(t, nil), Asked: -1, Wait: partition.WaitISR, Waiter: w})
	<-done
	if d.Err() == nil {
		t.Fatal("the directory goes on")
	}
	r := loose.Append(partition.AppendRequest{Records: reviewBatch(t, nil), Asked: -1, Wait: partition.WaitISR, Waiter: purgatory.New(1, func() {})})
	if r.Code == kafka.ErrNone && !r.Waiting {
		t.Errorf("acknowledged in a directory that has stopped (%v)", d.Err())
	}
}

func reviewFailSyncs(ground *env.Test) {
	ground.Disk.Inject(vfs.Fault{Op: vfs.OpWrite, Path: "holdfast.journal"})
}
