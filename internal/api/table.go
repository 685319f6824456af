package api

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

// handler is one row of the table of APIs.
type handler struct {
	key      kafka.APIKey
	min, max int16 // versions that are accepted
	// advertised is the lowest version that ApiVersions names, when it is below
	// min: old clients look at it and never send it.
	advertised int16
	begin      func(*API, *Request) (*Reply, Pending)
}

// served is every API that this broker serves, by key.
//
//lint:table
func served() []handler {
	return []handler{
		// librdkafka decides about compression by seeing Produce version 0.
		{key: wire.KeyProduce, min: 3, max: 13, advertised: 0, begin: (*API).produce},
		{key: wire.KeyFetch, min: 4, max: 18, advertised: 4, begin: (*API).fetch},
		{key: wire.KeyListOffsets, min: 1, max: 11, advertised: 1, begin: (*API).listOffsets},
		{key: wire.KeyMetadata, min: 0, max: 13, advertised: 0, begin: (*API).metadata},
		{key: wire.KeyOffsetCommit, min: 2, max: 10, advertised: 2, begin: (*API).offsetCommit},
		{key: wire.KeyOffsetFetch, min: 1, max: 10, advertised: 1, begin: (*API).offsetFetch},
		{key: wire.KeyFindCoordinator, min: 0, max: 6, advertised: 0, begin: (*API).findCoordinator},
		{key: wire.KeyJoinGroup, min: 0, max: 9, advertised: 0, begin: (*API).joinGroup},
		{key: wire.KeyHeartbeat, min: 0, max: 4, advertised: 0, begin: (*API).heartbeat},
		{key: wire.KeyLeaveGroup, min: 0, max: 5, advertised: 0, begin: (*API).leaveGroup},
		{key: wire.KeySyncGroup, min: 0, max: 5, advertised: 0, begin: (*API).syncGroup},
		{key: wire.KeyDescribeGroups, min: 0, max: 6, advertised: 0, begin: (*API).describeGroups},
		{key: wire.KeyListGroups, min: 0, max: 5, advertised: 0, begin: (*API).listGroups},
		{key: wire.KeyApiVersions, min: 0, max: 4, advertised: 0, begin: (*API).apiVersions},
		{key: wire.KeyCreateTopics, min: 2, max: 7, advertised: 2, begin: (*API).createTopics},
		{key: wire.KeyDeleteTopics, min: 1, max: 6, advertised: 1, begin: (*API).deleteTopics},
		{key: wire.KeyDeleteRecords, min: 0, max: 2, advertised: 0, begin: (*API).deleteRecords},
		{key: wire.KeyInitProducerID, min: 0, max: 5, advertised: 0, begin: (*API).initProducerID},
		{key: wire.KeyOffsetForLeaderEpoch, min: 2, max: 4, advertised: 2, begin: (*API).offsetForLeaderEpoch},
		{key: wire.KeyDescribeACLs, min: 1, max: 3, advertised: 1, begin: (*API).describeACLs},
		{key: wire.KeyCreateACLs, min: 1, max: 3, advertised: 1, begin: (*API).createACLs},
		{key: wire.KeyDeleteACLs, min: 1, max: 3, advertised: 1, begin: (*API).deleteACLs},
		{key: wire.KeyDescribeConfigs, min: 1, max: 4, advertised: 1, begin: (*API).describeConfigs},
		{key: wire.KeyAlterConfigs, min: 0, max: 2, advertised: 0, begin: (*API).alterConfigs},
		{key: wire.KeyAlterReplicaLogDirs, min: 1, max: 2, advertised: 1, begin: (*API).alterReplicaLogDirs},
		{key: wire.KeyDescribeLogDirs, min: 1, max: 5, advertised: 1, begin: (*API).describeLogDirs},
		{key: wire.KeyCreatePartitions, min: 0, max: 3, advertised: 0, begin: (*API).createPartitions},
		{key: wire.KeyDeleteGroups, min: 0, max: 2, advertised: 0, begin: (*API).deleteGroups},
		{key: wire.KeyCreateDelegationToken, min: 1, max: 3, advertised: 1, begin: (*API).createToken},
		{key: wire.KeyRenewDelegationToken, min: 1, max: 2, advertised: 1, begin: (*API).renewToken},
		{key: wire.KeyExpireDelegationToken, min: 1, max: 2, advertised: 1, begin: (*API).expireToken},
		{key: wire.KeyDescribeDelegationToken, min: 1, max: 3, advertised: 1, begin: (*API).describeTokens},
		{key: wire.KeyElectLeaders, min: 0, max: 2, advertised: 0, begin: (*API).electLeaders},
		{key: wire.KeyIncrementalAlterConfigs, min: 0, max: 1, advertised: 0, begin: (*API).incrementalAlterConfigs},
		{key: wire.KeyOffsetDelete, min: 0, max: 0, advertised: 0, begin: (*API).offsetDelete},
		{key: wire.KeyAlterPartitionAssignments, min: 0, max: 1, advertised: 0, begin: (*API).alterReassignments},
		{key: wire.KeyListPartitionReassignments, min: 0, max: 0, advertised: 0, begin: (*API).listReassignments},
		{key: wire.KeyDescribeClientQuotas, min: 0, max: 1, advertised: 0, begin: (*API).describeClientQuotas},
		{key: wire.KeyAlterClientQuotas, min: 0, max: 1, advertised: 0, begin: (*API).alterClientQuotas},
		{key: wire.KeyDescribeUserSCRAMCredentials, min: 0, max: 0, advertised: 0, begin: (*API).describeSCRAM},
		{key: wire.KeyAlterUserSCRAMCredentials, min: 0, max: 0, advertised: 0, begin: (*API).alterSCRAM},
		{key: wire.KeyDescribeQuorum, min: 0, max: 2, advertised: 0, begin: (*API).describeQuorum},
		{key: wire.KeyUpdateFeatures, min: 0, max: 2, advertised: 0, begin: (*API).updateFeatures},
		{key: wire.KeyDescribeCluster, min: 0, max: 2, advertised: 0, begin: (*API).describeCluster},
		{key: wire.KeyDescribeProducers, min: 0, max: 0, advertised: 0, begin: (*API).describeProducers},
		{key: wire.KeyUnregisterBroker, min: 0, max: 0, advertised: 0, begin: (*API).unregisterBroker},
		{key: wire.KeyDescribeTransactions, min: 0, max: 0, advertised: 0, begin: (*API).describeTransactions},
		{key: wire.KeyListTransactions, min: 0, max: 2, advertised: 0, begin: (*API).listTransactions},
		{key: wire.KeyGetTelemetrySubscriptions, min: 0, max: 0, advertised: 0, begin: (*API).getTelemetrySubscriptions},
		{key: wire.KeyPushTelemetry, min: 0, max: 0, advertised: 0, begin: (*API).pushTelemetry},
		{key: wire.KeyListConfigResources, min: 0, max: 1, advertised: 0, begin: (*API).listConfigResources},
		{key: wire.KeyDescribeTopicPartitions, min: 0, max: 0, advertised: 0, begin: (*API).describeTopicPartitions},
	}
}
