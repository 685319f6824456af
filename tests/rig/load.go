package rig

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/internal/kafka"
	"holdfast/tests/history"
)

// WriterSpec is one producer of a load.
type WriterSpec struct {
	Name     string
	AcksOne  bool // acks=1 without idempotence, one request at a time; otherwise acks=all with idempotence
	Topics   []Topic
	SizeMin  int // of a value, in bytes
	SizeMax  int
	Window   int // records that may be without an answer
	Pace     time.Duration
	Linger   time.Duration
	Timeout  time.Duration // of one request, after which another broker is asked; 0: 5 s and the client's own slack
	Compress kgo.CompressionCodec
}

// Load is a set of writers and one tail reader that run through every accident
// and never give up.
type Load struct {
	addr    string
	topics  []Topic
	ledger  *Ledger
	writers []*writer
	cancel  context.CancelFunc
	running sync.WaitGroup
	paused  atomic.Bool

	mu       sync.Mutex
	complain []string // answers that a producer took for final
}

type writer struct {
	spec   WriterSpec
	client *kgo.Client
	id     history.Writer
	rng    *rand.Rand
	parked atomic.Bool
}

// StartLoad starts the writers against topics that exist. Stop ends it.
func StartLoad(tb testing.TB, addr string, ledger *Ledger, seed uint64, specs []WriterSpec) *Load {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &Load{addr: addr, ledger: ledger, cancel: cancel}
	seen := map[string]bool{}
	for i, s := range specs {
		w := &writer{spec: s, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		ledger.Do(func(c *history.Checker) { w.id = c.AddWriter(!s.AcksOne) })
		w.client = NewClient(tb, addr, w.options()...)
		l.writers = append(l.writers, w)
		for _, t := range s.Topics {
			if !seen[t.Name] {
				seen[t.Name] = true
				l.topics = append(l.topics, t)
			}
		}
	}
	for _, w := range l.writers {
		l.running.Go(func() { l.write(ctx, w) })
	}
	tail := NewClient(tb, addr, kgo.ConsumePartitions(startOf(l.topics)), kgo.FetchMaxWait(200*time.Millisecond))
	l.running.Go(func() { l.tail(ctx, tail) })
	l.running.Go(func() { l.watchEnds(ctx, kadm.NewClient(tail)) })
	return l
}

func (w *writer) options() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(w.spec.Window),
		kgo.ProducerLinger(w.spec.Linger),
		kgo.ProducerBatchCompression(w.spec.Compress),
		kgo.ProduceRequestTimeout(5 * time.Second),
	}
	if w.spec.Timeout > 0 {
		opts = append(opts, kgo.ProduceRequestTimeout(w.spec.Timeout), kgo.RequestTimeoutOverhead(w.spec.Timeout))
	}
	if w.spec.AcksOne {
		return append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	}
	return opts
}

// write sends until the context ends. It parks while the load is paused.
func (l *Load) write(ctx context.Context, w *writer) {
	for ctx.Err() == nil {
		if l.paused.Load() {
			w.parked.Store(true)
			wait(ctx, time.Millisecond)
			continue
		}
		w.parked.Store(false)
		l.send(ctx, w)
		if w.spec.Pace > 0 {
			wait(ctx, w.spec.Pace)
		}
	}
}

func (l *Load) send(ctx context.Context, w *writer) {
	t := w.spec.Topics[w.rng.IntN(len(w.spec.Topics))]
	tp := kafka.TopicPartition{Topic: t.Name, Partition: kafka.PartitionIndex(w.rng.Int32N(t.Partitions))}
	size := w.spec.SizeMin
	if more := w.spec.SizeMax - w.spec.SizeMin; more > 0 {
		size += w.rng.IntN(more)
	}
	var v history.Value
	l.ledger.Do(func(c *history.Checker) { v = c.Invoke(w.id, tp) })
	value := make([]byte, size)
	v.Encode(value)
	w.client.Produce(ctx, &kgo.Record{Topic: tp.Topic, Partition: int32(tp.Partition), Value: value}, func(r *kgo.Record, err error) {
		switch {
		case err == nil:
			l.ledger.Acknowledge(v, r.Offset)
		case ctx.Err() == nil:
			l.complaint(fmt.Sprintf("%s gave up on %s of %s: %v", w.spec.Name, v, tp, err))
		}
	})
}

// tail reads everything as it comes, as a consumer that lives through the
// accidents would: what it was shown must still be there afterwards.
func (l *Load) tail(ctx context.Context, cl *kgo.Client) {
	reader := l.ledger.NewReader()
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		l.ledger.Do(func(c *history.Checker) {
			fetches.EachRecord(func(r *kgo.Record) {
				tp := kafka.TopicPartition{Topic: r.Topic, Partition: kafka.PartitionIndex(r.Partition)}
				if v, err := history.Decode(r.Value); err != nil {
					c.PollCorrupt(reader, tp, kafka.Offset(r.Offset), err)
				} else {
					c.Poll(reader, tp, kafka.Offset(r.Offset), v)
				}
			})
		})
	}
}

// watchEnds asks for end offsets all the time: an answer must cover whatever
// was acknowledged before the question.
func (l *Load) watchEnds(ctx context.Context, adm *kadm.Client) {
	for ctx.Err() == nil {
		floors := map[kafka.TopicPartition]kafka.Offset{}
		l.ledger.Do(func(c *history.Checker) {
			for _, tp := range partitionsOf(l.topics) {
				floors[tp] = c.Acknowledged(tp)
			}
		})
		ends, err := adm.ListEndOffsets(ctx, namesOf(l.topics)...)
		if err == nil {
			l.ledger.Do(func(c *history.Checker) {
				ends.Each(func(o kadm.ListedOffset) {
					tp := kafka.TopicPartition{Topic: o.Topic, Partition: kafka.PartitionIndex(o.Partition)}
					if o.Err == nil {
						c.EndOffset(tp, kafka.Offset(o.Offset), floors[tp])
					}
				})
			})
		}
		wait(ctx, 20*time.Millisecond)
	}
}

// Pause stops new sends and waits at most d until every record has its answer.
func (l *Load) Pause(d time.Duration) error {
	l.paused.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	for _, w := range l.writers {
		for !w.parked.Load() {
			if ctx.Err() != nil {
				return fmt.Errorf("pause the load: %s is stuck in a send after %v", w.spec.Name, d)
			}
			wait(ctx, time.Millisecond)
		}
		if err := w.client.Flush(ctx); err != nil {
			return fmt.Errorf("pause the load: %s waits for %d answers after %v", w.spec.Name, w.client.BufferedProduceRecords(), d)
		}
	}
	return nil
}

// Resume lets the writers go on.
func (l *Load) Resume() { l.paused.Store(false) }

// WaitAcks waits at most d until n more records are acknowledged.
func (l *Load) WaitAcks(n int64, d time.Duration) error {
	goal := l.ledger.Acks() + n
	for deadline := time.Now().Add(d); l.ledger.Acks() < goal; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d acknowledgements within %v", n-(goal-l.ledger.Acks()), n, d)
		}
	}
	return nil
}

// Complaints are the answers that a producer took for final. There are none
// unless the broker refuses what it must accept.
func (l *Load) Complaints() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.complain...)
}

func (l *Load) complaint(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.complain) < 20 {
		l.complain = append(l.complain, s)
	}
}

// Stop ends the writers and readers. It may be called twice.
func (l *Load) Stop() {
	l.cancel()
	for _, w := range l.writers {
		w.client.Close()
	}
	l.running.Wait()
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func startOf(topics []Topic) map[string]map[int32]kgo.Offset {
	m := map[string]map[int32]kgo.Offset{}
	for _, t := range topics {
		m[t.Name] = map[int32]kgo.Offset{}
		for p := range t.Partitions {
			m[t.Name][p] = kgo.NewOffset().At(0)
		}
	}
	return m
}

func partitionsOf(topics []Topic) []kafka.TopicPartition {
	var out []kafka.TopicPartition
	for _, t := range topics {
		for p := range t.Partitions {
			out = append(out, kafka.TopicPartition{Topic: t.Name, Partition: kafka.PartitionIndex(p)})
		}
	}
	return out
}

func namesOf(topics []Topic) []string {
	var out []string
	for _, t := range topics {
		out = append(out, t.Name)
	}
	return out
}
