package admin

import (
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// collector turns a View into metrics at each scrape. It is "unchecked": what
// there is depends on the partitions of the moment, and a partition that leaves
// takes its series along.
type collector struct{ look func() View }

// Describe implements prometheus.Collector.
func (*collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	v := c.look()
	e := emitter{ch: ch}
	e.broker(&v)
	e.storage(&v.Storage)
	e.network(&v)
	e.quorum(&v)
	for i := range v.Partitions {
		e.partition(&v.Partitions[i])
	}
	e.topics(&v)
	e.groups(&v)
	e.replicaManager(&v)
}

// emitter writes single values. Help texts are constant per name.
type emitter struct{ ch chan<- prometheus.Metric }

func (e emitter) put(kind prometheus.ValueType, name, help string, value float64, labels ...string) {
	var names, values []string
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, label(labels[i+1]))
	}
	e.ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, values...)
}

// label is s as the value of a label: strangers choose the names of groups and
// clients, and Prometheus takes nothing but UTF-8. Different names stay different.
func label(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strconv.Quote(s)
}

func (e emitter) gauge(name, help string, value float64, labels ...string) {
	e.put(prometheus.GaugeValue, name, help, value, labels...)
}

func (e emitter) counter(name, help string, value float64, labels ...string) {
	e.put(prometheus.CounterValue, name, help, value, labels...)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (e emitter) broker(v *View) {
	e.gauge("holdfast_info", "Version and identity of this broker; always 1.", 1,
		"version", v.Version, "cluster_id", v.ClusterID, "broker", strconv.Itoa(int(v.Broker)))
	e.gauge("holdfast_start_time_seconds", "When this broker started, in seconds since 1970.", float64(v.Started.Unix()))
	e.gauge("holdfast_ready", "1 when every readiness check holds.", number(v.Ready()))
	for _, r := range v.Requests {
		e.counter("holdfast_requests_total", "Requests by API.", float64(r.Total), "api", r.API)
		e.counter("holdfast_request_failures_total", "Requests that were malformed, of a version that is not served, or refused as a whole, by API. Errors inside an answer are not counted.", float64(r.Failed), "api", r.API)
	}
	e.counter("holdfast_weak_acks_total", "Produce requests that asked for less than acks=all.", float64(v.WeakAcks.Zero), "acks", "0")
	e.counter("holdfast_weak_acks_total", "Produce requests that asked for less than acks=all.", float64(v.WeakAcks.One), "acks", "1")
	for _, w := range v.WeakClients {
		e.counter("holdfast_weak_acks_client_batches_total", "Batches that asked for less than acks=all, by who sent them.", float64(w.Batches),
			"topic", w.Topic, "client_id", w.ClientID, "acks", strconv.Itoa(int(w.Acks)))
	}
	e.gauge("kafka_broker_info", "This broker; always 1.", 1, "id", strconv.Itoa(int(v.Broker)), "address", v.Address)
	e.gauge("kafka_brokers", "Brokers in the cluster.", float64(v.Brokers))
}

func (e emitter) storage(s *Storage) {
	e.gauge("holdfast_storage_failed", "1 after a failed write or sync: nothing is acknowledged any more.", number(s.Failed))
	e.gauge("holdfast_storage_full", "1 while writes are refused because free space is below the reserve.", number(s.Full))
	e.gauge("holdfast_storage_free_bytes", "Free bytes of the data directory's file system.", float64(s.Free))
	e.gauge("holdfast_storage_size_bytes", "Size of the data directory's file system.", float64(s.Total))
	e.counter("holdfast_flush_rounds_total", "Group commits.", float64(s.FlushRounds))
	e.counter("holdfast_flushed_bytes_total", "Bytes made durable by group commits.", float64(s.FlushedBytes))
	e.counter("holdfast_flush_seconds_total", "Seconds spent in group commits.", s.FlushSeconds)
	e.counter("holdfast_direct_syncs_total", "Segments synced by group commits without the journal.", float64(s.DirectSyncs))
	e.counter("holdfast_checkpoints_total", "Log checkpoints.", float64(s.Checkpoints))
	e.counter("holdfast_checkpoint_failures_total", "Log checkpoints that failed and were tried again.", float64(s.CheckpointsFailed))
	e.counter("holdfast_no_descriptor_total", "Times that a group commit waited for a file descriptor.", float64(s.NoDescriptor))
	e.counter("holdfast_scrubbed_bytes_total", "Bytes of closed segments that were compared with their checksums.", float64(s.ScrubbedBytes))
	e.gauge("holdfast_corrupt_segments", "Closed segments in which the scrub has found rot.", float64(s.CorruptSegments))
	e.gauge("holdfast_stray_directories", "Partition directories of topics that the metadata does not know; they stay.", float64(s.Strays))
	e.gauge("holdfast_journal_used_bytes", "Bytes of the journal that no checkpoint covers yet.", float64(s.JournalUsed))
	e.gauge("holdfast_journal_size_bytes", "Size of the journal.", float64(s.JournalSize))
	e.gauge("kafka_log_logmanager_offlinelogdirectorycount", "Data directories that have stopped.", number(s.Failed))
}

func (e emitter) network(v *View) {
	n := &v.Network
	e.gauge("holdfast_connections", "Open client connections.", float64(n.Open))
	e.counter("holdfast_connections_accepted_total", "Connections accepted.", float64(n.Accepted))
	e.counter("holdfast_connections_refused_total", "Connections refused because of a limit.", float64(n.Refused))
	e.counter("holdfast_connections_closed_total", "Connections closed by a time limit.", float64(n.ClosedIdle), "reason", "idle")
	e.counter("holdfast_connections_closed_total", "Connections closed by a time limit.", float64(n.ClosedSlow), "reason", "slow")
	e.counter("holdfast_bad_frames_total", "Connections closed because of a frame that no client sends.", float64(n.BadFrames))
	e.counter("holdfast_received_bytes_total", "Bytes of requests.", float64(n.BytesIn))
	e.counter("holdfast_sent_bytes_total", "Bytes of replies.", float64(n.BytesOut))
	e.gauge("kafka_server_socket_server_metrics_connection_count", "Open client connections.", float64(n.Open), "listener", "PLAINTEXT")
}

func (e emitter) quorum(v *View) {
	q := &v.Quorum
	e.gauge("kafka_controller_kafkacontroller_activecontrollercount", "1 on the active controller.", number(q.IsLeader))
	e.gauge("kafka_controller_kafkacontroller_offlinepartitionscount", "Partitions without a leader.", float64(q.Offline))
	e.counter("kafka_controller_controllerstats_uncleanleaderelections_total", "Unclean elections; this broker never makes one by itself.", 0)
	e.gauge("kafka_server_raftmetrics_current_leader", "Node id of the active controller.", float64(q.Leader))
	e.gauge("kafka_server_raftmetrics_current_epoch", "Term of the metadata quorum.", float64(q.Term))
	e.gauge("kafka_server_raftmetrics_high_watermark", "Committed end of the metadata log.", float64(q.HighWatermark))
	e.gauge("kafka_server_raftmetrics_log_end_offset", "End of the metadata log.", float64(q.LogEnd))
	state := "follower"
	if q.IsLeader {
		state = "leader"
	}
	e.gauge("kafka_server_raftmetrics_current_state", "State in the metadata quorum.", 1, "current_state", state)
}

func (e emitter) partition(p *Partition) {
	l := []string{"topic", p.Topic, "partition", strconv.Itoa(int(p.Index))}
	under := number(p.InSync < p.Replicas)
	e.gauge("holdfast_partition_durable_offset", "End of what is on stable storage here.", float64(p.Durable), l...)
	e.gauge("holdfast_partition_leader_epoch", "Leader epoch.", float64(p.LeaderEpoch), l...)
	e.gauge("holdfast_partition_page_cache", "1 when acknowledged before it is on stable storage (durability=page-cache).", number(p.PageCache), l...)
	e.gauge("kafka_topic_partition_current_offset", "High watermark.", float64(p.HighWatermark), l...)
	e.gauge("kafka_topic_partition_oldest_offset", "Log start offset.", float64(p.LogStart), l...)
	e.gauge("kafka_topic_partition_in_sync_replica", "In-sync replicas.", float64(p.InSync), l...)
	e.gauge("kafka_topic_partition_leader", "Node id of the leader.", float64(p.Leader), l...)
	e.gauge("kafka_topic_partition_leader_is_preferred", "1 when the preferred replica leads.", number(p.Leading), l...)
	e.gauge("kafka_topic_partition_replicas", "Replicas.", float64(p.Replicas), l...)
	e.gauge("kafka_topic_partition_under_replicated_partition", "1 when a replica is not in sync.", under, l...)
	e.gauge("kafka_log_log_size", "Bytes of the log.", float64(p.Bytes), l...)
	e.gauge("kafka_cluster_partition_replicascount", "Replicas.", float64(p.Replicas), l...)
	e.gauge("kafka_cluster_partition_insyncreplicascount", "In-sync replicas.", float64(p.InSync), l...)
	e.gauge("kafka_cluster_partition_underminisr", "1 when writes are refused.", number(p.InSync < p.MinISR), l...)
	e.gauge("kafka_cluster_partition_atminisr", "1 when one more loss would refuse writes.", number(p.InSync == p.MinISR), l...)
	e.counter("holdfast_partition_weak_acks_total", "Produce requests that asked for less than acks=all.", float64(p.WeakZero), append(l, "acks", "0")...)
	e.counter("holdfast_partition_weak_acks_total", "Produce requests that asked for less than acks=all.", float64(p.WeakOne), append(l, "acks", "1")...)
}

// topics sums partitions to the per-topic names of Kafka's dashboards.
func (e emitter) topics(v *View) {
	type sum struct {
		partitions, records, in, out float64
		appends, reads               Tally
	}
	sums := make(map[string]*sum)
	for i := range v.Partitions {
		p := &v.Partitions[i]
		s := sums[p.Topic]
		if s == nil {
			s = &sum{}
			sums[p.Topic] = s
		}
		s.partitions++
		s.records += float64(p.In.Records)
		s.in += float64(p.In.Bytes)
		s.out += float64(p.Out)
		s.appends.Total, s.appends.Failed = s.appends.Total+p.Appends.Total, s.appends.Failed+p.Appends.Failed
		s.reads.Total, s.reads.Failed = s.reads.Total+p.Reads.Total, s.reads.Failed+p.Reads.Failed
	}
	for topic, s := range sums {
		e.gauge("kafka_topic_partitions", "Partitions of the topic.", s.partitions, "topic", topic)
		e.counter("kafka_server_brokertopicmetrics_messagesin_total", "Records appended.", s.records, "topic", topic)
		e.counter("kafka_server_brokertopicmetrics_bytesin_total", "Bytes appended.", s.in, "topic", topic)
		e.counter("kafka_server_brokertopicmetrics_bytesout_total", "Bytes read.", s.out, "topic", topic)
		e.counter("kafka_server_brokertopicmetrics_totalproducerequests_total", "Batches that were offered.", float64(s.appends.Total), "topic", topic)
		e.counter("kafka_server_brokertopicmetrics_failedproducerequests_total", "Batches that were refused.", float64(s.appends.Failed), "topic", topic)
		e.counter("kafka_server_brokertopicmetrics_totalfetchrequests_total", "Reads of a partition.", float64(s.reads.Total), "topic", topic)
		e.counter("kafka_server_brokertopicmetrics_failedfetchrequests_total", "Reads of a partition that were refused.", float64(s.reads.Failed), "topic", topic)
	}
}

func (e emitter) replicaManager(v *View) {
	var leaders, under, underMin, atMin float64
	for i := range v.Partitions {
		p := &v.Partitions[i]
		leaders += number(p.Leading)
		under += number(p.InSync < p.Replicas)
		underMin += number(p.InSync < p.MinISR)
		atMin += number(p.InSync == p.MinISR)
	}
	e.gauge("kafka_server_replicamanager_leadercount", "Partitions led here.", leaders)
	e.gauge("kafka_server_replicamanager_partitioncount", "Partitions hosted here.", float64(len(v.Partitions)))
	e.gauge("kafka_server_replicamanager_underreplicatedpartitions", "Partitions with a replica out of sync.", under)
	e.gauge("kafka_server_replicamanager_underminisrpartitioncount", "Partitions that refuse writes.", underMin)
	e.gauge("kafka_server_replicamanager_atminisrpartitioncount", "Partitions at min.insync.replicas.", atMin)
	e.gauge("kafka_server_replicamanager_offlinereplicacount", "Replicas on a stopped directory.", number(v.Storage.Failed)*float64(len(v.Partitions)))
}
