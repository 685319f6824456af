package partition_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/config"
	"holdfast/internal/datadir"
	"holdfast/internal/env"
	"holdfast/internal/journal"
	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/partition"
	"holdfast/internal/purgatory"
	"holdfast/internal/record"
)

// held is a storage whose flushes happen when the test says so.
type held struct {
	target datadir.Flushable
	ends   []kafka.Offset
	err    error
	full   bool
}

func (h *held) Submit(target datadir.Flushable, _ *log.Log, s log.Span, _ []byte, _ kafka.Offset) {
	h.target, h.ends = target, append(h.ends, s.End)
}
func (h *held) Err() error                            { return h.err }
func (h *held) Full() bool                            { return h.full }
func (h *held) Note(*log.Log, kafka.Offset)           {}
func (h *held) Cut(l *log.Log, to kafka.Offset) error { return l.TruncateSuffix(to) }
func (h *held) Restart(l *log.Log, start kafka.Offset) error {
	return l.TruncatePrefix(start)
}

// flush reports everything that was submitted.
func (h *held) flush() {
	if n := len(h.ends); n > 0 {
		h.target.Flushed(h.ends[n-1])
	}
}

// world is one partition on held storage.
type world struct {
	*partition.Partition
	t       *testing.T
	storage *held
}

func newWorld(t *testing.T, change func(*config.Topic, *partition.Options)) *world {
	t.Helper()
	ground := env.NewTest(1)
	id := kafka.TopicIDPartition{TopicID: kafka.TopicID{1}}
	if err := ground.FS.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	l, err := log.Create(log.Options{FS: ground.FS, Clock: ground.Clock, Dir: "/d/t-0", Topic: "t",
		Key: journal.Key{TopicID: id.TopicID, Generation: 1}, Config: log.DefaultConfig()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.ResolveTopic(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, storage: &held{}}
	o := partition.Options{Topic: "t", ID: id, Self: 1, Log: l, Storage: w.storage, Clock: clock.Real{}, Config: &c}
	if change != nil {
		change(&c, &o)
	}
	w.Partition = partition.New(o)
	w.lead(1)
	return w
}

func (w *world) lead(epoch kafka.LeaderEpoch) {
	w.Lead(partition.Leadership{Epoch: epoch, ISR: []kafka.BrokerID{1}, MinISR: 1})
}

// minISR changes min.insync.replicas within epoch 1.
func (w *world) minISR(n int, at kafka.PartitionEpoch) {
	w.Lead(partition.Leadership{Epoch: 1, PartitionEpoch: at, ISR: []kafka.BrokerID{1}, MinISR: n})
}

// parked is a produce that waits.
type parked struct {
	partition.AppendResult
	waiter *purgatory.Waiter
	wait   partition.Wait
}

// append appends a batch; producer nil is one that is not idempotent.
func (w *world) append(wait partition.Wait, producer *record.Producer, values ...string) parked {
	w.t.Helper()
	b := record.NewBuilder(record.Options{Producer: producer})
	for i, v := range values {
		b.Append(kafka.Timestamp(1000+i), nil, []byte(v))
	}
	data, err := b.Build(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	p := parked{waiter: purgatory.New(1, func() {}), wait: wait}
	p.AppendResult = w.Append(partition.AppendRequest{Records: data, Asked: -1, Wait: wait, Waiter: p.waiter})
	return p
}

// outcome is what the producer is told, or waiting is true.
func (w *world) outcome(p parked) (code kafka.ErrorCode, waiting bool) {
	if p.Waiting && !p.waiter.Done() {
		return 0, true
	}
	if p.Code != kafka.ErrNone || !p.Waiting {
		return p.Code, false
	}
	return w.Outcome(p.Receipt, p.wait), false
}

func (w *world) wantWaiting(p parked) {
	w.t.Helper()
	if code, waiting := w.outcome(p); !waiting {
		w.t.Errorf("answered %d, want it to wait", code)
	}
}

func (w *world) wantCode(p parked, want kafka.ErrorCode) {
	w.t.Helper()
	if code, waiting := w.outcome(p); waiting || code != want {
		w.t.Errorf("answered %d (still waiting: %v), want %d", code, waiting, want)
	}
}

func TestAppend_IsToldWhenItIsFlushed(t *testing.T) {
	w := newWorld(t, nil)
	first, second := w.append(partition.WaitISR, nil, "a", "b"), w.append(partition.WaitLocal, nil, "c")
	w.wantWaiting(first)
	w.wantWaiting(second)
	if r := w.Read(partition.ReadRequest{MaxBytes: 1 << 20, MinOne: true, CurrentEpoch: -1, LastFetchedEpoch: -1, Replica: -1}); r.Range.Length != 0 || r.Code != 0 {
		t.Errorf("bytes that are not committed were read: %+v", r)
	}
	w.Flushed(2)
	w.wantCode(first, kafka.ErrNone)
	w.wantWaiting(second)
	w.Flushed(3)
	w.wantCode(second, kafka.ErrNone)
	if o := w.Offsets(); o.HighWatermark != 3 || o.Durable != 3 {
		t.Errorf("%+v", o)
	}
}

// TestAppend_OldEpochIsNeverCommitted: whoever waited in an epoch that ended is
// told so, whatever is flushed later.
func TestAppend_OldEpochIsNeverCommitted(t *testing.T) {
	for name, end := range map[string]func(*world){
		"a new epoch":           func(w *world) { w.lead(2) },
		"resigned":              func(w *world) { w.Resign() },
		"resigned and led anew": func(w *world) { w.Resign(); w.lead(3) },
	} {
		w := newWorld(t, nil)
		isr, local := w.append(partition.WaitISR, nil, "a"), w.append(partition.WaitLocal, nil, "b")
		reader := purgatory.New(1, func() {})
		if !w.AwaitData(0, reader) {
			t.Fatalf("%s: a reader was not parked", name)
		}
		end(w)
		if !reader.Done() {
			t.Errorf("%s: a parked reader was not woken", name)
		}
		w.storage.flush() // the flush of the old epoch's bytes comes late
		w.wantCode(isr, kafka.ErrNotLeaderOrFollower)
		w.wantCode(local, kafka.ErrNotLeaderOrFollower)
	}
	w := newWorld(t, nil)
	p := w.append(partition.WaitISR, nil, "a")
	w.lead(1) // the same epoch again changes nothing
	w.wantWaiting(p)
}

// TestAppend_DuplicatesWaitForTheirCommit: a repetition gets the first offsets,
// and no sooner than the first one is safe.
func TestAppend_DuplicatesWaitForTheirCommit(t *testing.T) {
	w := newWorld(t, nil)
	producer := func(sequence kafka.Sequence) *record.Producer { return &record.Producer{ID: 7, BaseSequence: sequence} }
	first := w.append(partition.WaitISR, producer(0), "a", "b")
	other := w.append(partition.WaitISR, producer(2), "c")
	again := w.append(partition.WaitISR, producer(0), "a", "b")
	w.wantWaiting(again)
	if again.Receipt != first.Receipt {
		t.Errorf("repetition at %+v, first at %+v", again.Receipt, first.Receipt)
	}
	w.Flushed(2)
	w.wantCode(first, kafka.ErrNone)
	w.wantCode(again, kafka.ErrNone)
	w.wantWaiting(other)
	w.Flushed(3)
	w.wantCode(other, kafka.ErrNone)
	if late := w.append(partition.WaitISR, producer(0), "a", "b"); late.Waiting || late.Code != 0 || late.Receipt.Base != 0 {
		t.Errorf("a repetition of what is committed: %+v", late.AppendResult)
	}
	w.wantCode(w.append(partition.WaitISR, producer(9), "x"), kafka.ErrOutOfOrderSequenceNumber)
	if o := w.Offsets(); o.LogEnd != 3 {
		t.Errorf("log end %d", o.LogEnd)
	}
}

// TestFailed_WakesEverybody: a directory that stops is told to all who wait, and
// nothing is taken afterwards; what was committed stays readable.
func TestFailed_WakesEverybody(t *testing.T) {
	w := newWorld(t, nil)
	safe := w.append(partition.WaitISR, nil, "safe")
	w.storage.flush()
	isr, local := w.append(partition.WaitISR, nil, "a"), w.append(partition.WaitLocal, nil, "b")
	reader := purgatory.New(1, func() {})
	w.AwaitData(1, reader)
	w.Failed(errors.New("planted"))
	w.Flushed(1) // nothing new
	w.wantCode(safe, kafka.ErrNone)
	w.wantCode(isr, kafka.ErrKafkaStorageError)
	w.wantCode(local, kafka.ErrKafkaStorageError)
	if !reader.Done() {
		t.Error("a reader was not woken")
	}
	w.wantCode(w.append(partition.WaitISR, nil, "c"), kafka.ErrKafkaStorageError)
	r := w.Read(partition.ReadRequest{MaxBytes: 1 << 20, MinOne: true, CurrentEpoch: -1, LastFetchedEpoch: -1, Replica: -1})
	if r.Code != 0 || r.Range.Base != 0 || r.Range.End != 1 {
		t.Errorf("reading what was committed: %+v", r)
	}
}

func TestAppend_Refusals(t *testing.T) {
	w := newWorld(t, nil)
	w.storage.full = true
	w.wantCode(w.append(partition.WaitISR, nil, "a"), kafka.ErrNotEnoughReplicas)
	w.storage.full, w.storage.err = false, errors.New("planted")
	w.wantCode(w.append(partition.WaitISR, nil, "a"), kafka.ErrKafkaStorageError)
	w.storage.err = nil
	w.Resign()
	w.wantCode(w.append(partition.WaitISR, nil, "a"), kafka.ErrNotLeaderOrFollower)
	if end := w.Log().End(); end != 0 {
		t.Errorf("a refused batch is in the log: end %d", end)
	}
}

// TestMinISR: below min.insync.replicas acks=all is refused before and after the
// append, and the high watermark stands still.
func TestMinISR(t *testing.T) {
	w := newWorld(t, nil)
	waiting := w.append(partition.WaitISR, nil, "a")
	w.minISR(2, 1)
	w.wantCode(w.append(partition.WaitISR, nil, "b"), kafka.ErrNotEnoughReplicas)
	w.storage.flush()
	w.wantWaiting(waiting)
	if code := w.Outcome(waiting.Receipt, partition.WaitISR); code != kafka.ErrNotEnoughReplicasAfterAppend {
		t.Errorf("after its deadline the append is answered %d", code)
	}
	local := w.append(partition.WaitLocal, nil, "c") // acks=1 under acks.policy=allow asks for no others
	w.storage.flush()
	w.wantCode(local, kafka.ErrNone)
	if o := w.Offsets(); o.HighWatermark != 0 || o.Durable != 2 {
		t.Errorf("%+v", o)
	}
	w.minISR(1, 2)
	w.wantCode(waiting, kafka.ErrNone)
	if o := w.Offsets(); o.HighWatermark != 2 {
		t.Errorf("%+v", o)
	}
}

// TestPageCache: a topic in page-cache mode is committed at once and never waits
// for a flush; when the mode ends, it does again.
func TestPageCache(t *testing.T) {
	w := newWorld(t, func(c *config.Topic, _ *partition.Options) { c.Durability = config.DurabilityPageCache })
	for _, wait := range []partition.Wait{partition.WaitNone, partition.WaitLocal, partition.WaitISR} {
		w.wantCode(w.append(wait, nil, "a"), kafka.ErrNone)
	}
	if o := w.Offsets(); o.HighWatermark != 3 || o.Durable != 0 || len(w.storage.ends) != 0 {
		t.Errorf("%+v, submitted %v", o, w.storage.ends)
	}
	w.lead(2) // with a high watermark above the durable end
	strict := *w.Config()
	strict.Durability = config.DurabilityFsync
	w.SetConfig(&strict)
	p := w.append(partition.WaitISR, nil, "b")
	w.wantWaiting(p)
	w.storage.flush()
	w.wantCode(p, kafka.ErrNone)
	if o := w.Offsets(); o.Durable != 4 {
		t.Errorf("%+v", o)
	}
}

// stored reads back what is in the log, whole.
func (w *world) stored() (headers []record.Header, values []string) {
	w.t.Helper()
	w.storage.flush()
	r := w.Read(partition.ReadRequest{MaxBytes: 1 << 20, MinOne: true, CurrentEpoch: -1, LastFetchedEpoch: -1, Replica: -1})
	if r.Code != 0 || r.Range.Source == nil {
		w.t.Fatalf("%+v", r)
	}
	defer r.Range.Source.Release()
	b := make([]byte, r.Range.Length)
	if _, err := r.Range.Source.ReadAt(b, r.Range.Position); err != nil {
		w.t.Fatal(err)
	}
	for len(b) > 0 {
		h, err := record.ParseHeader(b)
		if err == nil {
			err = record.Verify(b[:h.Size()])
		}
		if err == nil {
			err = record.Iterate(b[:h.Size()], 1<<20, func(r record.Record) error {
				values = append(values, string(r.Value))
				return nil
			})
		}
		if err != nil {
			w.t.Fatal(err)
		}
		headers, b = append(headers, h), b[h.Size():]
	}
	return headers, values
}

// TestCompressionType: a topic's own codec is given to what producers send in
// another, with every record and the idempotence intact.
func TestCompressionType(t *testing.T) {
	for _, codec := range []config.CompressionType{config.CompressionNone, config.CompressionGzip, config.CompressionSnappy, config.CompressionLZ4, config.CompressionZstd} {
		w := newWorld(t, func(c *config.Topic, _ *partition.Options) { c.CompressionType, c.CompressionLevel = codec, 1 })
		p := w.append(partition.WaitISR, &record.Producer{ID: 7}, "a", "b", "c")
		if p.Code != 0 {
			t.Fatalf("%s: %+v", codec, p.AppendResult)
		}
		w.append(partition.WaitISR, nil, "d")
		again := w.append(partition.WaitISR, &record.Producer{ID: 7}, "a", "b", "c")
		if again.Receipt.Base != 0 || again.Receipt.End != 3 {
			t.Errorf("%s: a repetition at %+v", codec, again.Receipt)
		}
		headers, values := w.stored()
		if !slices.Equal(values, []string{"a", "b", "c", "d"}) || headers[1].BaseOffset != 3 || headers[0].LeaderEpoch != 1 {
			t.Errorf("%s: %v, %+v", codec, values, headers)
		}
		if got := headers[0].Attributes.Compression(); got != record.Codec(codec) {
			t.Errorf("stored with codec %d, want %s", got, codec)
		}
	}
}

// TestLogAppendTime: the broker's clock is in the batch and in the answer, also
// in the answer to a repetition.
func TestLogAppendTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, codec := range []config.CompressionType{config.CompressionProducer, config.CompressionZstd} {
			w := newWorld(t, func(c *config.Topic, _ *partition.Options) { c.LogAppendTime, c.CompressionType = true, codec })
			now := kafka.Timestamp(time.Now().UnixMilli())
			p := w.append(partition.WaitISR, &record.Producer{ID: 7}, "a")
			<-time.After(time.Second)
			again := w.append(partition.WaitISR, &record.Producer{ID: 7}, "a")
			headers, _ := w.stored()
			if p.AppendTime != now || again.AppendTime != now || headers[0].MaxTimestamp != now || !headers[0].Attributes.LogAppendTime() {
				t.Errorf("now %d, answered %d and %d, stored %+v", now, p.AppendTime, again.AppendTime, headers[0])
			}
		}
	})
	w := newWorld(t, nil)
	if p := w.append(partition.WaitISR, nil, "a"); p.AppendTime != kafka.NoTimestamp {
		t.Errorf("append time %d in a topic with the producer's times", p.AppendTime)
	}
}

// TestFaults: each planted fault does what it says, or the rigs that rely on it
// prove nothing.
func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(_ *config.Topic, o *partition.Options) { o.Faults.AckBeforeWrite = true })
		producer := func(s kafka.Sequence) *record.Producer { return &record.Producer{ID: 7, BaseSequence: s} }
		for i := range 5 {
			p := w.append(partition.WaitISR, producer(kafka.Sequence(i)), string(rune('a'+i)))
			if p.Waiting || p.Code != 0 || p.Receipt.Base != kafka.Offset(i) || w.Log().End() != 0 {
				t.Errorf("append %d: %+v, log end %d", i, p.AppendResult, w.Log().End())
			}
		}
		<-time.After(time.Second)
		synctest.Wait()
		if _, values := w.stored(); !slices.Equal(values, []string{"a", "b", "c", "d", "e"}) {
			t.Errorf("stored later: %v", values)
		}
	})
	right := newWorld(t, nil)
	right.append(partition.WaitISR, &record.Producer{ID: 7}, "a")
	right.append(partition.WaitISR, &record.Producer{ID: 7, BaseSequence: 1}, "b")
	for i, forget := range []bool{false, true} { // in this order: the log is one
		want := kafka.Offset(2 + i)
		p := partition.New(partition.Options{Topic: "t", Self: 1, Log: right.Log(), Storage: right.storage, Clock: clock.Real{},
			Config: right.Config(), Faults: partition.Faults{ForgetProducers: forget}})
		w := &world{Partition: p, t: t, storage: right.storage}
		w.lead(2)
		w.append(partition.WaitISR, &record.Producer{ID: 7, BaseSequence: 1}, "b")
		if end := w.Log().End(); end != want {
			t.Errorf("forget %v: a repetition leaves the log end at %d, want %d", forget, end, want)
		}
	}
}
