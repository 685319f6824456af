package config

// Texts that several rows share.
const (
	flushedAnyway = "every append is part of the next flush round; nothing is acknowledged before it is durable"
	notTiered     = "there is no remote storage yet"
	noCleaner     = "compaction does not exist yet: a compacted topic keeps everything"
	maxLong       = "9223372036854775807"
)

// one names broker settings in the topic setting's own unit.
func one(names ...string) []Synonym {
	list := make([]Synonym, 0, len(names))
	for _, n := range names {
		list = append(list, Synonym{Name: n, Unit: 1})
	}
	return list
}

// topicTable is every setting of a topic: those of Apache Kafka's TopicConfig,
// the two throttles, and ours.
var topicTable = []Key{
	{Name: "acks.policy", Type: String, Default: "upgrade", Rule: oneOf("upgrade", "warn", "allow", "reject"), Importance: High, Broker: one("acks.policy"),
		Doc: "What acks=0 and acks=1 mean: upgrade treats acks=1 as acks=all, allow follows Kafka, warn does that and says so, reject refuses both."},
	{Name: "cleanup.policy", Type: List, Default: "delete", Rule: someOf("delete", "compact"), Importance: Medium, Broker: one("log.cleanup.policy"),
		Doc: "Whether old segments are deleted by retention, compacted by key, or both. Compacted topics keep everything until the cleaner exists."},
	{Name: "compression.gzip.level", Type: Int, Default: "-1", Rule: Rule{Text: "-1 or from 1 to 9", Check: gzipLevel}, Broker: one("compression.gzip.level"),
		Doc: "The gzip level where compression.type is gzip; -1 is the codec's own."},
	{Name: "compression.lz4.level", Type: Int, Default: "9", Rule: between(1, 17), Broker: one("compression.lz4.level"),
		Doc: "The lz4 level where compression.type is lz4."},
	{Name: "compression.type", Type: String, Default: "producer", Rule: oneOf("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"), Importance: Medium, Broker: one("compression.type"),
		Doc: "How batches are stored: producer keeps what the producer sent; any other makes the broker recompress."},
	{Name: "compression.zstd.level", Type: Int, Default: "3", Rule: between(-131072, 22), Broker: one("compression.zstd.level"),
		Doc: "The zstd level where compression.type is zstd."},
	{Name: "delete.retention.ms", Type: Long, Default: "86400000", Rule: atLeast(0), Importance: Medium, Broker: one("log.cleaner.delete.retention.ms"), Ignored: noCleaner,
		Doc: "How long a compacted topic keeps the mark of a deleted key."},
	{Name: "durability", Type: String, Default: "fsync", Rule: oneOf("fsync", "page-cache"), Importance: High, Broker: one("durability"),
		Doc: "fsync acknowledges a record once it is on stable storage; page-cache once the operating system has it, so that a power cut can lose acknowledged records."},
	{Name: "file.delete.delay.ms", Type: Long, Default: "60000", Rule: atLeast(0), Broker: one("log.segment.delete.delay.ms"),
		Doc: "How long the files of a deleted segment stay on disk."},
	{Name: "flush.messages", Type: Long, Default: "1", Rule: atLeast(1), Broker: one("log.flush.interval.messages"), Ignored: flushedAnyway,
		Doc: "Kafka's number of records between two flushes; durability=page-cache is the way not to wait for the disk."},
	{Name: "flush.ms", Type: Long, Default: "0", Rule: atLeast(0), Broker: one("log.flush.interval.ms"), Ignored: flushedAnyway,
		Doc: "Kafka's time between two flushes; durability=page-cache is the way not to wait for the disk."},
	{Name: "follower.replication.throttled.replicas", Type: List, Rule: throttled(), Ignored: "there is no replication yet",
		Doc: "The replicas whose copying is slowed down on the follower's side."},
	{Name: "index.interval.bytes", Type: Int, Default: "4096", Rule: atLeast(0), Broker: one("log.index.interval.bytes"),
		Doc: "About how many bytes of log lie between two index entries."},
	{Name: "leader.replication.throttled.replicas", Type: List, Rule: throttled(), Ignored: "there is no replication yet",
		Doc: "The replicas whose copying is slowed down on the leader's side."},
	{Name: "local.retention.bytes", Type: Long, Default: "-2", Rule: atLeast(-2), Importance: Medium, Broker: one("log.local.retention.bytes"), Ignored: notTiered,
		Doc: "How many bytes stay local once they are in remote storage; -2 follows retention.bytes."},
	{Name: "local.retention.ms", Type: Long, Default: "-2", Rule: atLeast(-2), Importance: Medium, Broker: one("log.local.retention.ms"), Ignored: notTiered,
		Doc: "How long records stay local once they are in remote storage; -2 follows retention.ms."},
	{Name: "max.compaction.lag.ms", Type: Long, Default: maxLong, Rule: atLeast(1), Importance: Medium, Broker: one("log.cleaner.max.compaction.lag.ms"), Ignored: noCleaner,
		Doc: "The longest time that a record may stay out of compaction."},
	{Name: "max.message.bytes", Type: Int, Default: "1048588", Rule: between(0, maxBatch), Importance: Medium, Broker: one("message.max.bytes"),
		Doc: "The largest record batch that is accepted, in bytes as stored."},
	{Name: "message.downconversion.enable", Type: Bool, Default: "true", Deprecated: true, Broker: one("log.message.downconversion.enable"), Ignored: "only record format 2 exists",
		Doc: "Kafka's conversion for clients of before 0.11."},
	{Name: "message.format.version", Type: String, NoDefault: true, Deprecated: true, Broker: one("log.message.format.version"), Ignored: "only record format 2 exists",
		Doc: "Kafka's choice of the record format."},
	{Name: "message.timestamp.after.max.ms", Type: Long, Default: "3600000", Rule: atLeast(0), Importance: Medium, Broker: one("log.message.timestamp.after.max.ms"),
		Doc: "How far a producer's timestamp may lie ahead of the broker's clock."},
	{Name: "message.timestamp.before.max.ms", Type: Long, Default: maxLong, Rule: atLeast(0), Importance: Medium, Broker: one("log.message.timestamp.before.max.ms"),
		Doc: "How far a producer's timestamp may lie behind the broker's clock."},
	{Name: "message.timestamp.difference.max.ms", Type: Long, Default: maxLong, Rule: atLeast(0), Deprecated: true, Broker: one("log.message.timestamp.difference.max.ms"), Ignored: "message.timestamp.before.max.ms and message.timestamp.after.max.ms took its place",
		Doc: "Kafka's former bound on a producer's timestamp."},
	{Name: "message.timestamp.type", Type: String, Default: "CreateTime", Rule: oneOf("CreateTime", "LogAppendTime"), Importance: Medium, Broker: one("log.message.timestamp.type"),
		Doc: "Whether a record keeps the producer's timestamp or gets the broker's when it is appended."},
	{Name: "min.cleanable.dirty.ratio", Type: Double, Default: "0.5", Rule: ratio(), Importance: Medium, Broker: one("log.cleaner.min.cleanable.ratio"), Ignored: noCleaner,
		Doc: "The share of a log that must be uncleaned before it is compacted."},
	{Name: "min.compaction.lag.ms", Type: Long, Default: "0", Rule: atLeast(0), Importance: Medium, Broker: one("log.cleaner.min.compaction.lag.ms"), Ignored: noCleaner,
		Doc: "The shortest time that a record stays out of compaction."},
	{Name: "min.insync.replicas", Type: Int, Derived: "replication factor / 2 + 1", Rule: atLeast(1), Importance: High, Broker: one("min.insync.replicas"),
		Doc: "How many in-sync replicas a write needs. Unset, it is derived from the replication factor; it is never bounded by it."},
	{Name: "preallocate", Type: Bool, Default: "false", Importance: Medium, Broker: one("log.preallocate"),
		Doc: "Reserve the blocks of a segment when it is created."},
	{Name: "remote.log.copy.disable", Type: Bool, Default: "false", Ignored: notTiered,
		Doc: "Stop copying segments to remote storage."},
	{Name: "remote.log.delete.on.disable", Type: Bool, Default: "false", Ignored: notTiered,
		Doc: "Delete what is in remote storage when it is switched off."},
	{Name: "remote.storage.enable", Type: Bool, Default: "false", Rule: onlyWith("false", notTiered), Importance: Medium,
		Doc: "Keep older segments in remote storage."},
	{Name: "retention.bytes", Type: Long, Default: "-1", Rule: atLeast(-1), Importance: Medium, Broker: one("log.retention.bytes"),
		Doc: "The size of a partition beyond which its oldest segments are deleted; -1 is without limit."},
	{Name: "retention.ms", Type: Long, Default: "604800000", Rule: atLeast(-1), Importance: Medium,
		Broker: []Synonym{{"log.retention.ms", 1}, {"log.retention.minutes", 60_000}, {"log.retention.hours", 3_600_000}},
		Doc:    "The age at which segments are deleted; -1 is without limit."},
	{Name: "segment.bytes", Type: Int, Default: "1073741824", Rule: atLeast(1024), Importance: Medium, Broker: one("log.segment.bytes"),
		Doc: "The size at which a segment is closed and the next one begins."},
	{Name: "segment.index.bytes", Type: Int, Default: "10485760", Rule: atLeast(12), Broker: one("log.index.size.max.bytes"),
		Doc: "The largest size of an index file; a segment whose index is full is closed."},
	{Name: "segment.jitter.ms", Type: Long, Default: "0", Rule: atLeast(0),
		Broker: []Synonym{{"log.roll.jitter.ms", 1}, {"log.roll.jitter.hours", 3_600_000}},
		Doc:    "The most that is taken off segment.ms at random, so that not all segments close at once."},
	{Name: "segment.ms", Type: Long, Default: "604800000", Rule: atLeast(1), Importance: Medium,
		Broker: []Synonym{{"log.roll.ms", 1}, {"log.roll.hours", 3_600_000}},
		Doc:    "The age at which a segment is closed even when it is not full."},
	{Name: "unclean.leader.election.enable", Type: Bool, Default: "false", Importance: Medium, Broker: one("unclean.leader.election.enable"), Ignored: "a replica that lacks acknowledged records is never elected",
		Doc: "Kafka's permission to elect a replica that lacks acknowledged records."},
}

// maxBatch bounds max.message.bytes: a frame of the protocol cannot carry more
// than about 2 GiB, and memory for a produce request is reserved in one piece.
const maxBatch = 100 << 20

func gzipLevel(v Value) error {
	if v.Int == -1 {
		return nil
	}
	return between(1, 9).Check(v)
}
