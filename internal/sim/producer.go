package sim

import (
	"bytes"
	"fmt"
	"time"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/partition"
	"holdfast/internal/purgatory"
	"holdfast/internal/record"
)

const topicName = "user_access_log_topic"

// workload is what clients do.
type workload struct {
	w         *World
	topic     kafka.TopicID
	producers []*producer
	consumers []*consumer
	lastAck   time.Duration
}

func newWorkload(w *World) *workload {
	l := &workload{w: w}
	w.after(300*time.Millisecond, l.makeTopic)
	return l
}

// isBusy reports whether somebody writes, or just did.
func (l *workload) isBusy() bool {
	return len(l.producers) > 0 && l.w.now-l.lastAck < 500*time.Millisecond
}

// makeTopic asks for the topic until it is there, then clients come.
func (l *workload) makeTopic() {
	n := l.w.someNode()
	if n == nil {
		l.w.after(100*time.Millisecond, l.makeTopic)
		return
	}
	if t := n.quorum.Image().TopicByName(topicName); t != nil {
		l.topic = t.ID
		l.begin()
		return
	}
	size, minISR := fmt.Sprint(l.w.plan.segmentBytes), fmt.Sprint(l.w.plan.minISR)
	n.submit(controller.CreateTopics{Topics: []controller.NewTopic{{Name: topicName, Partitions: l.w.plan.partitions, ReplicationFactor: l.w.plan.replication,
		Configs: []controller.Setting{{Key: "segment.bytes", Value: &size}, {Key: "min.insync.replicas", Value: &minISR}}}}}, func(r controller.Reply, err error) {
		l.w.note("the topic: %+v %v", r.Topics, err)
		l.w.after(100*time.Millisecond, l.makeTopic)
	})
}

func (l *workload) begin() {
	l.lastAck = l.w.now
	for i := range l.w.plan.producers {
		p := &producer{l: l, pid: kafka.ProducerID(i + 1), partition: kafka.PartitionIndex(i % l.w.plan.partitions)}
		l.producers = append(l.producers, p)
		l.w.after(l.w.upTo(50*time.Millisecond), p.pump)
		l.w.after(l.w.upTo(50*time.Millisecond), p.write)
	}
	for i := range l.w.plan.partitions {
		c := &consumer{l: l, id: kafka.TopicIDPartition{TopicID: l.topic, Partition: kafka.PartitionIndex(i)}}
		l.consumers = append(l.consumers, c)
		l.w.after(l.w.upTo(50*time.Millisecond), c.poll)
	}
}

// believed is who leads a partition in which epoch, by the word of some node; nil:
// nobody knows.
func (l *workload) believed(id kafka.TopicIDPartition) (*node, kafka.LeaderEpoch) {
	n := l.w.someNode()
	if n == nil {
		return nil, kafka.NoLeaderEpoch
	}
	state, ok := n.quorum.Image().Partition(id)
	if !ok {
		return nil, kafka.NoLeaderEpoch
	}
	return l.w.node(state.Leader), state.LeaderEpoch
}

// producer is an idempotent producer of one partition. It never gives a batch up.
type producer struct {
	l         *workload
	pid       kafka.ProducerID
	partition kafka.PartitionIndex
	next      kafka.Sequence
	window    []*batch // from the first that is not acknowledged on
	leader    *node
}

// batch is what a producer wants to be there once.
type batch struct {
	sequence kafka.Sequence
	count    int32
	crc      uint32
	bytes    []byte
	asking   int // attempts under way
	idle     time.Duration
	done     bool
}

const (
	windowMax    = 5
	produceLimit = 1500 * time.Millisecond // the request's timeout
	produceGive  = 2 * time.Second         // the client's
	produceRetry = 60 * time.Millisecond
)

func (p *producer) id() kafka.TopicIDPartition {
	return kafka.TopicIDPartition{TopicID: p.l.topic, Partition: p.partition}
}

// write adds a batch to the window now and then.
func (p *producer) write() {
	w := p.l.w
	if w.healing {
		return
	}
	if len(p.window) < windowMax {
		p.window = append(p.window, p.build())
		p.pump()
	}
	w.after(w.upTo(2*w.plan.writeEvery), p.write)
}

func (p *producer) build() *batch {
	w := p.l.w
	b := &batch{sequence: p.next, count: 1 + w.r.Int32N(int32(2*w.plan.batchRecords))}
	builder := record.NewBuilder(record.Options{Producer: &record.Producer{ID: p.pid, BaseSequence: p.next}})
	size := 8 + w.r.IntN(60)
	if w.chance(50) {
		size, b.count = 4<<10, 1
	}
	value := bytes.Repeat([]byte{byte('a' + p.pid%26)}, size)
	for i := range b.count {
		builder.Append(kafka.Timestamp(epochOfWorld.UnixMilli()+w.now.Milliseconds()), nil, fmt.Appendf(value[:len(value):len(value)], "%d/%d", p.pid, p.next.Add(i)))
	}
	data, err := builder.Build(nil)
	if err != nil {
		w.find("a batch is not built: %v", err)
	}
	h, err := record.ParseHeader(data)
	if err != nil {
		w.find("a batch is not read: %v", err)
	}
	b.bytes, b.crc = data, h.CRC
	p.next = p.next.Add(b.count)
	w.check.sent(p, b)
	return b
}

// pump sends what waits, in order.
func (p *producer) pump() {
	w := p.l.w
	for _, b := range p.window {
		if !b.done && b.asking == 0 && b.idle <= w.now {
			p.send(b)
		}
	}
}

// produced is the broker's answer.
type produced struct {
	code    kafka.ErrorCode
	receipt partition.Receipt
}

func (p *producer) send(b *batch) {
	w := p.l.w
	if p.leader == nil || w.chance(100) {
		p.leader, _ = p.l.believed(p.id())
	}
	if p.leader == nil {
		p.again(b, produceRetry)
		return
	}
	b.asking++
	to := p.leader
	ask(w, rpc[produced]{to: to, limit: produceGive,
		handle: func(reply func(produced)) { to.produce(p.id(), bytes.Clone(b.bytes), reply) },
		done: func(a produced, ok bool) {
			b.asking--
			p.answered(b, to, a, ok)
		}})
}

func (p *producer) again(b *batch, pause time.Duration) {
	b.idle = p.l.w.now + pause
	p.l.w.after(pause, p.pump)
}

// answered takes an answer, or notes that there was none.
func (p *producer) answered(b *batch, to *node, a produced, ok bool) {
	w := p.l.w
	if ok && a.code == kafka.ErrNone {
		w.check.acked(p, b, to, a.receipt)
		p.l.lastAck = w.now
		b.done = true
		for len(p.window) > 0 && p.window[0].done {
			p.window = p.window[1:]
		}
		p.pump()
		return
	}
	if ok && !a.code.Retriable() && a.code != kafka.ErrOutOfOrderSequenceNumber && a.code != kafka.ErrKafkaStorageError {
		w.find("producer %d is told %d for its batch of sequence %d: no client would try that again", p.pid, a.code, b.sequence)
	}
	if !ok || a.code == kafka.ErrNotLeaderOrFollower || a.code == kafka.ErrKafkaStorageError || w.chance(3) {
		p.leader = nil
	}
	p.again(b, w.between(produceRetry/2, produceRetry))
}

// produce takes a batch of a client.
func (n *node) produce(id kafka.TopicIDPartition, data []byte, reply func(produced)) {
	r := n.replicas[id]
	if r == nil {
		reply(produced{code: kafka.ErrNotLeaderOrFollower})
		return
	}
	p := r.p
	var result partition.AppendResult
	var end func()
	began := n.w.now
	end = func() {
		code := p.Outcome(result.Receipt, partition.WaitISR)
		if n.w.plant.ackByOffset && code != kafka.ErrNone && n.w.now-began < produceLimit {
			if p.Offsets().HighWatermark < result.Receipt.End {
				n.after(20*time.Millisecond, end)
				return
			}
			code = kafka.ErrNone
		}
		reply(produced{code, result.Receipt})
	}
	waiter := purgatory.New(1, func() { n.after(0, end) })
	result = p.Append(partition.AppendRequest{Records: data, Asked: -1, Wait: partition.WaitISR, Waiter: waiter})
	if n.w.o.Trace != nil {
		n.w.note("%s appends: code %d, %+v", r, result.Code, result.Receipt)
	}
	if result.Code != kafka.ErrNone || !result.Waiting {
		reply(produced{result.Code, result.Receipt})
		return
	}
	n.after(produceLimit, func() { waiter.Finish() })
}
