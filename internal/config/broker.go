package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/kafka"
)

// Broker holds the settings of one broker. It is immutable: a change of dynamic
// settings makes a new one (WithDynamic).
type Broker struct {
	Identity
	Doors
	Limits
	TopicDefaults
	Upkeep
	Groups
	Cluster

	layers layers
}

// Identity says who the broker is and where it lives.
type Identity struct {
	NodeID    kafka.BrokerID // NoBroker when nobody said it
	ClusterID string         // to found; empty: a random one
	Rack      string
	DataDir   string // empty when nobody said it
}

// Doors says where the broker can be reached.
type Doors struct {
	Listeners           []Listener // at least one
	InterBrokerListener string     // the name of one of Listeners
	AdminListen         string     // HOST:PORT; empty: none
	AdminProfiles       string     // who gets profiles: loopback, all or off
}

// Limits bound what clients can cost.
type Limits struct {
	RequestBytesMax     int
	QueuedRequestBytes  int64 // memory for requests; -1: the broker chooses
	Connections         int
	ConnectionsPerIP    int
	ConnectionIdle      time.Duration
	FetchBytesMax       int
	FetchSessions       int
	ControlledStopLimit time.Duration // how long a stop waits for requests under way
}

// TopicDefaults are what CreateTopics falls back on, apart from topic settings.
type TopicDefaults struct {
	Partitions        int
	ReplicationFactor int // 0: derived, see EffectiveReplicationFactor
	AutoCreateTopics  bool
	DeleteTopics      bool
}

// Upkeep is how often, and after how long.
type Upkeep struct {
	RetentionCheckInterval  time.Duration
	ProducerIDExpiration    time.Duration
	ScrubBytesPerSecond     int64         // 0: never
	ScrubInterval           time.Duration // from the beginning of one pass to the next
	ProducerIDCheckInterval time.Duration
}

// Groups are the settings of consumer groups and of their internal topic.
type Groups struct {
	OffsetsPartitions        int
	OffsetsReplicationFactor int // 0: as other topics
	OffsetsSegmentBytes      int64
	OffsetsRetention         time.Duration
	OffsetsRetentionCheck    time.Duration
	OffsetsCommitTimeout     time.Duration
	OffsetMetadataMax        int
	InitialRebalanceDelay    time.Duration
	MinSession, MaxSession   time.Duration
	GroupMaxSize             int
}

// Cluster says how the broker finds the others and when it counts as gone.
type Cluster struct {
	Bootstrap         []string // HOST:PORT; empty: this broker alone
	BootstrapAbsent   []string // of these founding does not wait for
	SecretFile        string   // empty: the one of this user, on loopback only
	NetworkTrusted    bool
	ReplicaLagMax     time.Duration
	HeartbeatInterval time.Duration
	SessionTimeout    time.Duration
	BalanceLeaders    bool
	BalanceInterval   time.Duration
}

// EffectiveReplicationFactor is the replication factor of a new topic in a
// cluster of that many brokers.
func (t TopicDefaults) EffectiveReplicationFactor(brokers int) int {
	if t.ReplicationFactor > 0 {
		return t.ReplicationFactor
	}
	return max(1, min(3, brokers))
}

// Default returns the settings of a broker that was told nothing.
func Default() *Broker {
	b, _, err := Load(Sources{})
	if err != nil {
		panic("config: the defaults do not load: " + err.Error())
	}
	return b
}

// layers hold who said what, the strongest first.
type layers struct {
	own     map[string]string // dynamic, of this broker
	cluster map[string]string // dynamic, of every broker
	static  map[string]string // flags, environment and file, already merged
	host    string
}

// lookup returns the strongest value that somebody has set.
func (l layers) lookup(name string) (string, Source, bool) {
	if text, ok := l.own[name]; ok {
		return text, SourceDynamicBroker, true
	}
	if text, ok := l.cluster[name]; ok {
		return text, SourceDynamicCluster, true
	}
	if text, ok := l.static[name]; ok {
		return text, SourceStatic, true
	}
	return "", SourceDefault, false
}

// topicDefault is the value that a topic setting has on this broker when the
// topic does not set it. b may be nil.
func (b *Broker) topicDefault(k Key) (string, bool) {
	if b != nil {
		for _, s := range k.Broker {
			if text, _, ok := b.layers.lookup(s.Name); ok {
				return scaled(text, s.Unit), true
			}
		}
	}
	return k.Default, !k.NoDefault && k.Derived == ""
}

// scaled turns a broker setting into the topic setting's unit. A text that is no
// number stays as it is and is refused by whoever reads it. Negative values mean
// "without limit" in every unit.
func scaled(text string, unit int64) string {
	if unit == 1 {
		return text
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return text
	}
	if n < 0 {
		return "-1"
	}
	return strconv.FormatInt(n*unit, 10)
}

// FoundingID is the id of the cluster to found, zero where none was set.
func (b *Broker) FoundingID() (kafka.ClusterID, error) {
	if b.ClusterID == "" {
		return kafka.ClusterID{}, nil
	}
	id, err := kafka.ParseUUID(b.ClusterID)
	if err != nil {
		return kafka.ClusterID{}, fmt.Errorf("cluster.id: %w", err)
	}
	return kafka.ClusterID(id), nil
}

// WithDynamic returns the broker with other dynamic settings: those of every
// broker and its own. The error is a *ValueError.
func (b *Broker) WithDynamic(cluster, own map[string]string) (*Broker, error) {
	for _, settings := range []map[string]string{cluster, own} {
		if err := ValidateBroker(settings); err != nil {
			return nil, err
		}
	}
	l := b.layers
	l.cluster, l.own = copyOf(cluster), copyOf(own)
	next, errs := build(l)
	if len(errs) > 0 {
		return nil, errs[0]
	}
	return next, nil
}

// ValidateBroker checks settings that somebody wants to give to a running
// broker: known, changeable and allowed. The error is a *ValueError.
func ValidateBroker(settings map[string]string) error {
	if err := onlyKnown(brokerIndex, "broker", settings); err != nil {
		return err
	}
	for _, k := range brokerIndex.keys {
		text, set := settings[k.Name]
		if !set {
			continue
		}
		if !k.Dynamic {
			refused := k.refuse(text, "it can be changed in the broker's configuration only, followed by a restart")
			refused.ReadOnly = true
			return refused
		}
		if _, err := k.Parse(text); err != nil {
			return err
		}
	}
	return nil
}

func copyOf(m map[string]string) map[string]string {
	c := make(map[string]string, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// build makes the typed settings. It reports every refused value, in the order
// of names.
func build(l layers) (*Broker, []*ValueError) {
	values := make(map[string]Value, len(brokerIndex.keys))
	var errs []*ValueError
	for _, k := range brokerIndex.keys {
		text, _, set := l.lookup(k.Name)
		if !set {
			if text = k.Default; k.NoDefault || k.Derived != "" {
				continue
			}
		}
		v, err := k.Parse(text)
		if err != nil {
			errs = append(errs, err.(*ValueError))
			continue
		}
		values[k.Name] = v
	}
	b := &Broker{layers: l}
	if len(errs) == 0 {
		b.fill(values)
		errs = append(errs, b.fillIdentity(values)...)
		errs = append(errs, b.fillDoors(values, l.host)...)
		errs = append(errs, b.checkCluster()...)
	}
	if len(errs) == 0 {
		// The defaults of topic settings may contradict each other.
		if _, err := ResolveTopic(b, nil); err != nil {
			errs = append(errs, err.(*ValueError))
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return b, nil
}

func (b *Broker) fill(v map[string]Value) {
	b.Limits = Limits{
		RequestBytesMax:     int(v["socket.request.max.bytes"].Int),
		QueuedRequestBytes:  v["queued.max.request.bytes"].Int,
		Connections:         int(v["max.connections"].Int),
		ConnectionsPerIP:    int(v["max.connections.per.ip"].Int),
		ConnectionIdle:      millis(v["connections.max.idle.ms"].Int),
		FetchBytesMax:       int(v["fetch.max.bytes"].Int),
		FetchSessions:       int(v["max.incremental.fetch.session.cache.slots"].Int),
		ControlledStopLimit: millis(v["controlled.shutdown.max.wait.ms"].Int),
	}
	b.TopicDefaults = TopicDefaults{
		Partitions:        int(v["num.partitions"].Int),
		ReplicationFactor: int(v["default.replication.factor"].Int),
		AutoCreateTopics:  v["auto.create.topics.enable"].Bool,
		DeleteTopics:      v["delete.topic.enable"].Bool,
	}
	b.Upkeep = Upkeep{
		RetentionCheckInterval:  millis(v["log.retention.check.interval.ms"].Int),
		ProducerIDExpiration:    millis(v["producer.id.expiration.ms"].Int),
		ScrubBytesPerSecond:     v["scrub.bytes.per.second"].Int,
		ScrubInterval:           millis(v["scrub.interval.ms"].Int),
		ProducerIDCheckInterval: millis(v["producer.id.expiration.check.interval.ms"].Int),
	}
	b.Groups = Groups{
		OffsetsPartitions:        int(v["offsets.topic.num.partitions"].Int),
		OffsetsReplicationFactor: int(v["offsets.topic.replication.factor"].Int),
		OffsetsSegmentBytes:      v["offsets.topic.segment.bytes"].Int,
		OffsetsRetention:         time.Duration(v["offsets.retention.minutes"].Int) * time.Minute,
		OffsetsRetentionCheck:    millis(v["offsets.retention.check.interval.ms"].Int),
		OffsetsCommitTimeout:     millis(v["offsets.commit.timeout.ms"].Int),
		OffsetMetadataMax:        int(v["offset.metadata.max.bytes"].Int),
		InitialRebalanceDelay:    millis(v["group.initial.rebalance.delay.ms"].Int),
		MinSession:               millis(v["group.min.session.timeout.ms"].Int),
		MaxSession:               millis(v["group.max.session.timeout.ms"].Int),
		GroupMaxSize:             int(v["group.max.size"].Int),
	}
	b.Cluster = Cluster{
		Bootstrap:         v["bootstrap"].List,
		BootstrapAbsent:   v["bootstrap.absent"].List,
		SecretFile:        v["broker.secret.file"].Text,
		NetworkTrusted:    v["broker.network.trusted"].Bool,
		ReplicaLagMax:     millis(v["replica.lag.time.max.ms"].Int),
		HeartbeatInterval: millis(v["broker.heartbeat.interval.ms"].Int),
		SessionTimeout:    millis(v["broker.session.timeout.ms"].Int),
		BalanceLeaders:    v["auto.leader.rebalance.enable"].Bool,
		BalanceInterval:   time.Duration(v["leader.imbalance.check.interval.seconds"].Int) * time.Second,
	}
	b.AdminListen, b.AdminProfiles = v["admin.listen"].Text, v["admin.profiles"].Text
}

func (b *Broker) fillIdentity(v map[string]Value) []*ValueError {
	b.NodeID = kafka.NoBroker
	node, old := v["node.id"], v["broker.id"]
	switch {
	case node.Text != "" && old.Text != "" && old.Int != -1 && node.Int != old.Int:
		return []*ValueError{{Key: "broker.id", Value: old.Text, Cause: "differs from node.id=" + node.Text + "; leave it out"}}
	case node.Text != "":
		b.NodeID = kafka.BrokerID(node.Int)
	case old.Text != "":
		b.NodeID = kafka.BrokerID(old.Int)
	}
	b.ClusterID, b.Rack = v["cluster.id"].Text, v["broker.rack"].Text
	if b.ClusterID != "" {
		if id, err := kafka.ParseUUID(b.ClusterID); err != nil || id.IsZero() {
			return []*ValueError{{Key: "cluster.id", Value: clip(b.ClusterID), Cause: "want 22 characters of base64, as Kafka's random-uuid prints them"}}
		}
	}
	key, dirs := "log.dirs", v["log.dirs"].List
	if len(dirs) == 0 && v["log.dir"].Text != "" {
		key, dirs = "log.dir", splitList(v["log.dir"].Text)
	}
	if len(dirs) > 1 {
		return []*ValueError{{Key: key, Value: clip(strings.Join(dirs, ",")), Cause: fmt.Sprintf(
			"%d data directories are named, and a broker has one: join the disks below one file system (LVM, RAID, ZFS), or run a broker for each", len(dirs))}}
	}
	if len(dirs) == 1 {
		b.DataDir = dirs[0]
	}
	return nil
}

// checkCluster refuses settings that contradict each other.
func (b *Broker) checkCluster() []*ValueError {
	for _, a := range b.BootstrapAbsent {
		if !slices.Contains(b.Bootstrap, a) {
			return []*ValueError{{Key: "bootstrap.absent", Value: clip(a), Cause: "it is not among the addresses of bootstrap"}}
		}
	}
	if b.SessionTimeout < 3*b.HeartbeatInterval {
		return []*ValueError{{Key: "broker.session.timeout.ms", Value: strconv.FormatInt(b.SessionTimeout.Milliseconds(), 10),
			Cause: fmt.Sprintf("want at least three times broker.heartbeat.interval.ms, which is %d: one that is late must not end a session", b.HeartbeatInterval.Milliseconds())}}
	}
	return nil
}

func (b *Broker) fillDoors(v map[string]Value, host string) []*ValueError {
	list, refusal := listenerSettings{
		listeners: v["listeners"].List, advertised: v["advertised.listeners"].List, protocols: v["listener.security.protocol.map"].List,
		controllers: splitList(v["controller.listener.names"].Text), hostname: host,
	}.resolve()
	if refusal != nil {
		return []*ValueError{refusal}
	}
	b.Listeners, b.InterBrokerListener = list, list[0].Name
	if b.AdminListen != "" {
		if _, err := ParseEndpoint(b.AdminListen); err != nil {
			return []*ValueError{{Key: "admin.listen", Value: clip(b.AdminListen), Cause: err.Error()}}
		}
	}
	wanted := v["inter.broker.listener.name"].Text
	if wanted == "" {
		return nil
	}
	for _, l := range list {
		if strings.EqualFold(l.Name, wanted) {
			b.InterBrokerListener = l.Name
			return nil
		}
	}
	return []*ValueError{{Key: "inter.broker.listener.name", Value: clip(wanted), Cause: "no listener has that name"}}
}
