package config

// Texts that several rows share.
const (
	notReplicated = "replication has its own fixed limits"
	votersAgree   = "the brokers named in bootstrap choose their voters among themselves"
	notGroups     = "only the classic group protocol exists yet"
	noTuning      = "it needs no tuning here"
	notTxn        = "there is no transaction coordinator yet"
	notSecure     = "only PLAINTEXT listeners exist yet"
	noThreads     = "goroutines, not thread pools: nothing to size"
	noJVM         = "it belongs to the Java broker"
	noZooKeeper   = "the metadata log took ZooKeeper's place"
	oneProcess    = "broker and controller are one process"
	noBuffers     = "the operating system sizes socket buffers by itself"
	noQuotas      = "there are no quotas yet"
	oneDirectory  = "there is one data directory"
	fixed2000     = "2000 is the limit"
	metadataLog   = "the metadata log has its own fixed limits"
)

// brokerTable is what has an effect on a broker apart from the defaults of
// topic settings.
var brokerTable = []Key{
	{Name: "node.id", Type: Int, Derived: "what the data directory says; 1 for a new one", Rule: atLeast(0), Importance: High,
		Doc: "Names this broker for life. The identity on disk outranks it."},
	{Name: "broker.id", Type: Int, Derived: "node.id", Rule: atLeast(-1), Importance: High,
		Doc: "The former name of node.id; -1 is unset."},
	{Name: "cluster.id", Type: String, NoDefault: true, Importance: High,
		Doc: "The id of a cluster to be founded; the identity on disk outranks it."},
	{Name: "broker.rack", Type: String, NoDefault: true, Importance: Medium,
		Doc: "Where this broker stands; handed to clients."},
	{Name: "process.roles", Type: List, Default: "broker,controller", Rule: Rule{Text: "broker,controller", Check: bothRoles}, Importance: High,
		Doc: "What this process does: broker and controller are one process."},
	{Name: "log.dirs", Type: List, NoDefault: true, Importance: High,
		Doc: "The data directory. One only: several are refused."},
	{Name: "log.dir", Type: String, NoDefault: true, Importance: High,
		Doc: "The data directory where log.dirs is not set."},
	{Name: "listeners", Type: List, Default: "PLAINTEXT://127.0.0.1:9092", Importance: High,
		Doc: "Where the broker listens: NAME://HOST:PORT, separated by commas. An empty host is every interface."},
	{Name: "advertised.listeners", Type: List, NoDefault: true, Importance: High,
		Doc: "What clients are told to connect to, by listener name; unset, the listener's own address."},
	{Name: "listener.security.protocol.map", Type: List, Default: "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL", Importance: Medium,
		Doc: "The security protocol of each listener name. Only PLAINTEXT exists yet."},
	{Name: "inter.broker.listener.name", Type: String, NoDefault: true, Importance: Medium,
		Doc: "The listener that other brokers use; the first one when unset."},
	{Name: "controller.listener.names", Type: String, NoDefault: true, Importance: Medium,
		Doc: "Listeners of Kafka's controllers; they are not opened, as broker and controller are one process."},
	{Name: "controller.quorum.voters", Type: List, Rule: Rule{Text: "at most one voter", Check: oneVoter}, Importance: High, Ignored: votersAgree,
		Doc: "Kafka's list of controllers. One voter is accepted; the brokers of a cluster are named in bootstrap."},
	{Name: "controller.quorum.bootstrap.servers", Type: List, Rule: Rule{Text: "at most one address", Check: oneVoter}, Importance: High, Ignored: votersAgree,
		Doc: "Kafka's addresses of controllers. One is accepted; the brokers of a cluster are named in bootstrap."},
	{Name: "authorizer.class.name", Type: Class, Rule: Rule{Text: "empty", Check: noAuthorizer}, Importance: Low,
		Doc: "Kafka's access control. It is refused rather than ignored, because there is none yet."},
	{Name: "admin.listen", Type: String, Default: "127.0.0.1:9644", Importance: Medium,
		Doc: "HOST:PORT of metrics, health and profiles; empty switches them off."},
	{Name: "admin.profiles", Type: String, Default: "loopback", Rule: oneOf("loopback", "all", "off"), Importance: Low,
		Doc: "Who gets the profiles below /debug/pprof/ of admin.listen: programs of this machine, everybody, nobody."},
	{Name: "num.partitions", Type: Int, Default: "1", Rule: between(1, PartitionsMax), Importance: Medium, Dynamic: true,
		Doc: "The partitions of a topic whose creation does not say how many."},
	{Name: "default.replication.factor", Type: Int, Derived: "3, or the number of brokers where there are fewer", Rule: between(1, 1<<15-1), Importance: Medium, Dynamic: true,
		Doc: "The replication factor of a topic whose creation does not say one."},
	{Name: "auto.create.topics.enable", Type: Bool, Default: "false", Importance: High, Dynamic: true,
		Doc: "Whether a topic comes into being because a client asks for it. Off, so that a typing error does not become a topic."},
	{Name: "delete.topic.enable", Type: Bool, Default: "true", Importance: High, Dynamic: true,
		Doc: "Whether topics may be deleted."},
	{Name: "socket.request.max.bytes", Type: Int, Default: "104857600", Rule: between(1<<20, 1<<30), Importance: High,
		Doc: "The largest request that is read."},
	{Name: "queued.max.request.bytes", Type: Long, Default: "-1", Rule: atLeast(-1), Importance: Medium,
		Doc: "The memory for requests of clients; -1 is a share of the machine's."},
	{Name: "max.connections", Type: Int, Default: "10000", Rule: atLeast(1), Importance: Medium, Dynamic: true,
		Doc: "The most connections at a time."},
	{Name: "max.connections.per.ip", Type: Int, Default: "2147483647", Rule: atLeast(1), Importance: Medium, Dynamic: true,
		Doc: "The most connections at a time from one address."},
	{Name: "connections.max.idle.ms", Type: Long, Default: "600000", Rule: atLeast(1000), Importance: Medium,
		Doc: "How long a connection may be silent before it is closed."},
	{Name: "fetch.max.bytes", Type: Int, Default: "57671680", Rule: atLeast(1024), Importance: Medium,
		Doc: "The most bytes that one fetch is answered with."},
	{Name: "max.incremental.fetch.session.cache.slots", Type: Int, Default: "1000", Rule: atLeast(0), Importance: Medium,
		Doc: "How many fetch sessions are kept."},
	{Name: "log.retention.check.interval.ms", Type: Long, Default: "300000", Rule: atLeast(1), Importance: Medium,
		Doc: "How often retention looks for segments to delete."},
	{Name: "producer.id.expiration.ms", Type: Int, Default: "86400000", Rule: atLeast(1), Importance: Low, Dynamic: true,
		Doc: "How long the state of a silent idempotent producer is kept, counted from its last append."},
	{Name: "producer.id.expiration.check.interval.ms", Type: Int, Default: "600000", Rule: atLeast(1), Importance: Low,
		Doc: "How often expired producers are looked for."},
	{Name: "scrub.bytes.per.second", Type: Long, Default: "8388608", Rule: atLeast(0), Importance: Low, Dynamic: true,
		Doc: "How fast closed segments are read in the background and compared with their checksums, while nothing much is written; under load a sixteenth of it. 0: never."},
	{Name: "scrub.interval.ms", Type: Long, Default: "86400000", Rule: atLeast(1000), Importance: Low, Dynamic: true,
		Doc: "The time from the beginning of one look at every closed segment to the next."},
	{Name: "controlled.shutdown.max.wait.ms", Type: Long, Default: "30000", Rule: atLeast(1), Importance: Medium,
		Doc: "How long a stop waits for leaders to move and for requests that are under way."},
	{Name: "offsets.topic.num.partitions", Type: Int, Default: "50", Rule: between(1, 1000), Importance: High,
		Doc: "The partitions of the internal topic of consumer groups. It counts when the topic is made, at the first request of a group."},
	{Name: "offsets.topic.replication.factor", Type: Short, Derived: "as default.replication.factor", Rule: between(1, 1<<15-1), Importance: High,
		Doc: "The replication factor of the internal topic of consumer groups. It counts when the topic is made."},
	{Name: "offsets.topic.segment.bytes", Type: Int, Default: "104857600", Rule: atLeast(1 << 20), Importance: High,
		Doc: "The segment size of the internal topic of consumer groups. It counts when the topic is made."},
	{Name: "offsets.retention.minutes", Type: Int, Default: "10080", Rule: atLeast(1), Importance: High,
		Doc: "How long offsets are kept after their group lost its last member, or after the commit where there never was one."},
	{Name: "offsets.retention.check.interval.ms", Type: Long, Default: "600000", Rule: atLeast(1), Importance: High,
		Doc: "How often expired offsets are looked for."},
	{Name: "offsets.commit.timeout.ms", Type: Int, Default: "5000", Rule: atLeast(1), Importance: High,
		Doc: "How long an offset commit waits until it is durable, before it is answered with a retriable error."},
	{Name: "offset.metadata.max.bytes", Type: Int, Default: "4096", Rule: between(0, 1<<20), Importance: High,
		Doc: "The most bytes of metadata that a client may commit with an offset."},
	{Name: "group.initial.rebalance.delay.ms", Type: Int, Default: "3000", Rule: between(0, 3600_000), Importance: Medium,
		Doc: "How long the first rebalance of an empty group waits for more members."},
	{Name: "group.min.session.timeout.ms", Type: Int, Default: "6000", Rule: atLeast(1), Importance: Medium,
		Doc: "The shortest session timeout that a member may ask for."},
	{Name: "group.max.session.timeout.ms", Type: Int, Default: "1800000", Rule: atLeast(1), Importance: Medium,
		Doc: "The longest session timeout that a member may ask for."},
	{Name: "group.max.size", Type: Int, Default: "2147483647", Rule: atLeast(1), Importance: Medium,
		Doc: "The most members of a group."},
}

// brokerClusterTable is what brokers of a cluster have to do with each other.
var brokerClusterTable = []Key{
	{Name: "bootstrap", Type: List, NoDefault: true, Rule: Rule{Text: "HOST:PORT,HOST:PORT,...", Check: addresses}, Importance: High,
		Doc: "HOST:PORT of every broker of the cluster, this one too, and the same list on each. In empty directories they found a cluster together, once all have answered; otherwise they find each other by it. Unset, an empty directory founds a cluster of this broker alone."},
	{Name: "bootstrap.absent", Type: List, NoDefault: true, Rule: Rule{Text: "HOST:PORT,HOST:PORT,...", Check: addresses}, Importance: Low,
		Doc: "Addresses of bootstrap for which the founding of a cluster does not wait. Whoever names one promises that no cluster exists there: a second one would take its place, and its records."},
	{Name: "broker.secret.file", Type: String, Derived: "a file of this user, made by the first broker, where every listener is on loopback", Importance: High,
		Doc: "A file with the secret by which brokers know each other: 64 or more hexadecimal digits, readable by its owner only, the same on each. Needed beyond loopback."},
	{Name: "broker.network.trusted", Type: Bool, Default: "false", Importance: Medium,
		Doc: "Connections between brokers of different machines prove both ends, and then are neither encrypted nor protected against changes. They are refused unless this says that nobody else can reach the network between them."},
	{Name: "replica.lag.time.max.ms", Type: Long, Default: "10000", Rule: between(100, 3600_000), Importance: High,
		Doc: "How long a live follower may be behind before it leaves the ISR. It bounds how long a slow one can hold acknowledgements up; a dead or silent one is out of the way sooner, by broker.session.timeout.ms."},
	{Name: "broker.heartbeat.interval.ms", Type: Int, Default: "250", Rule: between(10, 60_000), Importance: Low,
		Doc: "How often a broker tells the controller that it is alive."},
	{Name: "broker.session.timeout.ms", Type: Int, Default: "2000", Rule: between(100, 600_000), Importance: Low,
		Doc: "How long a broker may be silent before others take its place. A broker whose process is gone is replaced at once; this is for one that is paused or cut off. The controller's own setting counts."},
	{Name: "auto.leader.rebalance.enable", Type: Bool, Default: "true", Importance: Medium,
		Doc: "Whether leaders move back to the preferred replicas when every broker and replica is well again."},
	{Name: "leader.imbalance.check.interval.seconds", Type: Long, Default: "10", Rule: between(1, 86_400), Importance: Medium,
		Doc: "How often the controller looks whether leaders can move back, and a few at a time do."},
}

// PartitionsMax is the largest number of partitions of one topic.
const PartitionsMax = 100_000

// brokerLaterTable is what rooms of later versions will read.
var brokerLaterTable = keysOf(Low, []ignoredKey{
	{"offsets.topic.compression.codec", Int, "0", "the compression of the internal topic of groups", noTuning},
	{"offsets.load.buffer.size", Int, "5242880", "the read size of loading offsets", noTuning},
	{"group.coordinator.threads", Int, "4", "the threads of the coordinator", noThreads},
	{"group.coordinator.rebalance.protocols", List, "classic,consumer,streams", "the group protocols that are served", notGroups},
	{"group.consumer.session.timeout.ms", Int, "45000", "the session timeout of consumer groups", notGroups},
	{"group.consumer.heartbeat.interval.ms", Int, "5000", "the heartbeat interval of consumer groups", notGroups},
	{"group.consumer.max.size", Int, "2147483647", "the most members of a consumer group", notGroups},
	{"transaction.state.log.replication.factor", Short, "", "the replication factor of the transaction log", notTxn},
	{"transaction.state.log.min.isr", Int, "", "the min ISR of the transaction log", notTxn},
	{"transaction.state.log.num.partitions", Int, "50", "the partitions of the transaction log", notTxn},
	{"transaction.state.log.segment.bytes", Int, "104857600", "the segment size of the transaction log", notTxn},
	{"transaction.max.timeout.ms", Int, "900000", "the longest transaction", notTxn},
	{"transactional.id.expiration.ms", Int, "604800000", "how long a silent transactional id is kept", notTxn},
	{"transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, "10000", "how often late transactions are aborted", notTxn},
	{"transaction.partition.verification.enable", Bool, "true", "whether produce checks its transaction", notTxn},
	{"share.coordinator.state.topic.replication.factor", Short, "", "the replication factor of the share-group state", notGroups},
	{"share.coordinator.state.topic.min.isr", Short, "", "the min ISR of the share-group state", notGroups},
	{"share.coordinator.state.topic.num.partitions", Int, "50", "the partitions of the share-group state", notGroups},
	{"replica.fetch.min.bytes", Int, "1", "the least that a follower's fetch waits for", notReplicated},
	{"replica.fetch.max.bytes", Int, "1048576", "the most of one partition in a follower's fetch", notReplicated},
	{"replica.fetch.wait.max.ms", Int, "500", "how long a follower's fetch waits", notReplicated},
	{"replica.fetch.backoff.ms", Int, "1000", "the pause after a follower's failed fetch", notReplicated},
	{"replica.fetch.response.max.bytes", Int, "10485760", "the most of a follower's whole fetch", notReplicated},
	{"replica.socket.timeout.ms", Int, "30000", "the timeout of connections between brokers", notReplicated},
	{"replica.selector.class", Class, "", "which replica a consumer reads from", notReplicated},
	{"num.replica.fetchers", Int, "1", "fetchers per leader", notReplicated},
	{"leader.imbalance.per.broker.percentage", Int, "10", "how uneven leaders may be", notReplicated},
	{"unclean.leader.election.interval.ms", Long, "300000", "how often unclean elections are tried", "there are none"},
	{"controller.quorum.election.timeout.ms", Int, "1000", "when a voter campaigns", notReplicated},
	{"controller.quorum.fetch.timeout.ms", Int, "2000", "when a voter gives its leader up", notReplicated},
	{"controller.quorum.request.timeout.ms", Int, "2000", "the timeout between controllers", notReplicated},
	{"security.inter.broker.protocol", String, "PLAINTEXT", "the protocol between brokers", notReplicated},
	{"super.users", String, "", "who may do everything", "there is no access control yet"},
	{"allow.everyone.if.no.acl.found", Bool, "true", "what holds without an access rule", "there is no access control yet"},
	{"principal.builder.class", Class, "", "who a connection speaks for", notSecure},
	{"metadata.log.dir", String, "", "where the metadata log lies", "it lies in the data directory"},
	{"metadata.log.segment.bytes", Int, "1073741824", "the segment size of the metadata log", metadataLog},
	{"metadata.log.segment.ms", Long, "604800000", "the segment age of the metadata log", metadataLog},
	{"metadata.max.retention.bytes", Long, "104857600", "how much of the metadata log is kept", metadataLog},
	{"metadata.max.retention.ms", Long, "604800000", "how long the metadata log is kept", metadataLog},
	{"metadata.max.idle.interval.ms", Int, "500", "how often an idle metadata log grows", metadataLog},
	{"metadata.log.max.record.bytes.between.snapshots", Long, "20971520", "when metadata is snapshotted", metadataLog},
	{"metadata.log.max.snapshot.interval.ms", Long, "3600000", "how often metadata is snapshotted", metadataLog},
	{"remote.log.storage.system.enable", Bool, "false", "remote storage", notTiered},
})

// brokerIgnoredTable is what only the Java broker can use.
var brokerIgnoredTable = keysOf(Low, []ignoredKey{
	{"num.network.threads", Int, "3", "threads for the network", noThreads},
	{"num.io.threads", Int, "8", "threads for requests", noThreads},
	{"num.recovery.threads.per.data.dir", Int, "2", "threads for recovery", noThreads},
	{"num.replica.alter.log.dirs.threads", Int, "", "threads for moving replicas", noThreads},
	{"background.threads", Int, "10", "threads for other work", noThreads},
	{"queued.max.requests", Int, "500", "requests that wait for a thread", "memory is bounded by queued.max.request.bytes"},
	{"socket.send.buffer.bytes", Int, "102400", "the send buffer of a socket", noBuffers},
	{"socket.receive.buffer.bytes", Int, "102400", "the receive buffer of a socket", noBuffers},
	{"socket.listen.backlog.size", Int, "50", "connections that wait to be accepted", noBuffers},
	{"request.timeout.ms", Int, "30000", "the timeout between brokers", notReplicated},
	{"controller.socket.timeout.ms", Int, "30000", "the timeout between brokers", notReplicated},
	{"controlled.shutdown.enable", Bool, "true", "whether a stop hands leaders over", "a stop is always clean"},
	{"controlled.shutdown.max.retries", Int, "3", "how often a stop hands leaders over", noJVM},
	{"controlled.shutdown.retry.backoff.ms", Long, "5000", "the pause between them", noJVM},
	{"log.flush.scheduler.interval.ms", Long, maxLong, "how often the flusher looks", flushedAnyway},
	{"log.flush.offset.checkpoint.interval.ms", Int, "60000", "how often the recovery point is written", "checkpoints are paced by the journal"},
	{"log.flush.start.offset.checkpoint.interval.ms", Int, "60000", "how often log start offsets are written", "checkpoints are paced by the journal"},
	{"replica.high.watermark.checkpoint.interval.ms", Long, "5000", "how often high watermarks are written", "the journal carries them"},
	{"log.cleaner.enable", Bool, "true", "the cleaner", noCleaner},
	{"log.cleaner.threads", Int, "1", "threads of the cleaner", noCleaner},
	{"log.cleaner.dedupe.buffer.size", Long, "134217728", "memory of the cleaner", noCleaner},
	{"log.cleaner.io.buffer.size", Int, "524288", "buffers of the cleaner", noCleaner},
	{"log.cleaner.io.buffer.load.factor", Double, "0.9", "buffers of the cleaner", noCleaner},
	{"log.cleaner.io.max.bytes.per.second", Double, "1.7976931348623157E308", "the pace of the cleaner", noCleaner},
	{"log.cleaner.backoff.ms", Long, "15000", "the pause of the cleaner", noCleaner},
	{"inter.broker.protocol.version", String, "", "the protocol between brokers", "a feature level in the metadata log decides"},
	{"reserved.broker.max.id", Int, "1000", "ids given out by ZooKeeper", noZooKeeper},
	{"broker.id.generation.enable", Bool, "true", "ids given out by ZooKeeper", noZooKeeper},
	{"metric.reporters", List, "", "classes that report metrics", "/metrics of admin.listen has them"},
	{"auto.include.jmx.reporter", Bool, "true", "metrics over JMX", "/metrics of admin.listen has them"},
	{"metrics.num.samples", Int, "2", "samples of a metric", "/metrics of admin.listen has them"},
	{"metrics.sample.window.ms", Long, "30000", "the window of a metric", "/metrics of admin.listen has them"},
	{"metrics.recording.level", String, "INFO", "which metrics are kept", "/metrics of admin.listen has them"},
	{"create.topic.policy.class.name", Class, "", "a class that refuses topics", noJVM},
	{"alter.config.policy.class.name", Class, "", "a class that refuses changes", noJVM},
	{"config.providers", List, "", "classes that read secrets", noJVM},
	{"kafka.metrics.reporters", List, "", "classes that report metrics", "/metrics of admin.listen has them"},
	{"kafka.metrics.polling.interval.secs", Int, "10", "how often metrics are reported", "/metrics of admin.listen has them"},
	{"compression.buffer.size", Int, "", "buffers of compression", noJVM},
	{"early.start.listeners", List, "", "listeners that open early", "every listener opens when the broker is ready"},
	{"initial.broker.registration.timeout.ms", Int, "60000", "how long joining may take", notReplicated},
	{"max.connection.creation.rate", Int, "2147483647", "how fast connections may come", "max.connections bounds them"},
	{"connection.failed.authentication.delay.ms", Int, "100", "the answer to a failed login is late by it", notSecure},
	{"quota.window.num", Int, "11", "samples of a quota", "there are no quotas yet"},
	{"quota.window.size.seconds", Int, "1", "the window of a quota", "there are no quotas yet"},
	{"fetch.purgatory.purge.interval.requests", Int, "1000", "when waiting fetches are cleaned up", noJVM},
	{"producer.purgatory.purge.interval.requests", Int, "1000", "when waiting produces are cleaned up", noJVM},
	{"delete.records.purgatory.purge.interval.requests", Int, "1", "when waiting deletions are cleaned up", noJVM},
	{"max.connections.per.ip.overrides", String, "", "limits of single addresses", "max.connections.per.ip holds for all"},
	{"telemetry.max.bytes", Int, "1048576", "the largest report of client metrics", "clients are not asked for metrics"},
})

// ignoredKey is a row of a setting that is accepted and has no effect.
type ignoredKey struct {
	name  string
	kind  Type
	value string // default; empty: none
	what  string
	why   string
}

func keysOf(importance Importance, rows []ignoredKey) []Key {
	keys := make([]Key, 0, len(rows))
	for _, r := range rows {
		keys = append(keys, Key{Name: r.name, Type: r.kind, Default: r.value, NoDefault: r.value == "", Importance: importance,
			Dynamic: changeableInKafka[r.name], Sensitive: r.kind == Password, Ignored: r.why, Doc: "In Kafka: " + r.what + "."})
	}
	return keys
}

// family is a group of settings known by how their names begin.
type family struct {
	prefix    string
	ignored   string
	sensitive bool
}

// families are whole groups of settings of the Java broker. Values of the
// security ones are never shown.
var families = []family{
	{"ssl.", notSecure, true},
	{"sasl.", notSecure, true},
	{"security.providers", notSecure, true},
	{"delegation.token.", notSecure, true},
	{"password.encoder.", noZooKeeper, true},
	{"listener.name.", notSecure, true},
	{"zookeeper.", noZooKeeper, false},
	{"log4j.", noJVM, false},
	{"metrics.jmx.", noJVM, false},
	{"remote.log.", notTiered, false},
	{"rsm.config.", notTiered, true},
	{"rlmm.config.", notTiered, true},
	{"group.share.", notGroups, false},
	{"group.streams.", notGroups, false},
	{"group.consumer.", notGroups, false},
	{"share.coordinator.", notGroups, false},
	{"transaction.state.log.", notTxn, false},
	{"controller.quorum.", notReplicated, false},
	{"controller.quota.", "there are no quotas yet", false},
	{"replication.quota.", "there are no quotas yet", false},
	{"alter.log.dirs.replication.quota.", "there are no quotas yet", false},
	{"confluent.", "it belongs to another vendor's broker", true},
}
