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
		w.mustDo(registration(id+1, 1))
	}
	return w
}

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
		Directories: []kafka.DirectoryID{directory(id)},
		Endpoints:   []meta.Endpoint{{Listener: "PLAINTEXT", Host: fmt.Sprintf("host%d", id), Port: 9092}}}
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
