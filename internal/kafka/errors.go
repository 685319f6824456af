package kafka

import "fmt"

// ErrorCode is an error of the Kafka protocol as it stands on the wire. It is an
// error value, so that inner packages can return it and api can answer it.
type ErrorCode int16

// The codes of the protocol, by their own names.
const (
	ErrUnknownServerError                     ErrorCode = -1  // UNKNOWN_SERVER_ERROR
	ErrNone                                   ErrorCode = 0   // NONE
	ErrOffsetOutOfRange                       ErrorCode = 1   // OFFSET_OUT_OF_RANGE
	ErrCorruptMessage                         ErrorCode = 2   // CORRUPT_MESSAGE
	ErrUnknownTopicOrPartition                ErrorCode = 3   // UNKNOWN_TOPIC_OR_PARTITION
	ErrInvalidFetchSize                       ErrorCode = 4   // INVALID_FETCH_SIZE
	ErrLeaderNotAvailable                     ErrorCode = 5   // LEADER_NOT_AVAILABLE
	ErrNotLeaderOrFollower                    ErrorCode = 6   // NOT_LEADER_OR_FOLLOWER
	ErrRequestTimedOut                        ErrorCode = 7   // REQUEST_TIMED_OUT
	ErrBrokerNotAvailable                     ErrorCode = 8   // BROKER_NOT_AVAILABLE
	ErrReplicaNotAvailable                    ErrorCode = 9   // REPLICA_NOT_AVAILABLE
	ErrMessageTooLarge                        ErrorCode = 10  // MESSAGE_TOO_LARGE
	ErrStaleControllerEpoch                   ErrorCode = 11  // STALE_CONTROLLER_EPOCH
	ErrOffsetMetadataTooLarge                 ErrorCode = 12  // OFFSET_METADATA_TOO_LARGE
	ErrNetworkException                       ErrorCode = 13  // NETWORK_EXCEPTION
	ErrCoordinatorLoadInProgress              ErrorCode = 14  // COORDINATOR_LOAD_IN_PROGRESS
	ErrCoordinatorNotAvailable                ErrorCode = 15  // COORDINATOR_NOT_AVAILABLE
	ErrNotCoordinator                         ErrorCode = 16  // NOT_COORDINATOR
	ErrInvalidTopicException                  ErrorCode = 17  // INVALID_TOPIC_EXCEPTION
	ErrRecordListTooLarge                     ErrorCode = 18  // RECORD_LIST_TOO_LARGE
	ErrNotEnoughReplicas                      ErrorCode = 19  // NOT_ENOUGH_REPLICAS
	ErrNotEnoughReplicasAfterAppend           ErrorCode = 20  // NOT_ENOUGH_REPLICAS_AFTER_APPEND
	ErrInvalidRequiredAcks                    ErrorCode = 21  // INVALID_REQUIRED_ACKS
	ErrIllegalGeneration                      ErrorCode = 22  // ILLEGAL_GENERATION
	ErrInconsistentGroupProtocol              ErrorCode = 23  // INCONSISTENT_GROUP_PROTOCOL
	ErrInvalidGroupID                         ErrorCode = 24  // INVALID_GROUP_ID
	ErrUnknownMemberID                        ErrorCode = 25  // UNKNOWN_MEMBER_ID
	ErrInvalidSessionTimeout                  ErrorCode = 26  // INVALID_SESSION_TIMEOUT
	ErrRebalanceInProgress                    ErrorCode = 27  // REBALANCE_IN_PROGRESS
	ErrInvalidCommitOffsetSize                ErrorCode = 28  // INVALID_COMMIT_OFFSET_SIZE
	ErrTopicAuthorizationFailed               ErrorCode = 29  // TOPIC_AUTHORIZATION_FAILED
	ErrGroupAuthorizationFailed               ErrorCode = 30  // GROUP_AUTHORIZATION_FAILED
	ErrClusterAuthorizationFailed             ErrorCode = 31  // CLUSTER_AUTHORIZATION_FAILED
	ErrInvalidTimestamp                       ErrorCode = 32  // INVALID_TIMESTAMP
	ErrUnsupportedSaslMechanism               ErrorCode = 33  // UNSUPPORTED_SASL_MECHANISM
	ErrIllegalSaslState                       ErrorCode = 34  // ILLEGAL_SASL_STATE
	ErrUnsupportedVersion                     ErrorCode = 35  // UNSUPPORTED_VERSION
	ErrTopicAlreadyExists                     ErrorCode = 36  // TOPIC_ALREADY_EXISTS
	ErrInvalidPartitions                      ErrorCode = 37  // INVALID_PARTITIONS
	ErrInvalidReplicationFactor               ErrorCode = 38  // INVALID_REPLICATION_FACTOR
	ErrInvalidReplicaAssignment               ErrorCode = 39  // INVALID_REPLICA_ASSIGNMENT
	ErrInvalidConfig                          ErrorCode = 40  // INVALID_CONFIG
	ErrNotController                          ErrorCode = 41  // NOT_CONTROLLER
	ErrInvalidRequest                         ErrorCode = 42  // INVALID_REQUEST
	ErrUnsupportedForMessageFormat            ErrorCode = 43  // UNSUPPORTED_FOR_MESSAGE_FORMAT
	ErrPolicyViolation                        ErrorCode = 44  // POLICY_VIOLATION
	ErrOutOfOrderSequenceNumber               ErrorCode = 45  // OUT_OF_ORDER_SEQUENCE_NUMBER
	ErrDuplicateSequenceNumber                ErrorCode = 46  // DUPLICATE_SEQUENCE_NUMBER
	ErrInvalidProducerEpoch                   ErrorCode = 47  // INVALID_PRODUCER_EPOCH
	ErrInvalidTxnState                        ErrorCode = 48  // INVALID_TXN_STATE
	ErrInvalidProducerIDMapping               ErrorCode = 49  // INVALID_PRODUCER_ID_MAPPING
	ErrInvalidTransactionTimeout              ErrorCode = 50  // INVALID_TRANSACTION_TIMEOUT
	ErrConcurrentTransactions                 ErrorCode = 51  // CONCURRENT_TRANSACTIONS
	ErrTransactionCoordinatorFenced           ErrorCode = 52  // TRANSACTION_COORDINATOR_FENCED
	ErrTransactionalIDAuthorizationFailed     ErrorCode = 53  // TRANSACTIONAL_ID_AUTHORIZATION_FAILED
	ErrSecurityDisabled                       ErrorCode = 54  // SECURITY_DISABLED
	ErrOperationNotAttempted                  ErrorCode = 55  // OPERATION_NOT_ATTEMPTED
	ErrKafkaStorageError                      ErrorCode = 56  // KAFKA_STORAGE_ERROR
	ErrLogDirNotFound                         ErrorCode = 57  // LOG_DIR_NOT_FOUND
	ErrSaslAuthenticationFailed               ErrorCode = 58  // SASL_AUTHENTICATION_FAILED
	ErrUnknownProducerID                      ErrorCode = 59  // UNKNOWN_PRODUCER_ID
	ErrReassignmentInProgress                 ErrorCode = 60  // REASSIGNMENT_IN_PROGRESS
	ErrDelegationTokenAuthDisabled            ErrorCode = 61  // DELEGATION_TOKEN_AUTH_DISABLED
	ErrDelegationTokenNotFound                ErrorCode = 62  // DELEGATION_TOKEN_NOT_FOUND
	ErrDelegationTokenOwnerMismatch           ErrorCode = 63  // DELEGATION_TOKEN_OWNER_MISMATCH
	ErrDelegationTokenRequestNotAllowed       ErrorCode = 64  // DELEGATION_TOKEN_REQUEST_NOT_ALLOWED
	ErrDelegationTokenAuthorizationFailed     ErrorCode = 65  // DELEGATION_TOKEN_AUTHORIZATION_FAILED
	ErrDelegationTokenExpired                 ErrorCode = 66  // DELEGATION_TOKEN_EXPIRED
	ErrInvalidPrincipalType                   ErrorCode = 67  // INVALID_PRINCIPAL_TYPE
	ErrNonEmptyGroup                          ErrorCode = 68  // NON_EMPTY_GROUP
	ErrGroupIDNotFound                        ErrorCode = 69  // GROUP_ID_NOT_FOUND
	ErrFetchSessionIDNotFound                 ErrorCode = 70  // FETCH_SESSION_ID_NOT_FOUND
	ErrInvalidFetchSessionEpoch               ErrorCode = 71  // INVALID_FETCH_SESSION_EPOCH
	ErrListenerNotFound                       ErrorCode = 72  // LISTENER_NOT_FOUND
	ErrTopicDeletionDisabled                  ErrorCode = 73  // TOPIC_DELETION_DISABLED
	ErrFencedLeaderEpoch                      ErrorCode = 74  // FENCED_LEADER_EPOCH
	ErrUnknownLeaderEpoch                     ErrorCode = 75  // UNKNOWN_LEADER_EPOCH
	ErrUnsupportedCompressionType             ErrorCode = 76  // UNSUPPORTED_COMPRESSION_TYPE
	ErrStaleBrokerEpoch                       ErrorCode = 77  // STALE_BROKER_EPOCH
	ErrOffsetNotAvailable                     ErrorCode = 78  // OFFSET_NOT_AVAILABLE
	ErrMemberIDRequired                       ErrorCode = 79  // MEMBER_ID_REQUIRED
	ErrPreferredLeaderNotAvailable            ErrorCode = 80  // PREFERRED_LEADER_NOT_AVAILABLE
	ErrGroupMaxSizeReached                    ErrorCode = 81  // GROUP_MAX_SIZE_REACHED
	ErrFencedInstanceID                       ErrorCode = 82  // FENCED_INSTANCE_ID
	ErrEligibleLeadersNotAvailable            ErrorCode = 83  // ELIGIBLE_LEADERS_NOT_AVAILABLE
	ErrElectionNotNeeded                      ErrorCode = 84  // ELECTION_NOT_NEEDED
	ErrNoReassignmentInProgress               ErrorCode = 85  // NO_REASSIGNMENT_IN_PROGRESS
	ErrGroupSubscribedToTopic                 ErrorCode = 86  // GROUP_SUBSCRIBED_TO_TOPIC
	ErrInvalidRecord                          ErrorCode = 87  // INVALID_RECORD
	ErrUnstableOffsetCommit                   ErrorCode = 88  // UNSTABLE_OFFSET_COMMIT
	ErrThrottlingQuotaExceeded                ErrorCode = 89  // THROTTLING_QUOTA_EXCEEDED
	ErrProducerFenced                         ErrorCode = 90  // PRODUCER_FENCED
	ErrResourceNotFound                       ErrorCode = 91  // RESOURCE_NOT_FOUND
	ErrDuplicateResource                      ErrorCode = 92  // DUPLICATE_RESOURCE
	ErrUnacceptableCredential                 ErrorCode = 93  // UNACCEPTABLE_CREDENTIAL
	ErrInconsistentVoterSet                   ErrorCode = 94  // INCONSISTENT_VOTER_SET
	ErrInvalidUpdateVersion                   ErrorCode = 95  // INVALID_UPDATE_VERSION
	ErrFeatureUpdateFailed                    ErrorCode = 96  // FEATURE_UPDATE_FAILED
	ErrPrincipalDeserializationFailure        ErrorCode = 97  // PRINCIPAL_DESERIALIZATION_FAILURE
	ErrSnapshotNotFound                       ErrorCode = 98  // SNAPSHOT_NOT_FOUND
	ErrPositionOutOfRange                     ErrorCode = 99  // POSITION_OUT_OF_RANGE
	ErrUnknownTopicID                         ErrorCode = 100 // UNKNOWN_TOPIC_ID
	ErrDuplicateBrokerRegistration            ErrorCode = 101 // DUPLICATE_BROKER_REGISTRATION
	ErrBrokerIDNotRegistered                  ErrorCode = 102 // BROKER_ID_NOT_REGISTERED
	ErrInconsistentTopicID                    ErrorCode = 103 // INCONSISTENT_TOPIC_ID
	ErrInconsistentClusterID                  ErrorCode = 104 // INCONSISTENT_CLUSTER_ID
	ErrTransactionalIDNotFound                ErrorCode = 105 // TRANSACTIONAL_ID_NOT_FOUND
	ErrFetchSessionTopicIDError               ErrorCode = 106 // FETCH_SESSION_TOPIC_ID_ERROR
	ErrIneligibleReplica                      ErrorCode = 107 // INELIGIBLE_REPLICA
	ErrNewLeaderElected                       ErrorCode = 108 // NEW_LEADER_ELECTED
	ErrOffsetMovedToTieredStorage             ErrorCode = 109 // OFFSET_MOVED_TO_TIERED_STORAGE
	ErrFencedMemberEpoch                      ErrorCode = 110 // FENCED_MEMBER_EPOCH
	ErrUnreleasedInstanceID                   ErrorCode = 111 // UNRELEASED_INSTANCE_ID
	ErrUnsupportedAssignor                    ErrorCode = 112 // UNSUPPORTED_ASSIGNOR
	ErrStaleMemberEpoch                       ErrorCode = 113 // STALE_MEMBER_EPOCH
	ErrMismatchedEndpointType                 ErrorCode = 114 // MISMATCHED_ENDPOINT_TYPE
	ErrUnsupportedEndpointType                ErrorCode = 115 // UNSUPPORTED_ENDPOINT_TYPE
	ErrUnknownControllerID                    ErrorCode = 116 // UNKNOWN_CONTROLLER_ID
	ErrUnknownSubscriptionID                  ErrorCode = 117 // UNKNOWN_SUBSCRIPTION_ID
	ErrTelemetryTooLarge                      ErrorCode = 118 // TELEMETRY_TOO_LARGE
	ErrInvalidRegistration                    ErrorCode = 119 // INVALID_REGISTRATION
	ErrTransactionAbortable                   ErrorCode = 120 // TRANSACTION_ABORTABLE
	ErrInvalidRecordState                     ErrorCode = 121 // INVALID_RECORD_STATE
	ErrShareSessionNotFound                   ErrorCode = 122 // SHARE_SESSION_NOT_FOUND
	ErrInvalidShareSessionEpoch               ErrorCode = 123 // INVALID_SHARE_SESSION_EPOCH
	ErrFencedStateEpoch                       ErrorCode = 124 // FENCED_STATE_EPOCH
	ErrInvalidVoterKey                        ErrorCode = 125 // INVALID_VOTER_KEY
	ErrDuplicateVoter                         ErrorCode = 126 // DUPLICATE_VOTER
	ErrVoterNotFound                          ErrorCode = 127 // VOTER_NOT_FOUND
	ErrInvalidRegularExpression               ErrorCode = 128 // INVALID_REGULAR_EXPRESSION
	ErrRebootstrapRequired                    ErrorCode = 129 // REBOOTSTRAP_REQUIRED
	ErrStreamsInvalidTopology                 ErrorCode = 130 // STREAMS_INVALID_TOPOLOGY
	ErrStreamsInvalidTopologyEpoch            ErrorCode = 131 // STREAMS_INVALID_TOPOLOGY_EPOCH
	ErrStreamsTopologyFenced                  ErrorCode = 132 // STREAMS_TOPOLOGY_FENCED
	ErrShareSessionLimitReached               ErrorCode = 133 // SHARE_SESSION_LIMIT_REACHED
	ErrGroupDeletionFailed                    ErrorCode = 134 // GROUP_DELETION_FAILED
	ErrStreamsTopologyDescriptionUpdateFailed ErrorCode = 135 // STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED
	ErrControllerIDNotRegistered              ErrorCode = 136 // CONTROLLER_ID_NOT_REGISTERED
)

type errorRow struct {
	name      string
	retriable bool
}

// errorRows is indexed by code plus one, because the first code is -1.
var errorRows = [...]errorRow{
	-1 + 1:  {"UNKNOWN_SERVER_ERROR", false},
	0 + 1:   {"NONE", false},
	1 + 1:   {"OFFSET_OUT_OF_RANGE", false},
	2 + 1:   {"CORRUPT_MESSAGE", true},
	3 + 1:   {"UNKNOWN_TOPIC_OR_PARTITION", true},
	4 + 1:   {"INVALID_FETCH_SIZE", false},
	5 + 1:   {"LEADER_NOT_AVAILABLE", true},
	6 + 1:   {"NOT_LEADER_OR_FOLLOWER", true},
	7 + 1:   {"REQUEST_TIMED_OUT", true},
	8 + 1:   {"BROKER_NOT_AVAILABLE", true},
	9 + 1:   {"REPLICA_NOT_AVAILABLE", true},
	10 + 1:  {"MESSAGE_TOO_LARGE", false},
	11 + 1:  {"STALE_CONTROLLER_EPOCH", false},
	12 + 1:  {"OFFSET_METADATA_TOO_LARGE", false},
	13 + 1:  {"NETWORK_EXCEPTION", true},
	14 + 1:  {"COORDINATOR_LOAD_IN_PROGRESS", true},
	15 + 1:  {"COORDINATOR_NOT_AVAILABLE", true},
	16 + 1:  {"NOT_COORDINATOR", true},
	17 + 1:  {"INVALID_TOPIC_EXCEPTION", false},
	18 + 1:  {"RECORD_LIST_TOO_LARGE", false},
	19 + 1:  {"NOT_ENOUGH_REPLICAS", true},
	20 + 1:  {"NOT_ENOUGH_REPLICAS_AFTER_APPEND", true},
	21 + 1:  {"INVALID_REQUIRED_ACKS", false},
	22 + 1:  {"ILLEGAL_GENERATION", false},
	23 + 1:  {"INCONSISTENT_GROUP_PROTOCOL", false},
	24 + 1:  {"INVALID_GROUP_ID", false},
	25 + 1:  {"UNKNOWN_MEMBER_ID", false},
	26 + 1:  {"INVALID_SESSION_TIMEOUT", false},
	27 + 1:  {"REBALANCE_IN_PROGRESS", false},
	28 + 1:  {"INVALID_COMMIT_OFFSET_SIZE", false},
	29 + 1:  {"TOPIC_AUTHORIZATION_FAILED", false},
	30 + 1:  {"GROUP_AUTHORIZATION_FAILED", false},
	31 + 1:  {"CLUSTER_AUTHORIZATION_FAILED", false},
	32 + 1:  {"INVALID_TIMESTAMP", false},
	33 + 1:  {"UNSUPPORTED_SASL_MECHANISM", false},
	34 + 1:  {"ILLEGAL_SASL_STATE", false},
	35 + 1:  {"UNSUPPORTED_VERSION", false},
	36 + 1:  {"TOPIC_ALREADY_EXISTS", false},
	37 + 1:  {"INVALID_PARTITIONS", false},
	38 + 1:  {"INVALID_REPLICATION_FACTOR", false},
	39 + 1:  {"INVALID_REPLICA_ASSIGNMENT", false},
	40 + 1:  {"INVALID_CONFIG", false},
	41 + 1:  {"NOT_CONTROLLER", true},
	42 + 1:  {"INVALID_REQUEST", false},
	43 + 1:  {"UNSUPPORTED_FOR_MESSAGE_FORMAT", false},
	44 + 1:  {"POLICY_VIOLATION", false},
	45 + 1:  {"OUT_OF_ORDER_SEQUENCE_NUMBER", false},
	46 + 1:  {"DUPLICATE_SEQUENCE_NUMBER", false},
	47 + 1:  {"INVALID_PRODUCER_EPOCH", false},
	48 + 1:  {"INVALID_TXN_STATE", false},
	49 + 1:  {"INVALID_PRODUCER_ID_MAPPING", false},
	50 + 1:  {"INVALID_TRANSACTION_TIMEOUT", false},
	51 + 1:  {"CONCURRENT_TRANSACTIONS", false},
	52 + 1:  {"TRANSACTION_COORDINATOR_FENCED", false},
	53 + 1:  {"TRANSACTIONAL_ID_AUTHORIZATION_FAILED", false},
	54 + 1:  {"SECURITY_DISABLED", false},
	55 + 1:  {"OPERATION_NOT_ATTEMPTED", false},
	56 + 1:  {"KAFKA_STORAGE_ERROR", true},
	57 + 1:  {"LOG_DIR_NOT_FOUND", false},
	58 + 1:  {"SASL_AUTHENTICATION_FAILED", false},
	59 + 1:  {"UNKNOWN_PRODUCER_ID", false},
	60 + 1:  {"REASSIGNMENT_IN_PROGRESS", false},
	61 + 1:  {"DELEGATION_TOKEN_AUTH_DISABLED", false},
	62 + 1:  {"DELEGATION_TOKEN_NOT_FOUND", false},
	63 + 1:  {"DELEGATION_TOKEN_OWNER_MISMATCH", false},
	64 + 1:  {"DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", false},
	65 + 1:  {"DELEGATION_TOKEN_AUTHORIZATION_FAILED", false},
	66 + 1:  {"DELEGATION_TOKEN_EXPIRED", false},
	67 + 1:  {"INVALID_PRINCIPAL_TYPE", false},
	68 + 1:  {"NON_EMPTY_GROUP", false},
	69 + 1:  {"GROUP_ID_NOT_FOUND", false},
	70 + 1:  {"FETCH_SESSION_ID_NOT_FOUND", true},
	71 + 1:  {"INVALID_FETCH_SESSION_EPOCH", true},
	72 + 1:  {"LISTENER_NOT_FOUND", true},
	73 + 1:  {"TOPIC_DELETION_DISABLED", false},
	74 + 1:  {"FENCED_LEADER_EPOCH", true},
	75 + 1:  {"UNKNOWN_LEADER_EPOCH", true},
	76 + 1:  {"UNSUPPORTED_COMPRESSION_TYPE", false},
	77 + 1:  {"STALE_BROKER_EPOCH", false},
	78 + 1:  {"OFFSET_NOT_AVAILABLE", true},
	79 + 1:  {"MEMBER_ID_REQUIRED", false},
	80 + 1:  {"PREFERRED_LEADER_NOT_AVAILABLE", true},
	81 + 1:  {"GROUP_MAX_SIZE_REACHED", false},
	82 + 1:  {"FENCED_INSTANCE_ID", false},
	83 + 1:  {"ELIGIBLE_LEADERS_NOT_AVAILABLE", true},
	84 + 1:  {"ELECTION_NOT_NEEDED", true},
	85 + 1:  {"NO_REASSIGNMENT_IN_PROGRESS", false},
	86 + 1:  {"GROUP_SUBSCRIBED_TO_TOPIC", false},
	87 + 1:  {"INVALID_RECORD", false},
	88 + 1:  {"UNSTABLE_OFFSET_COMMIT", true},
	89 + 1:  {"THROTTLING_QUOTA_EXCEEDED", true},
	90 + 1:  {"PRODUCER_FENCED", false},
	91 + 1:  {"RESOURCE_NOT_FOUND", false},
	92 + 1:  {"DUPLICATE_RESOURCE", false},
	93 + 1:  {"UNACCEPTABLE_CREDENTIAL", false},
	94 + 1:  {"INCONSISTENT_VOTER_SET", false},
	95 + 1:  {"INVALID_UPDATE_VERSION", false},
	96 + 1:  {"FEATURE_UPDATE_FAILED", false},
	97 + 1:  {"PRINCIPAL_DESERIALIZATION_FAILURE", false},
	98 + 1:  {"SNAPSHOT_NOT_FOUND", false},
	99 + 1:  {"POSITION_OUT_OF_RANGE", false},
	100 + 1: {"UNKNOWN_TOPIC_ID", true},
	101 + 1: {"DUPLICATE_BROKER_REGISTRATION", false},
	102 + 1: {"BROKER_ID_NOT_REGISTERED", false},
	103 + 1: {"INCONSISTENT_TOPIC_ID", true},
	104 + 1: {"INCONSISTENT_CLUSTER_ID", false},
	105 + 1: {"TRANSACTIONAL_ID_NOT_FOUND", false},
	106 + 1: {"FETCH_SESSION_TOPIC_ID_ERROR", true},
	107 + 1: {"INELIGIBLE_REPLICA", false},
	108 + 1: {"NEW_LEADER_ELECTED", false},
	109 + 1: {"OFFSET_MOVED_TO_TIERED_STORAGE", false},
	110 + 1: {"FENCED_MEMBER_EPOCH", false},
	111 + 1: {"UNRELEASED_INSTANCE_ID", false},
	112 + 1: {"UNSUPPORTED_ASSIGNOR", false},
	113 + 1: {"STALE_MEMBER_EPOCH", false},
	114 + 1: {"MISMATCHED_ENDPOINT_TYPE", false},
	115 + 1: {"UNSUPPORTED_ENDPOINT_TYPE", false},
	116 + 1: {"UNKNOWN_CONTROLLER_ID", false},
	117 + 1: {"UNKNOWN_SUBSCRIPTION_ID", false},
	118 + 1: {"TELEMETRY_TOO_LARGE", false},
	119 + 1: {"INVALID_REGISTRATION", false},
	120 + 1: {"TRANSACTION_ABORTABLE", false},
	121 + 1: {"INVALID_RECORD_STATE", false},
	122 + 1: {"SHARE_SESSION_NOT_FOUND", false},
	123 + 1: {"INVALID_SHARE_SESSION_EPOCH", false},
	124 + 1: {"FENCED_STATE_EPOCH", false},
	125 + 1: {"INVALID_VOTER_KEY", false},
	126 + 1: {"DUPLICATE_VOTER", false},
	127 + 1: {"VOTER_NOT_FOUND", false},
	128 + 1: {"INVALID_REGULAR_EXPRESSION", false},
	129 + 1: {"REBOOTSTRAP_REQUIRED", false},
	130 + 1: {"STREAMS_INVALID_TOPOLOGY", false},
	131 + 1: {"STREAMS_INVALID_TOPOLOGY_EPOCH", false},
	132 + 1: {"STREAMS_TOPOLOGY_FENCED", false},
	133 + 1: {"SHARE_SESSION_LIMIT_REACHED", true},
	134 + 1: {"GROUP_DELETION_FAILED", false},
	135 + 1: {"STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED", false},
	136 + 1: {"CONTROLLER_ID_NOT_REGISTERED", false},
}

// String is the name of the code in the protocol.
func (e ErrorCode) String() string {
	if i := int(e) + 1; i >= 0 && i < len(errorRows) && errorRows[i].name != "" {
		return errorRows[i].name
	}
	return fmt.Sprintf("ERROR_%d", int16(e))
}

// Error is String. ErrNone is never used as an error value.
func (e ErrorCode) Error() string { return e.String() }

// Retriable reports whether a client may send the same request again and hope.
func (e ErrorCode) Retriable() bool {
	i := int(e) + 1
	return i >= 0 && i < len(errorRows) && errorRows[i].retriable
}
