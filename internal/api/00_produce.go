package api

// Produce, key 0, versions 3 to 13 (0 is advertised and refused).
//
//	3  record batches of magic 2, transactional id
//	8  per-record errors and a message (KIP-467)
//	9  flexible
//	10 the current leader in the reply (KIP-951)
//	13 topic ids instead of names (KIP-516)
//
// Deviations from Apache Kafka: acks=1 is answered like acks=all unless the
// topic's acks.policy says otherwise; an acknowledgement always means stable
// storage; a full disk answers NOT_ENOUGH_REPLICAS and recovers.

import (
	"time"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/partition"
	"holdfast/internal/purgatory"
	"holdfast/internal/record"
	"holdfast/internal/wire"
)

// producing is a produce request whose records are in the log and not all safe
// yet.
type producing struct {
	a        *API
	request  Request
	waiter   *purgatory.Waiter
	deadline time.Time
	response wire.ProduceResponse
	parked   []parkedAppend
}

// parkedAppend ties a place in the response to the append that it waits for.
type parkedAppend struct {
	topic, index int
	partition    *partition.Partition
	receipt      partition.Receipt
	wait         partition.Wait
}

func (a *API) produce(r *Request) (*Reply, Pending) {
	q := wire.NewProduceRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	if q.Acks < -1 || q.Acks > 1 {
		return a.produceRefused(r, &q, kafka.ErrInvalidRequiredAcks), nil
	}
	if q.TransactionID != nil {
		// No transaction coordinator exists yet, so nobody can hold a valid
		// transactional id.
		return a.produceRefused(r, &q, kafka.ErrTransactionalIDAuthorizationFailed), nil
	}
	p := &producing{a: a, request: Request{Conn: r.Conn, Received: r.Received, Header: r.Header}}
	p.deadline = r.Received.Add(time.Duration(max(0, q.TimeoutMillis)) * time.Millisecond)
	if q.Acks != 0 {
		p.waiter = purgatory.New(1+countPartitions(&q), r.Conn.Wake)
	}
	if closeConn := p.appendAll(&q); closeConn {
		return dropReply(), nil
	}
	if q.Acks == 0 {
		return silentReply(), nil
	}
	p.waiter.Arrive()
	if reply, ok := p.Finish(false); ok {
		return reply, nil
	}
	return nil, p
}

func countPartitions(q *wire.ProduceRequest) int {
	n := 0
	for i := range q.Topics {
		n += len(q.Topics[i].Partitions)
	}
	return n
}

// appendAll appends every batch of the request. It reports whether the
// connection has to be closed: acks=0 leaves no other way to say no.
func (p *producing) appendAll(q *wire.ProduceRequest) (closeConn bool) {
	p.response.Topics = make([]wire.ProduceResponseTopic, len(q.Topics))
	for i := range q.Topics {
		t := &q.Topics[i]
		out := &p.response.Topics[i]
		out.Topic, out.TopicID = t.Topic, t.TopicID
		out.Partitions = make([]wire.ProduceResponseTopicPartition, len(t.Partitions))
		for j := range t.Partitions {
			result, waits := p.appendOne(q.Acks, t, &t.Partitions[j])
			if p.waiter != nil && !waits.waiting {
				p.waiter.Arrive()
			}
			if waits.waiting {
				waits.topic, waits.index = i, j
				p.parked = append(p.parked, waits.parkedAppend)
			}
			out.Partitions[j] = result
			closeConn = closeConn || (q.Acks == 0 && refusedForGood(kafka.ErrorCode(result.ErrorCode)))
		}
	}
	return closeConn
}

// refusedForGood: a client that wants no reply must learn about these, because
// going on would lose everything it sends. One that asks the wrong broker looks for
// the right one when its connection ends.
func refusedForGood(code kafka.ErrorCode) bool {
	switch code {
	case kafka.ErrNone:
		return false
	case kafka.ErrInvalidRequiredAcks, kafka.ErrNotLeaderOrFollower, kafka.ErrUnknownTopicOrPartition, kafka.ErrUnknownTopicID:
		return true
	}
	return !code.Retriable()
}

type appendWait struct {
	parkedAppend
	waiting bool
}

func (p *producing) appendOne(acks int16, t *wire.ProduceRequestTopic, in *wire.ProduceRequestTopicPartition) (wire.ProduceResponseTopicPartition, appendWait) {
	var out wire.ProduceResponseTopicPartition
	out.Default()
	out.Partition, out.BaseOffset = in.Partition, -1
	part, code := p.find(t, in.Partition)
	if code != kafka.ErrNone {
		out.ErrorCode = int16(code)
		return out, appendWait{}
	}
	rule := acksPolicy(part.Config().AcksPolicy, acks)
	if rule.refuse {
		out.ErrorCode = int16(kafka.ErrInvalidRequiredAcks)
		return out, appendWait{}
	}
	if acks != -1 {
		p.a.noteWeakAcks(&p.request, part.Topic(), acks, rule.warn)
	}
	if least := p.request.Received.Add(rule.atLeast); rule.atLeast > 0 && p.deadline.Before(least) {
		p.deadline = least
	}
	res := part.Append(partition.AppendRequest{Records: in.Records, Asked: acks, Wait: rule.wait, Waiter: p.waiter})
	if res.Code != kafka.ErrNone {
		out.ErrorCode = int16(res.Code)
		if res.Message != "" {
			out.ErrorMessage = &res.Message
		}
		out.ErrorRecords = errorRecords(res.Records)
		return out, appendWait{}
	}
	out.BaseOffset, out.LogAppendTime, out.LogStartOffset = int64(res.Receipt.Base), int64(res.AppendTime), int64(res.LogStart)
	return out, appendWait{waiting: res.Waiting, parkedAppend: parkedAppend{partition: part, receipt: res.Receipt, wait: rule.wait}}
}

func errorRecords(in []record.RecordError) []wire.ProduceResponseTopicPartitionErrorRecord {
	out := make([]wire.ProduceResponseTopicPartitionErrorRecord, len(in))
	for i, e := range in {
		out[i].RelativeOffset = e.Index
		if e.Message != "" {
			out[i].ErrorMessage = &e.Message
		}
	}
	return out
}

// find looks the partition up by id or by name, and asks whether the client may
// write to it.
func (p *producing) find(t *wire.ProduceRequestTopic, index int32) (*partition.Partition, kafka.ErrorCode) {
	var part *partition.Partition
	code := kafka.ErrNone
	if p.request.Header.Version >= 13 {
		part, code = p.a.byID(t.TopicID, index)
	} else {
		part, code = p.a.byName(t.Topic, index)
	}
	if code != kafka.ErrNone {
		return nil, code
	}
	if !p.a.authorize(p.request.Conn.Principal, opWrite, topicResource(part.Topic())) {
		return nil, kafka.ErrTopicAuthorizationFailed
	}
	if isInternal(part.Topic()) {
		return nil, kafka.ErrInvalidTopicException // only the coordinators write there
	}
	return part, kafka.ErrNone
}

// Finish implements Pending.
func (p *producing) Finish(expired bool) (*Reply, bool) {
	if !p.waiter.Done() && !expired {
		return nil, false
	}
	p.waiter.Finish()
	for _, w := range p.parked {
		if code := w.partition.Outcome(w.receipt, w.wait); code != kafka.ErrNone {
			out := &p.response.Topics[w.topic].Partitions[w.index]
			out.ErrorCode, out.BaseOffset = int16(code), -1
			p.a.fail(&p.request)
		}
	}
	if p.request.Header.Version >= 10 {
		p.hint()
	}
	return respond(&p.request, &p.response), true
}

// hint says who leads what this broker does not (KIP-951).
func (p *producing) hint() {
	var h hints
	for i := range p.response.Topics {
		t := &p.response.Topics[i]
		for j := range t.Partitions {
			out := &t.Partitions[j]
			if out.ErrorCode != int16(kafka.ErrNotLeaderOrFollower) {
				continue
			}
			if h.image == nil {
				h = p.a.newHints(p.request.Conn)
			}
			known := noHint
			if index := kafka.PartitionIndex(out.Partition); p.request.Header.Version >= 13 {
				known = h.byID(t.TopicID, index)
			} else {
				known = h.byName(t.Topic, index)
			}
			out.CurrentLeader.LeaderID, out.CurrentLeader.LeaderEpoch = int32(known.leader), int32(known.epoch)
		}
	}
	h.each(func(id kafka.BrokerID, e meta.Endpoint, rack *string) {
		p.response.Brokers = append(p.response.Brokers, wire.ProduceResponseBroker{NodeID: int32(id), Host: e.Host, Port: e.Port, Rack: rack})
	})
}

// Deadline implements Pending.
func (p *producing) Deadline() time.Time { return p.deadline }

// Abandon implements Pending.
func (p *producing) Abandon() { p.waiter.Finish() }

// Holds implements Pending: the records are in the log.
func (p *producing) Holds() bool { return false }

// Idle implements Pending.
func (p *producing) Idle() bool { return false }

// produceRefused answers every partition of a request with one code.
func (a *API) produceRefused(r *Request, q *wire.ProduceRequest, code kafka.ErrorCode) *Reply {
	a.fail(r)
	if q.Acks == 0 {
		return dropReply()
	}
	var out wire.ProduceResponse
	for i := range q.Topics {
		t := wire.ProduceResponseTopic{Topic: q.Topics[i].Topic, TopicID: q.Topics[i].TopicID}
		for j := range q.Topics[i].Partitions {
			var part wire.ProduceResponseTopicPartition
			part.Default()
			part.Partition, part.ErrorCode, part.BaseOffset = q.Topics[i].Partitions[j].Partition, int16(code), -1
			t.Partitions = append(t.Partitions, part)
		}
		out.Topics = append(out.Topics, t)
	}
	return respond(r, &out)
}
