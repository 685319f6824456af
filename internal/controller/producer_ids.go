package controller

import (
	"math"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// ProducerIDsPerBlock is how many ids one allocation hands out (KIP-730). What a
// broker has not used when it ends is lost; there are enough.
const ProducerIDsPerBlock = 1000

func (c AllocateProducerIDs) decide(d *decision) (Reply, error) {
	b := d.image.Broker(c.Broker)
	if b == nil {
		return Reply{}, refuse(kafka.ErrBrokerIDNotRegistered, "broker %d is not registered", c.Broker)
	}
	if b.Epoch != c.Epoch {
		return Reply{}, refuse(kafka.ErrStaleBrokerEpoch, "broker %d is registered with epoch %d, not %d", c.Broker, b.Epoch, c.Epoch)
	}
	first := d.image.ProducerIDs().Next
	if first > math.MaxInt64-ProducerIDsPerBlock {
		return Reply{}, refuse(kafka.ErrUnknownServerError, "every producer id was handed out")
	}
	d.emit(&meta.ProducerIDs{Next: first + ProducerIDsPerBlock, Broker: c.Broker, Epoch: c.Epoch})
	return Reply{ProducerIDs: ProducerIDBlock{First: first, Count: ProducerIDsPerBlock}}, nil
}
