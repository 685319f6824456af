package api

import "holdfast/internal/kafka"

// operation is what a request wants to do to a resource, in Kafka's words.
type operation uint8

const (
	opRead operation = iota + 1
	opWrite
	opCreate
	opDelete
	opAlter
	opDescribe
	opClusterAction
	opDescribeConfigs
	opAlterConfigs
	opIdempotentWrite
)

// resource names what an operation is done to.
type resource struct {
	kind resourceKind
	name string
}

type resourceKind uint8

const (
	onCluster resourceKind = iota + 1
	onTopic
	onGroup
	onTransactionalID
)

func topicResource(name string) resource { return resource{kind: onTopic, name: name} }
func clusterResource() resource          { return resource{kind: onCluster, name: "kafka-cluster"} }

// authorize is the one place where authorisation is asked. Until access rules
// exist everybody may do everything, except what only brokers do.
func (a *API) authorize(_ kafka.Principal, op operation, _ resource) bool {
	return op != opClusterAction
}

// The operations that Kafka knows for a kind of resource, with their numbers on
// the wire.
var (
	topicOperations   = map[operation]uint{opRead: 3, opWrite: 4, opCreate: 5, opDelete: 6, opAlter: 7, opDescribe: 8, opDescribeConfigs: 10, opAlterConfigs: 11}
	clusterOperations = map[operation]uint{opCreate: 5, opAlter: 7, opDescribe: 8, opClusterAction: 9, opDescribeConfigs: 10, opAlterConfigs: 11, opIdempotentWrite: 12}
)

// operationsOn is the set of operations that the principal may do (KIP-430), one
// bit each.
func (a *API) operationsOn(p kafka.Principal, r resource) (bits int32) {
	known := topicOperations
	if r.kind == onCluster {
		known = clusterOperations
	}
	for op, number := range known {
		if a.authorize(p, op, r) {
			bits |= 1 << number
		}
	}
	return bits
}
