package group

import "holdfast/internal/bin"

// consumerProtocol is the protocol type of consumers, the only one whose
// metadata the machine looks into.
const consumerProtocol = "consumer"

// subscription is the set of topics that the members of a generation subscribe
// to; nil when nobody can know it: another protocol type, or metadata that is not
// what consumers send.
func (g *group) subscription() map[string]struct{} {
	if g.protocolType != consumerProtocol {
		return nil
	}
	topics := map[string]struct{}{}
	for m := g.first; m != nil; m = m.next {
		if !readTopics(g.metadata(m), topics) {
			return nil
		}
	}
	return topics
}

// readTopics adds the topics of a consumer's metadata to the set. Every version
// of it starts with the version and the topics.
func readTopics(metadata []byte, topics map[string]struct{}) bool {
	r := bin.NewReader(metadata)
	if version := r.Int16(); version < 0 {
		return false
	}
	for n := r.Count(false, 2); n > 0 && r.OK(); n-- {
		topics[r.String(false)] = struct{}{}
	}
	return r.OK()
}

// subscribes reports whether members may be consuming the topic: when their
// topics are not known, they may.
func (g *group) subscribes(topic string) bool {
	if g.subscribed == nil {
		return g.protocolType == consumerProtocol
	}
	_, yes := g.subscribed[topic]
	return yes
}
