package meta

import (
	"strconv"

	"holdfast/internal/kafka"
)

// ResourceType says what a setting belongs to. The numbers are the protocol's.
type ResourceType int8

// The types of resources that have settings.
const (
	ResourceTopic  ResourceType = 2
	ResourceBroker ResourceType = 4
)

// Resource is what settings belong to: a topic by name, a broker by its id in
// decimal, or every broker where a broker's name is empty.
type Resource struct {
	Type ResourceType
	Name string
}

// TopicResource is the topic of that name.
func TopicResource(name string) Resource { return Resource{ResourceTopic, name} }

// BrokerResource is one broker.
func BrokerResource(id kafka.BrokerID) Resource {
	return Resource{ResourceBroker, strconv.FormatInt(int64(id), 10)}
}

// ClusterResource is the default of every broker.
func ClusterResource() Resource { return Resource{Type: ResourceBroker} }

// IsCluster reports whether r is the default of every broker.
func (r Resource) IsCluster() bool { return r == ClusterResource() }

// String is type and name: topic/orders, broker/1, cluster.
func (r Resource) String() string {
	switch {
	case r.IsCluster():
		return "cluster"
	case r.Type == ResourceTopic:
		return "topic/" + r.Name
	case r.Type == ResourceBroker:
		return "broker/" + r.Name
	}
	return "resource-" + strconv.Itoa(int(r.Type)) + "/" + r.Name
}
