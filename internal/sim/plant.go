package sim

import (
	"slices"

	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/partition"
	"holdfast/internal/quorum"
)

// plant is a fault built into the brokers: the checkers must find it.
type plant struct {
	text  string
	seeds int // within so many seeds
	// faults are the kinds that bring it out, where the seed's own choice seldom does.
	faults []string
	// What the broker does wrong.
	ackBeforeSync, believeProposal, believeAnswer, cutAtHighWatermark bool
	reportUnsynced, reportUnmatched, takeLateAnswer, ackByOffset      bool
	partition                                                         partition.Faults
	decide                                                            quorum.Decider
}

// Plants lists the names of planted faults, in order.
func Plants() (names []string) {
	for name := range plants {
		if name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// PlantText says what a planted fault is.
func PlantText(name string) string { return plants[name].text }

// PlantSeeds is within how many seeds the planted fault is found.
func PlantSeeds(name string) int { return plants[name].seeds }

var plants = map[string]plant{
	"":                      {},
	"ack-before-sync":       {text: "bytes are reported as durable before they are synced", seeds: 30, ackBeforeSync: true},
	"believe-proposal":      {text: "a leader takes the ISR that it proposes for the one in force", seeds: 100, believeProposal: true},
	"believe-answer":        {text: "a leader acts on the answer to its proposal before the metadata that it names", seeds: 400, believeAnswer: true},
	"cut-at-high-watermark": {text: "a replica cuts its log at its high watermark when it starts", seeds: 100, cutAtHighWatermark: true},
	"report-unsynced":       {text: "a follower reports what it has fetched as durable", seeds: 50, reportUnsynced: true},
	"report-unmatched":      {text: "a follower reports what it has not matched in this epoch", seeds: 200, faults: []string{"leader cut off", "delay", "loss"}, reportUnmatched: true},
	"take-late-answer":      {text: "a follower takes the answer of an earlier leader for one of this", seeds: 200, takeLateAnswer: true},
	"ack-by-offset":         {text: "an acknowledgement is keyed by its offset only", seeds: 400, ackByOffset: true},
	"ack-early":             {text: "a batch is acknowledged when the leader alone has it", seeds: 5, partition: partition.Faults{AckEarly: true}},
	"forget-producers":      {text: "the producers are not known again after a start", seeds: 50, partition: partition.Faults{ForgetProducers: true}},
	"elect-first":           {text: "the controller elects the first live replica of the list", seeds: 30, decide: electFirst},
}

// electFirst decides, and where a leader is elected, puts the first live replica in
// its place.
func electFirst(image *meta.Image, in controller.Inputs, command controller.Command) ([]meta.Record, controller.Reply, error) {
	records, reply, err := controller.Decide(image, in, command)
	out := slices.Clone(records)
	brokers := map[kafka.BrokerID]*meta.Broker{}
	for _, b := range image.Brokers() {
		brokers[b.ID] = b
	}
	for i, r := range out {
		switch r := r.(type) {
		case *meta.Broker:
			brokers[r.ID] = r
		case *meta.PartitionChange:
			if r.Fields&meta.SetLeader == 0 {
				continue
			}
			old, ok := image.Partition(kafka.TopicIDPartition{TopicID: r.TopicID, Partition: r.Index})
			if !ok {
				continue
			}
			out[i] = firstLive(old, r, brokers)
		}
	}
	return out, reply, err
}

func firstLive(old meta.Partition, r *meta.PartitionChange, brokers map[kafka.BrokerID]*meta.Broker) *meta.PartitionChange {
	next := *r
	isr, elr := old.ISR, old.ELR
	if r.Fields&meta.SetISR != 0 {
		isr = r.ISR
	}
	if r.Fields&meta.SetELR != 0 {
		elr = r.ELR
	}
	for _, id := range old.Replicas {
		if !brokers[id].IsLive() {
			continue
		}
		next.Leader = id
		next.Fields |= meta.SetISR | meta.SetELR
		next.ISR = slices.Clone(isr)
		if !slices.Contains(isr, id) {
			next.ISR = append(next.ISR, id)
		}
		next.ELR = slices.DeleteFunc(slices.Clone(elr), func(x kafka.BrokerID) bool { return x == id })
		break
	}
	return &next
}
