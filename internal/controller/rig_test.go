package controller_test

import (
	"fmt"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

var defaults = config.Default()

// world is an image with somebody who decides on it, and applies at once.
type world struct {
	t      testing.TB
	image  *meta.Image
	config *config.Broker
	drawn  int // identities so far
}

func newWorld(t testing.TB, brokers int) *world {
	w := &world{t: t, image: meta.Empty(), config: defaults}
	w.apply(controller.Found(kafka.ClusterID{1}))
	for id := range brokers {
		w.join(registration(id+1, 1))
	}
	return w
}

// join registers an incarnation and unfences it as soon as it has caught up.
func (w *world) join(r controller.RegisterBroker) controller.Reply {
	w.t.Helper()
	reply := w.mustDo(r)
	w.heartbeat(int(r.ID))
	return reply
}

func (w *world) heartbeat(id int) controller.HeartbeatResult {
	w.t.Helper()
	return w.mustDo(controller.Heartbeat{Broker: kafka.BrokerID(id), Epoch: w.epoch(id), Applied: w.image.Offset()}).Heartbeat
}

func (w *world) fence(id int) {
	w.t.Helper()
	w.mustDo(controller.FenceBroker{Broker: kafka.BrokerID(id), Epoch: w.epoch(id), Reason: "test"})
}

func (w *world) epoch(id int) kafka.BrokerEpoch { return w.image.Broker(kafka.BrokerID(id)).Epoch }

// propose is what the leader of the topic's first partition asks for.
func (w *world) propose(topic string, isr ...int) controller.AlterISR {
	t := w.image.TopicByName(topic)
	return proposal(w.image, t, t.Partitions[0], isr...)
}

func proposal(i *meta.Image, t *meta.Topic, p meta.Partition, isr ...int) controller.AlterISR {
	c := controller.ISRChange{TopicID: t.ID, Partition: p.Index, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch}
	for _, id := range isr {
		c.ISR = append(c.ISR, controller.Member{ID: kafka.BrokerID(id), Epoch: i.Broker(kafka.BrokerID(id)).Epoch})
	}
	out := controller.AlterISR{Broker: p.Leader, Changes: []controller.ISRChange{c}}
	if b := i.Broker(p.Leader); b != nil {
		out.Epoch = b.Epoch
	}
	return out
}

func (w *world) mustISR(topic string, isr ...int) {
	w.t.Helper()
	for _, r := range w.mustDo(w.propose(topic, isr...)).ISR {
		if r.Code != kafka.ErrNone {
			w.t.Fatalf("isr of %s to %v: %s: %s", topic, isr, r.Code, r.Message)
		}
	}
}

// first is the first partition of a topic.
func (w *world) first(topic string) meta.Partition { return w.image.TopicByName(topic).Partitions[0] }

func (w *world) inputs() controller.Inputs {
	return controller.Inputs{Now: 1000, Config: w.config, NewID: func() kafka.UUID {
		w.drawn++
		return kafka.UUID{0: 0x10, 14: byte(w.drawn >> 8), 15: byte(w.drawn)}
	}}
}

func (w *world) apply(records []meta.Record) {
	w.t.Helper()
	next, _, err := w.image.Apply(w.image.Offset()+1, records)
	if err != nil {
		w.t.Fatalf("decided records do not apply: %v", err)
	}
	w.image = next
}

// do decides and applies.
func (w *world) do(command controller.Command) (controller.Reply, error) {
	w.t.Helper()
	before := w.image.String()
	records, reply, err := controller.Decide(w.image, w.inputs(), command)
	if w.image.String() != before {
		w.t.Fatalf("%T changed the image", command)
	}
	if err != nil {
		if len(records) > 0 {
			w.t.Fatalf("%T: refused, with records", command)
		}
		return reply, err
	}
	if len(records) == 0 {
		return reply, nil
	}
	w.apply(records)
	return reply.At(w.image.Offset()), nil
}

func (w *world) mustDo(command controller.Command) controller.Reply {
	w.t.Helper()
	reply, err := w.do(command)
	if err != nil {
		w.t.Fatalf("%T: %v", command, err)
	}
	for _, r := range reply.Topics {
		if r.Code != kafka.ErrNone {
			w.t.Fatalf("%T: topic %s: %s: %s", command, r.Name, r.Code, r.Message)
		}
	}
	for _, r := range reply.Configs {
		if r.Code != kafka.ErrNone {
			w.t.Fatalf("%T: %s: %s: %s", command, r.Resource, r.Code, r.Message)
		}
	}
	return reply
}

// registration is the n-th start of a broker whose directory has its id.
func registration(id, start int) controller.RegisterBroker {
	return controller.RegisterBroker{ID: kafka.BrokerID(id), Incarnation: kafka.UUID{byte(id), byte(start)}, Starts: uint64(start),
		Directories: []kafka.DirectoryID{directory(id)}, PreviousEpoch: -1, Features: meta.FeatureLevelMax,
		Endpoints: []meta.Endpoint{{Listener: "PLAINTEXT", Host: fmt.Sprintf("host%d", id), Port: 9092}}}
}

func directory(n int) kafka.DirectoryID { return kafka.DirectoryID{0xd1, byte(n)} }

func topic(name string, partitions, factor int, settings ...string) controller.NewTopic {
	t := controller.NewTopic{Name: name, Partitions: partitions, ReplicationFactor: factor}
	for i := 0; i+1 < len(settings); i += 2 {
		t.Configs = append(t.Configs, controller.Setting{Key: settings[i], Value: &settings[i+1]})
	}
	return t
}

func create(topics ...controller.NewTopic) controller.CreateTopics {
	return controller.CreateTopics{Topics: topics}
}

func change(r meta.Resource, op controller.ConfigOp, key, value string) controller.AlterConfigs {
	c := controller.ConfigChange{Key: key, Op: op, Value: &value}
	if op == controller.ConfigDelete {
		c.Value = nil
	}
	return controller.AlterConfigs{Resources: []controller.ResourceChange{{Resource: r, Changes: []controller.ConfigChange{c}}}}
}
