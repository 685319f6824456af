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
