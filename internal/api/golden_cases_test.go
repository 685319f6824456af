package api_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/record"
)

// goldenFile is one API.
type goldenFile struct {
	name      string
	questions []question
	// apart: what it is compared with is a test of its own.
	apart bool
}

// golden is everything that Kafka was asked, in order.
func golden() []goldenFile {
	return []goldenFile{
		{name: "18_api_versions", questions: []question{{name: "all", q: apiVersions()}}, apart: true},
		{name: "32_describe_configs", questions: describeConfigsQuestions()},
		{name: "33_alter_configs", questions: alterConfigsQuestions()},
		{name: "44_incremental_alter_configs", questions: incrementalQuestions()},
		{name: "74_list_config_resources", questions: listResourcesQuestions()},
		{name: "75_describe_topic_partitions", questions: describeTopicPartitionsQuestions()},
		{name: "35_describe_log_dirs", questions: logDirsQuestions()},
		{name: "34_alter_replica_log_dirs", questions: alterLogDirsQuestions()},
		{name: "61_describe_producers", questions: describeProducersQuestions()},
		{name: "43_elect_leaders", questions: electLeadersQuestions()},
		{name: "45_alter_partition_reassignments", questions: reassignQuestions()},
		{name: "46_list_partition_reassignments", questions: listReassignmentsQuestions()},
		{name: "55_describe_quorum", questions: describeQuorumQuestions()},
		{name: "57_update_features", questions: updateFeaturesQuestions()},
		{name: "71_telemetry", questions: telemetryQuestions()},
		{name: "29_acls", questions: aclQuestions()},
		{name: "48_unused", questions: unusedQuestions()},
		{name: "03_metadata", questions: metadataQuestions()},
		{name: "19_topics", questions: topicsQuestions()},
		{name: "60_describe_cluster", questions: clusterQuestions()},
	}
}

func apiVersions() kmsg.Request {
	q := kmsg.NewPtrApiVersionsRequest()
	q.Version, q.ClientSoftwareName, q.ClientSoftwareVersion = 4, "test", "1.0"
	return q
}

// TestVersionsAreKafkas: what we serve, we serve from Kafka's lowest version to its
// highest.
func TestVersionsAreKafkas(t *testing.T) {
	want, err := os.ReadFile(goldenPath("18_api_versions"))
	if err != nil {
		t.Fatal(err)
	}
	other := map[int16]string{
		71: "Kafka offers telemetry where a plug-in reads it; here a client may ask, and is asked for nothing",
		72: "as 71",
	}
	bubble(t, func(t *testing.T) {
		l := startLive(t)
		defer l.stop()
		c := l.dial()
		defer c.c.Close()
		p := ask[*kmsg.ApiVersionsResponse](c, apiVersions())
		for _, k := range p.ApiKeys {
			same := strings.Contains(string(want), fmt.Sprintf("\nApiKeys[%d].MaxVersion = %d\nApiKeys[%d].MinVersion = %d\n", k.ApiKey, k.MaxVersion, k.ApiKey, k.MinVersion))
			if same != (other[k.ApiKey] == "") {
				t.Errorf("%s: versions %d to %d are not as expected", kmsg.NameForKey(k.ApiKey), k.MinVersion, k.MaxVersion)
			}
		}
		finalized := map[string]int16{}
		for _, f := range p.FinalizedFeatures {
			finalized[f.Name] = f.MaxVersionLevel
		}
		if finalized["metadata.version"] != 25 || finalized["holdfast.version"] != int16(meta.FeatureLevelMax) || p.FinalizedFeaturesEpoch < 0 {
			t.Errorf("features %v, epoch %d", finalized, p.FinalizedFeaturesEpoch)
		}
	})
}

func text(s string) *string { return &s }

func at[Q kmsg.Request](q Q, version int16) Q {
	q.SetVersion(version)
	return q
}

// idempotentBatch is a batch of a producer whose id was just handed out.
func idempotentBatch(c *conn) []byte {
	q := kmsg.NewPtrInitProducerIDRequest()
	q.Version, q.TransactionTimeoutMillis = 4, 1000
	p := ask[*kmsg.InitProducerIDResponse](c, q)
	for p.ErrorCode != 0 {
		p = ask[*kmsg.InitProducerIDResponse](c, q)
	}
	b := record.NewBuilder(record.Options{Producer: &record.Producer{ID: kafka.ProducerID(p.ProducerID), Epoch: kafka.ProducerEpoch(p.ProducerEpoch)}})
	b.Append(kafka.Timestamp(time.Now().UnixMilli()), nil, []byte("a"))
	b.Append(kafka.Timestamp(time.Now().UnixMilli()), nil, []byte("b"))
	out, _ := b.Build(nil)
	return out
}

func describe(kind kmsg.ConfigResourceType, name string, keys ...string) kmsg.DescribeConfigsRequestResource {
	return kmsg.DescribeConfigsRequestResource{ResourceType: kind, ResourceName: name, ConfigNames: keys}
}

func describeAll(r ...kmsg.DescribeConfigsRequestResource) *kmsg.DescribeConfigsRequest {
	q := kmsg.NewPtrDescribeConfigsRequest()
	q.Version, q.IncludeSynonyms, q.IncludeDocumentation, q.Resources = 4, true, true, r
	return q
}

const (
	topicResource  = kmsg.ConfigResourceTypeTopic
	brokerResource = kmsg.ConfigResourceTypeBroker
	loggerResource = kmsg.ConfigResourceTypeBrokerLogger
)

func describeConfigsQuestions() []question {
	plain := describeAll(describe(topicResource, "t", "retention.ms"))
	plain.IncludeSynonyms, plain.IncludeDocumentation = false, false
	return []question{
		{name: "a topic", q: describeAll(describe(topicResource, "t"))},
		{name: "a topic, version 1", q: at(describeAll(describe(topicResource, "t", "retention.ms")), 1)},
		{name: "one key, plain", q: plain},
		{name: "no keys", q: describeAll(kmsg.DescribeConfigsRequestResource{ResourceType: topicResource, ResourceName: "t", ConfigNames: []string{}})},
		{name: "a key twice and an unknown one", q: describeAll(describe(topicResource, "t", "retention.ms", "retention.ms", "bogus"))},
		{name: "no such topic", q: describeAll(describe(topicResource, "nothing"))},
		{name: "a bad name", q: describeAll(describe(topicResource, "a b"))},
		{name: "an empty name", q: describeAll(describe(topicResource, ""))},
		{name: thisBroker, q: describeAll(describe(brokerResource, "1"))},
		{name: "all brokers", q: describeAll(describe(brokerResource, ""))},
		{name: "another broker", q: describeAll(describe(brokerResource, "2"))},
		{name: "not a number", q: describeAll(describe(brokerResource, "x"))},
		{name: "client metrics", q: describeAll(describe(16, "m"))},
		{name: "an unnamed client metric", q: describeAll(describe(16, ""))},
		{name: "a group", q: describeAll(describe(32, "g"))},
		{name: "an unnamed group", q: describeAll(describe(32, ""))},
		{name: "unknown type", q: describeAll(describe(99, "x"))},
	}
}

func alter(kind kmsg.ConfigResourceType, name string, pairs ...*string) kmsg.AlterConfigsRequestResource {
	r := kmsg.AlterConfigsRequestResource{ResourceType: kind, ResourceName: name}
	for i := 0; i < len(pairs); i += 2 {
		r.Configs = append(r.Configs, kmsg.AlterConfigsRequestResourceConfig{Name: *pairs[i], Value: pairs[i+1]})
	}
	return r
}

func alterAll(validate bool, r ...kmsg.AlterConfigsRequestResource) *kmsg.AlterConfigsRequest {
	q := kmsg.NewPtrAlterConfigsRequest()
	q.Version, q.ValidateOnly, q.Resources = 2, validate, r
	return q
}

func alterConfigsQuestions() []question {
	retention, segment, hour := text("retention.ms"), text("segment.bytes"), text("3600000")
	shown := describeAll(describe(topicResource, "t", "retention.ms", "segment.bytes"))
	return []question{
		{name: "set two", q: alterAll(false, alter(topicResource, "t", retention, hour, segment, text("2097152")))},
		{name: "set one: the other goes", q: alterAll(false, alter(topicResource, "t", retention, hour))},
		{name: "what is left", q: shown},
		{name: "validate only", q: alterAll(true, alter(topicResource, "t", retention, text("1")))},
		{name: "validated only", q: shown},
		{name: "a bad value", q: alterAll(false, alter(topicResource, "t", retention, text("soon")))},
		{name: "an unknown key", q: alterAll(false, alter(topicResource, "t", text("bogus"), text("1")))},
		{name: "null", q: alterAll(false, alter(topicResource, "t", retention, nil))},
		{name: "a key twice", q: alterAll(false, alter(topicResource, "t", retention, hour, retention, text("1")))},
		{name: "no such topic", q: alterAll(false, alter(topicResource, "nothing", retention, hour))},
		{name: "nothing named", q: alterAll(false, alter(topicResource, "", retention, hour))},
		{name: "good and bad", q: alterAll(false, alter(topicResource, "u", retention, hour), alter(topicResource, "nothing"))},
		{name: "a broker", q: alterAll(false, alter(brokerResource, "1", text("producer.id.expiration.ms"), text("7200000")))},
		{name: "the broker's", q: describeAll(describe(brokerResource, "1", "producer.id.expiration.ms"))},
		{name: "a read-only key of a broker", q: alterAll(false, alter(brokerResource, "1", text("node.id"), text("7")))},
		{name: "another broker", q: alterAll(false, alter(brokerResource, "9", text("producer.id.expiration.ms"), text("7200000")))},
		{name: "not a number", q: alterAll(false, alter(brokerResource, "x", text("producer.id.expiration.ms"), text("7200000")))},
		{name: "a broker's settings go", q: alterAll(false, alter(brokerResource, "1"))},
		{name: "a logger", q: alterAll(false, alter(loggerResource, "1", text("kafka"), text("INFO")))},
		{name: "unknown type", q: alterAll(false, alter(99, "x"))},
		{name: "nothing", q: alterAll(false)},
		{name: "version 0", q: at(alterAll(false, alter(topicResource, "t")), 0)},
	}
}

func incremental(kind kmsg.ConfigResourceType, name string, op kmsg.IncrementalAlterConfigOp, key string, value *string) *kmsg.IncrementalAlterConfigsRequest {
	q := kmsg.NewPtrIncrementalAlterConfigsRequest()
	q.Version = 1
	q.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kind, ResourceName: name,
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: key, Op: op, Value: value}}}}
	return q
}

func incrementalQuestions() []question {
	policy := describeAll(describe(topicResource, "u", "cleanup.policy", "retention.ms"))
	brokers := describeAll(describe(brokerResource, "1", "log.retention.ms", "log.cleaner.threads"), describe(brokerResource, ""), describe(topicResource, "u", "retention.ms"))
	return []question{
		{name: "set", q: incremental(topicResource, "u", 0, "retention.ms", text("60000"))},
		{name: "append", q: incremental(topicResource, "u", 2, "cleanup.policy", text("compact"))},
		{name: "appended", q: policy},
		{name: "subtract", q: incremental(topicResource, "u", 3, "cleanup.policy", text("compact"))},
		{name: "subtracted", q: policy},
		{name: "append to a number", q: incremental(topicResource, "u", 2, "retention.ms", text("1"))},
		{name: "delete", q: incremental(topicResource, "u", 1, "retention.ms", nil)},
		{name: "delete what is not set", q: incremental(topicResource, "u", 1, "retention.ms", nil)},
		{name: "delete an unknown key", q: incremental(topicResource, "u", 1, "bogus", nil)},
		{name: "set an unknown key", q: incremental(topicResource, "u", 0, "bogus", text("1"))},
		{name: "set null", q: incremental(topicResource, "u", 0, "retention.ms", nil)},
		{name: "unknown operation", q: incremental(topicResource, "u", 9, "retention.ms", text("1"))},
		{name: "all brokers", q: incremental(brokerResource, "", 0, "log.retention.ms", text("7200000"))},
		{name: "one broker", q: incremental(brokerResource, "1", 0, "log.retention.ms", text("10800000"))},
		{name: "what brokers and topics say", q: brokers},
		{name: "one broker's goes", q: incremental(brokerResource, "1", 1, "log.retention.ms", nil)},
		{name: "all brokers' goes", q: incremental(brokerResource, "", 1, "log.retention.ms", nil)},
		{name: "gone", q: brokers},
		{name: "a cleaner's thread", q: incremental(brokerResource, "", 0, "log.cleaner.threads", text("2"))},
		{name: "a cleaner's thread goes", q: incremental(brokerResource, "", 1, "log.cleaner.threads", nil)},
		{name: "a read-only key of all brokers", q: incremental(brokerResource, "", 0, "log.dirs", text("/x"))},
		{name: "an unknown key of a broker", q: incremental(brokerResource, "1", 0, "bogus", text("1"))},
		{name: "a logger", q: incremental(loggerResource, "1", 0, "bogus.logger", text("INFO"))},
		{name: "another broker's logger", q: incremental(loggerResource, "7", 0, "bogus.logger", text("INFO"))},
		{name: "a client metric", q: incremental(16, "m", 0, "bogus", text("1"))},
		{name: "a group", q: incremental(32, "g", 0, "bogus", text("1"))},
		{name: "unknown type", q: incremental(99, "x", 0, "bogus", text("1"))},
	}
}

func listResourcesQuestions() []question {
	all := kmsg.NewPtrListConfigResourcesRequest()
	all.Version = 1
	ask := func(types ...int8) kmsg.Request {
		q := kmsg.NewPtrListConfigResourcesRequest()
		q.Version, q.ResourceTypes = 1, types
		return q
	}
	return []question{
		{name: "all", q: all},
		{name: "version 0: client metrics", q: at(kmsg.NewPtrListConfigResourcesRequest(), 0)},
		{name: "topics", q: ask(2)},
		{name: "brokers", q: ask(4)},
		{name: "loggers", q: ask(8)},
		{name: "client metrics", q: ask(16)},
		{name: "groups", q: ask(32)},
		{name: "topics twice", q: ask(2, 2)},
		{name: "unknown type", q: ask(99)},
	}
}

func describeTopicPartitionsQuestions() []question {
	ask := func(limit int32, cursor *kmsg.DescribeTopicPartitionsRequestCursor, topics ...string) kmsg.Request {
		q := kmsg.NewPtrDescribeTopicPartitionsRequest()
		q.ResponsePartitionLimit, q.Cursor = limit, cursor
		for _, name := range topics {
			q.Topics = append(q.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
		}
		return q
	}
	from := func(topic string, partition int32) *kmsg.DescribeTopicPartitionsRequestCursor {
		return &kmsg.DescribeTopicPartitionsRequestCursor{Topic: topic, Partition: partition}
	}
	return []question{
		{name: "all", q: ask(2000, nil), ordered: true},
		{name: "two in disorder", q: ask(2000, nil, "u", "t"), ordered: true},
		{name: "one twice", q: ask(2000, nil, "t", "t"), ordered: true},
		{name: "unknown and bad", q: ask(2000, nil, "t", "nothing", "a b"), ordered: true},
		{name: "limit 2", q: ask(2, nil), ordered: true},
		{name: "limit 3", q: ask(3, nil), ordered: true},
		{name: "limit 4", q: ask(4, nil), ordered: true},
		{name: "limit 0", q: ask(0, nil), ordered: true},
		{name: "limit -1", q: ask(-1, nil), ordered: true},
		{name: "from t 2", q: ask(2000, from("t", 2)), ordered: true},
		{name: "from t 3", q: ask(2000, from("t", 3)), ordered: true},
		{name: "from u 0", q: ask(2000, from("u", 0), "t", "u"), ordered: true},
		{name: "from a topic between", q: ask(2000, from("tt", 1)), ordered: true},
		{name: "from a topic not asked for", q: ask(2000, from("t", 1), "u"), ordered: true},
		{name: "from behind all", q: ask(2000, from("z", 0)), ordered: true},
		{name: "from a negative partition", q: ask(2000, from("t", -1)), ordered: true},
	}
}

func logDirsQuestions() []question {
	ask := func(version int16, topics ...kmsg.DescribeLogDirsRequestTopic) kmsg.Request {
		q := kmsg.NewPtrDescribeLogDirsRequest()
		q.Version, q.Topics = version, topics
		return q
	}
	of := func(name string, partitions ...int32) kmsg.DescribeLogDirsRequestTopic {
		return kmsg.DescribeLogDirsRequestTopic{Topic: name, Partitions: partitions}
	}
	return []question{
		{name: "all", q: ask(4)},
		{name: "all, version 5", q: ask(5)},
		{name: "all, version 1", q: ask(1)},
		{name: "all, version 3", q: ask(3)},
		{name: "some", q: ask(4, of("t", 0, 2, 9))},
		{name: "no such topic", q: ask(4, of("nothing", 0))},
		{name: "none", q: ask(4, []kmsg.DescribeLogDirsRequestTopic{}...)},
	}
}

func alterLogDirsQuestions() []question {
	ask := func(dir, topic string, partitions ...int32) kmsg.Request {
		q := kmsg.NewPtrAlterReplicaLogDirsRequest()
		q.Version = 2
		q.Dirs = []kmsg.AlterReplicaLogDirsRequestDir{{Dir: dir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: topic, Partitions: partitions}}}}
		return q
	}
	return []question{
		{name: "a directory that is none of ours", q: ask("/elsewhere", "t", 0)},
		{name: "a relative directory", q: ask("elsewhere", "t", 0)},
		{name: "a missing topic", q: ask("/elsewhere", "nothing", 0)},
		{name: "a missing partition", q: ask("/elsewhere", "t", 9)},
	}
}

func describeProducersQuestions() []question {
	q := kmsg.NewPtrDescribeProducersRequest()
	q.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{0, 1, 9}}, {Topic: "nothing", Partitions: []int32{0}}, {Topic: "a b", Partitions: []int32{0}}}
	return []question{{name: "a producer, none, and what does not exist", q: q}}
}

func electLeadersQuestions() []question {
	ask := func(version int16, kind int8, topics ...kmsg.ElectLeadersRequestTopic) kmsg.Request {
		q := kmsg.NewPtrElectLeadersRequest()
		q.Version, q.ElectionType, q.Topics = version, kind, topics
		return q
	}
	of := func(name string, partitions ...int32) kmsg.ElectLeadersRequestTopic {
		return kmsg.ElectLeadersRequestTopic{Topic: name, Partitions: partitions}
	}
	return []question{
		{name: "preferred", q: ask(2, 0, of("t", 0, 1))},
		{name: "preferred, version 0", q: ask(0, 0, of("t", 0))},
		{name: "preferred of all", q: ask(2, 0)},
		{name: "unclean", q: ask(2, 1, of("t", 0))},
		{name: "unclean of all", q: ask(2, 1)},
		{name: "missing", q: ask(2, 0, of("t", 9), of("nothing", 0), of("a b", 0))},
		{name: "an unknown kind", q: ask(2, 7, of("t", 0))},
	}
}

func reassignQuestions() []question {
	ask := func(topic string, partition int32, replicas ...int32) kmsg.Request {
		q := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		q.Version, q.TimeoutMillis = 1, 5000
		q.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: topic, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: partition, Replicas: replicas}}}}
		return q
	}
	keep := ask("t", 0, 1).(*kmsg.AlterPartitionAssignmentsRequest)
	keep.AllowReplicationFactorChange = false
	empty := ask("t", 0).(*kmsg.AlterPartitionAssignmentsRequest)
	empty.Topics[0].Partitions[0].Replicas = []int32{}
	return []question{
		{name: "where it is", q: ask("t", 0, 1)},
		{name: "where it is, version 0", q: at(ask("t", 0, 1), 0)},
		{name: "where it is, factor fixed", q: keep},
		{name: "a missing broker", q: ask("t", 0, 2)},
		{name: "a missing broker too", q: ask("t", 0, 1, 2)},
		{name: "a broker twice", q: ask("t", 0, 1, 1)},
		{name: "a negative broker", q: ask("t", 0, -1)},
		{name: "nowhere", q: empty},
		{name: "cancel", q: ask("t", 0)},
		{name: "a missing partition", q: ask("t", 9, 1)},
		{name: "a missing topic", q: ask("nothing", 0, 1)},
		{name: "nothing", q: at(kmsg.NewPtrAlterPartitionAssignmentsRequest(), 1)},
	}
}

func listReassignmentsQuestions() []question {
	some := kmsg.NewPtrListPartitionReassignmentsRequest()
	some.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{{Topic: "t", Partitions: []int32{0, 9}}, {Topic: "nothing", Partitions: []int32{0}}}
	return []question{
		{name: "all", q: kmsg.NewPtrListPartitionReassignmentsRequest()},
		{name: "some", q: some},
	}
}

func describeQuorumQuestions() []question {
	ask := func(version int16, topic string, partitions ...int32) kmsg.Request {
		q := kmsg.NewPtrDescribeQuorumRequest()
		q.Version = version
		x := kmsg.DescribeQuorumRequestTopic{Topic: topic}
		for _, p := range partitions {
			x.Partitions = append(x.Partitions, kmsg.DescribeQuorumRequestTopicPartition{Partition: p})
		}
		q.Topics = append(q.Topics, x)
		return q
	}
	return []question{
		{name: "the quorum", q: ask(2, "__cluster_metadata", 0)},
		{name: "version 0", q: ask(0, "__cluster_metadata", 0)},
		{name: "version 1", q: ask(1, "__cluster_metadata", 0)},
		{name: "another partition", q: ask(2, "__cluster_metadata", 1)},
		{name: "another topic", q: ask(2, "t", 0)},
		{name: "nothing", q: at(kmsg.NewPtrDescribeQuorumRequest(), 2)},
	}
}

func updateFeaturesQuestions() []question {
	ask := func(version int16, feature string, level int16, kind int8, validate bool) kmsg.Request {
		q := kmsg.NewPtrUpdateFeaturesRequest()
		q.Version, q.ValidateOnly = version, validate
		q.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: feature, MaxVersionLevel: level, UpgradeType: kind}}
		return q
	}
	return []question{
		{name: "an unknown feature", q: ask(2, "bogus", 1, 1, false)},
		{name: "an unknown feature, version 1", q: ask(1, "bogus", 1, 1, false)},
		{name: "an unknown feature, version 0", q: ask(0, "bogus", 1, 1, false)},
		{name: "a metadata version that does not exist", q: ask(2, "metadata.version", 999, 1, false)},
		{name: "the metadata version in force", q: ask(2, "metadata.version", 30, 1, true)},
		{name: "a downgrade called an upgrade", q: ask(2, "metadata.version", 20, 1, true)},
		{name: "an unknown kind", q: ask(2, "metadata.version", 30, 9, true)},
		{name: "nothing", q: at(kmsg.NewPtrUpdateFeaturesRequest(), 2)},
	}
}

func telemetryQuestions() []question {
	known := kmsg.NewPtrGetTelemetrySubscriptionsRequest()
	known.ClientInstanceID = [16]byte{1, 2, 3}
	push := kmsg.NewPtrPushTelemetryRequest()
	push.ClientInstanceID, push.SubscriptionID, push.Metrics = [16]byte{1, 2, 3}, 12345, []byte("x")
	stranger := kmsg.NewPtrPushTelemetryRequest()
	return []question{
		{name: "a new client", q: kmsg.NewPtrGetTelemetrySubscriptionsRequest()},
		{name: "a known client", q: known},
		{name: "push", q: push},
		{name: "push of nobody", q: stranger},
	}
}

func aclQuestions() []question {
	d := kmsg.NewPtrDescribeACLsRequest()
	d.Version, d.ResourceType, d.ResourcePatternType, d.Operation, d.PermissionType = 3, 1, 1, 1, 1
	cr := kmsg.NewPtrCreateACLsRequest()
	cr.Version = 3
	cr.Creations = []kmsg.CreateACLsRequestCreation{{ResourceType: 2, ResourceName: "t", ResourcePatternType: 3, Principal: "User:a", Host: "*", Operation: 3, PermissionType: 3}}
	de := kmsg.NewPtrDeleteACLsRequest()
	de.Version = 3
	de.Filters = []kmsg.DeleteACLsRequestFilter{{ResourceType: 1, ResourcePatternType: 1, Operation: 1, PermissionType: 1}}
	return []question{
		{name: "describe", q: d},
		{name: "create", q: cr},
		{name: "delete", q: de},
		{name: "create none", q: at(kmsg.NewPtrCreateACLsRequest(), 3)},
		{name: "delete none", q: at(kmsg.NewPtrDeleteACLsRequest(), 3)},
	}
}

// unusedQuestions are about what an unused Kafka has none of.
func unusedQuestions() []question {
	quotas := kmsg.NewPtrDescribeClientQuotasRequest()
	quotas.Version = 1
	quotas.Components = []kmsg.DescribeClientQuotasRequestComponent{{EntityType: "user", MatchType: 2}}
	bad := kmsg.NewPtrDescribeClientQuotasRequest()
	bad.Version = 1
	bad.Components = []kmsg.DescribeClientQuotasRequestComponent{{EntityType: "planet", MatchType: 2}}
	scram := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	scram.Users = []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: "a"}, {Name: "b"}, {Name: "b"}}
	list := kmsg.NewPtrListTransactionsRequest()
	list.Version = 2
	filtered := kmsg.NewPtrListTransactionsRequest()
	filtered.Version, filtered.StateFilters, filtered.ProducerIDFilters = 2, []string{"Ongoing", "Bogus"}, []int64{7}
	transactions := kmsg.NewPtrDescribeTransactionsRequest()
	transactions.TransactionalIDs = []string{"x", ""}
	token := kmsg.NewPtrCreateDelegationTokenRequest()
	token.Version = 3
	stranger := kmsg.NewPtrUnregisterBrokerRequest()
	stranger.BrokerID = 9
	return []question{
		{name: "forget a broker that is not there", q: stranger},
		{name: "quotas of users", q: quotas},
		{name: "all quotas", q: at(kmsg.NewPtrDescribeClientQuotasRequest(), 1)},
		{name: "quotas of an unknown kind", q: bad},
		{name: "all credentials", q: kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()},
		{name: "credentials", q: scram},
		{name: "tokens", q: at(kmsg.NewPtrDescribeDelegationTokenRequest(), 3)},
		{name: "a new token", q: token},
		{name: "renew a token", q: at(kmsg.NewPtrRenewDelegationTokenRequest(), 2)},
		{name: "expire a token", q: at(kmsg.NewPtrExpireDelegationTokenRequest(), 2)},
		{name: "transactions", q: list},
		{name: "filtered transactions", q: filtered},
		{name: "two transactions", q: transactions},
	}
}

func metadataQuestions() []question {
	ask := func(version int16, create bool, topics ...string) *kmsg.MetadataRequest {
		q := kmsg.NewPtrMetadataRequest()
		q.Version, q.AllowAutoTopicCreation = version, create
		q.Topics = []kmsg.MetadataRequestTopic{}
		for _, name := range topics {
			q.Topics = append(q.Topics, kmsg.MetadataRequestTopic{Topic: text(name)})
		}
		return q
	}
	byID := ask(12, false)
	byID.Topics = append(byID.Topics, kmsg.MetadataRequestTopic{TopicID: [16]byte{9}})
	return []question{
		{name: "topics", q: ask(12, false, "t", "u")},
		{name: "missing, no creation", q: ask(12, false, "missing")},
		{name: "bad names", q: ask(12, true, "a b", "..", "")},
		{name: "an unknown id", q: byID},
		{name: "none", q: ask(12, true)},
		{name: "what may be done", q: operations(ask(12, false, "t"), 12)},
		{name: "what may be done, version 10", q: operations(ask(10, false, "t"), 10)},
	}
}

func operations(q *kmsg.MetadataRequest, version int16) kmsg.Request {
	q.Version, q.IncludeTopicAuthorizedOperations, q.IncludeClusterAuthorizedOperations = version, true, true
	return q
}

func topicsQuestions() []question {
	create := func(name string, partitions int32, factor int16, configs ...*string) *kmsg.CreateTopicsRequest {
		q := kmsg.NewPtrCreateTopicsRequest()
		q.Version, q.TimeoutMillis, q.ValidateOnly = 7, 5000, true
		x := kmsg.CreateTopicsRequestTopic{Topic: name, NumPartitions: partitions, ReplicationFactor: factor}
		for i := 0; i < len(configs); i += 2 {
			x.Configs = append(x.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: *configs[i], Value: configs[i+1]})
		}
		q.Topics = append(q.Topics, x)
		return q
	}
	more := func(name string, count int32) kmsg.Request {
		q := kmsg.NewPtrCreatePartitionsRequest()
		q.Version, q.TimeoutMillis, q.ValidateOnly = 3, 5000, true
		q.Topics = append(q.Topics, kmsg.CreatePartitionsRequestTopic{Topic: name, Count: count})
		return q
	}
	remove := kmsg.NewPtrDeleteTopicsRequest()
	remove.Version, remove.TimeoutMillis = 6, 5000
	remove.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: text("nothing")}, {TopicID: [16]byte{9}}}
	return []question{
		{name: "exists", q: create("t", 1, 1)},
		{name: "defaults", q: create("v", -1, -1, text("retention.ms"), text("60000"))},
		{name: "no partitions", q: create("v", 0, 1)},
		{name: "no replicas", q: create("v", 1, 0)},
		{name: "too many replicas", q: create("v", 1, 2)},
		{name: "a bad name", q: create("a b", 1, 1)},
		{name: "a bad value", q: create("v", 1, 1, text("retention.ms"), text("soon"))},
		{name: "an unknown key", q: create("v", 1, 1, text("bogus"), text("soon"))},
		{name: "null", q: create("v", 1, 1, text("retention.ms"), nil)},
		{name: "more partitions", q: more("t", 4)},
		{name: "as many partitions", q: more("t", 3)},
		{name: "fewer partitions", q: more("t", 2)},
		{name: "more of nothing", q: more("nothing", 2)},
		{name: "delete what is not there", q: remove},
	}
}

func clusterQuestions() []question {
	ask := func(version int16, kind int8) kmsg.Request {
		q := kmsg.NewPtrDescribeClusterRequest()
		q.Version, q.EndpointType, q.IncludeClusterAuthorizedOperations = version, kind, true
		return q
	}
	return []question{
		{name: "brokers", q: ask(2, 1)},
		{name: "version 0", q: ask(0, 1)},
		{name: "controllers", q: ask(2, 2)},
		{name: "an unknown kind", q: ask(2, 9)},
	}
}

// differences are where we do not answer as Kafka, and why.
var differences = append([]difference{
	{"32_describe_configs", "a group", "Resources[g].Configs", "groups have no settings of their own here"},
	{"32_describe_configs", "client metrics", "Resources[m].Configs", "clients are not asked for metrics"},
	{"32_describe_configs", "no such topic", "Resources[nothing].ErrorMessage", "we say why"},
	{"32_describe_configs", "all brokers", "Resources[].Configs", noELR},
	{"32_describe_configs", "", "Resources[t].Configs[acks.policy]", "ours"},
	{"32_describe_configs", "", "Resources[t].Configs[durability]", "ours"},
	{"32_describe_configs", "", "Resources[t].Configs[flush.m", "every acknowledged record is on the disk"},
	{"32_describe_configs", "", "Resources[t].Configs[min.insync.replicas]", noELR},
	{"44_incremental_alter_configs", "", "Resources[1].Configs[log.retention.ms].ConfigSynonyms", "Kafka lists log.retention.hours among the synonyms of log.retention.ms; here a broker setting stands for itself"},
	{"44_incremental_alter_configs", "", "Resources[].Configs[min.insync.replicas]", noELR},
	{"44_incremental_alter_configs", "", "Resources[].Configs = null", noELR},
	{"44_incremental_alter_configs", "an unknown key of a broker", "Resources[1].Error", "a typing error is refused"},
	{"44_incremental_alter_configs", "unknown operation", "Resources[u].Error", "Kafka answers UNKNOWN_SERVER_ERROR"},
	{"55_describe_quorum", "the quorum", "Nodes[1].Listeners[", "controllers have no listener of their own"},
	{"55_describe_quorum", "the quorum", "Topics[__cluster_metadata].Partitions[0].CurrentVoters[1].ReplicaDirectoryID", "ours is always known"},
	{"57_update_features", "the metadata version in force", "Error", "another metadata.version is in force: 25, which every Kafka 4 tool can name"},
	{"71_telemetry", "", "PushIntervalMillis", "a client without a subscription need not ask every five minutes"},
	{"03_metadata", "", "AuthorizedOperations = 8096", onlyBrokers},
	{"03_metadata", "", "AuthorizedOperations = 7584", onlyBrokers},
	{"60_describe_cluster", "", "ClusterAuthorizedOperations = 8096", onlyBrokers},
	{"60_describe_cluster", "", "ClusterAuthorizedOperations = 7584", onlyBrokers},
	{"19_topics", "defaults", "Topics[v].Configs[flush.", "every acknowledged record is on the disk"},
	{"19_topics", "defaults", "Topics[v].Configs[acks.policy]", "ours"},
	{"19_topics", "defaults", "Topics[v].Configs[durability]", "ours"},
	{"19_topics", "defaults", "Topics[v].Configs[min.insync.replicas].Source", noELR},
	{"19_topics", "defaults", "Topics[v].TopicID", "what was only validated has no id"},
	{"19_topics", "more of nothing", "Topics[nothing].ErrorMessage", "we say why"},
}, brokerDifferences()...)

// brokerDifferences are the settings of a broker that are not as Kafka's. What we
// have and Kafka has not is not compared.
func brokerDifferences() (out []difference) {
	for _, row := range []struct{ why, names string }{
		{"a change over the wire names no file, class, address or secret", `listeners] listener.security.protocol.map] config.providers] cordoned.log.dirs] metric.reporters] principal.builder.class] num.recovery.threads.per.data.dir] remote.log.index.file.cache.total.size.bytes] sasl. ssl.`},
		{"may be changed while the broker runs", `auto.create.topics.enable] default.replication.factor] delete.topic.enable] num.partitions]`},
		{"what the recorded broker was told", `advertised.listeners] broker.id] node.id] controller.listener.names] controller.quorum.voters] log.dir] log.dirs] process.roles] offsets.topic.replication.factor] transaction.state.log.min.isr] transaction.state.log.replication.factor]`},
		{"another default", `broker.heartbeat.interval.ms] broker.session.timeout.ms] leader.imbalance.check.interval.seconds] replica.lag.time.max.ms] share.coordinator.state.topic. log.flush.interval.m max.connections] min.insync.replicas] security.providers]`},
		{"no Java class is a default", `remote.log.metadata.manager.class.name]`},
		{"unset rather than empty", `kafka.metrics.reporters] max.connections.per.ip.overrides]`},
		{"a class by its meaning", `authorizer.class.name] replica.selector.class]`},
	} {
		for _, name := range strings.Fields(row.names) {
			out = append(out, difference{"32_describe_configs", thisBroker, "Resources[1].Configs[" + name, row.why})
		}
	}
	return out
}

// thisBroker is the question about the broker's own settings.
const thisBroker = "this broker"

const (
	noELR       = "Kafka sets the cluster's default when eligible leader replicas are switched on"
	onlyBrokers = "what only brokers do, no client may"
)
