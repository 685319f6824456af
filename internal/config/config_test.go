package config_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"holdfast/internal/config"
)

func load(t *testing.T, s config.Sources) (*config.Broker, []config.Warning) {
	t.Helper()
	b, w, err := config.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return b, w
}

func set(pairs ...string) []config.Setting {
	var list []config.Setting
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		list = append(list, config.Setting{Key: k, Value: v, Origin: "test"})
	}
	return list
}

// Every row keeps to its own rule, has a sentence, and appears once.
func TestTables_EveryRowIsSound(t *testing.T) {
	for what, keys := range map[string][]config.Key{"topic": config.TopicKeys(), "broker": config.BrokerKeys()} {
		seen := map[string]bool{}
		for _, k := range keys {
			if seen[k.Name] {
				t.Errorf("%s setting %s has two rows", what, k.Name)
			}
			seen[k.Name] = true
			if !strings.HasSuffix(k.Doc, ".") || strings.Contains(k.Doc, "  ") {
				t.Errorf("%s setting %s: documentation is not a sentence: %q", what, k.Name, k.Doc)
			}
			if k.NoDefault || k.Derived != "" {
				if k.Default != "" {
					t.Errorf("%s setting %s has no default and has %q", what, k.Name, k.Default)
				}
				continue
			}
			if _, err := k.Parse(k.Default); err != nil {
				t.Errorf("%s setting %s: its default is refused: %v", what, k.Name, err)
			}
		}
	}
}

// Apache Kafka's TopicConfig has 34 settings; two more throttle replicas.
func TestTopicTable_HasEverySettingOfKafka(t *testing.T) {
	kafkas := `segment.bytes segment.ms segment.jitter.ms segment.index.bytes flush.messages flush.ms retention.bytes retention.ms
		remote.storage.enable local.retention.ms local.retention.bytes remote.log.copy.disable remote.log.delete.on.disable max.message.bytes
		index.interval.bytes file.delete.delay.ms delete.retention.ms min.compaction.lag.ms max.compaction.lag.ms min.cleanable.dirty.ratio
		cleanup.policy unclean.leader.election.enable min.insync.replicas compression.type compression.gzip.level compression.lz4.level
		compression.zstd.level preallocate message.format.version message.timestamp.type message.timestamp.difference.max.ms
		message.timestamp.before.max.ms message.timestamp.after.max.ms message.downconversion.enable
		leader.replication.throttled.replicas follower.replication.throttled.replicas`
	names := strings.Fields(kafkas)
	if len(names) != 34+2 {
		t.Fatalf("the list has %d names", len(names))
	}
	for _, name := range names {
		if _, ok := config.TopicKey(name); !ok {
			t.Errorf("topic setting %s is missing", name)
		}
	}
	if got := len(config.TopicKeys()); got != len(names)+2 {
		t.Errorf("there are %d topic settings, want Kafka's and acks.policy and durability", got)
	}
}

func TestBrokerTable_NothingOverTheWireNamesAPlace(t *testing.T) {
	for _, k := range config.BrokerKeys() {
		if !k.Dynamic {
			continue
		}
		if k.Type == config.Class || k.Sensitive {
			t.Errorf("%s can be changed over the wire", k.Name)
		}
		for _, word := range []string{"dir", "path", "file", "class", "listener", "url", "server", "voters", "location"} {
			for _, part := range strings.Split(k.Name, ".") {
				if part == word || part == word+"s" {
					if k.Name != "log.segment.delete.delay.ms" && k.Name != "file.delete.delay.ms" {
						t.Errorf("%s can be changed over the wire and may name a place", k.Name)
					}
				}
			}
		}
	}
}

func TestResolveTopic_Defaults(t *testing.T) {
	got, err := config.ResolveTopic(config.Default(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Topic{
		Delete: true, SegmentBytes: 1 << 30, SegmentMs: 604_800_000, RetentionMs: 604_800_000, RetentionBytes: -1,
		FileDeleteDelay: time.Minute, IndexIntervalBytes: 4096, SegmentIndexBytes: 10 << 20, MaxMessageBytes: 1_048_588,
		TimestampBeforeMax: config.Unbounded, TimestampAfterMax: time.Hour, CompressionType: config.CompressionProducer,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if config.Unbounded != math.MaxInt64 {
		t.Error("Unbounded is not the largest duration")
	}
}

func TestTopic_MinISRIsDerivedUntilItIsSet(t *testing.T) {
	for factor, want := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3} {
		if got := (config.Topic{}).EffectiveMinISR(factor); got != want {
			t.Errorf("factor %d: min ISR %d, want %d", factor, got, want)
		}
	}
	set := config.Topic{MinISR: 3}
	if got := set.EffectiveMinISR(2); got != 3 {
		t.Errorf("an explicit min ISR is bounded to %d", got)
	}
	if set.CheckReplication(2) == nil || set.CheckReplication(3) != nil {
		t.Error("min ISR 3 must be refused with factor 2 and accepted with 3")
	}
}

func TestResolveTopic_BrokerSynonymsInKafkasOrder(t *testing.T) {
	for _, c := range []struct {
		file []string
		want int64
	}{
		{nil, 604_800_000},
		{[]string{"log.retention.hours=2"}, 7_200_000},
		{[]string{"log.retention.hours=2", "log.retention.minutes=3"}, 180_000},
		{[]string{"log.retention.ms=5", "log.retention.hours=2", "log.retention.minutes=3"}, 5},
		{[]string{"log.retention.hours=-1"}, -1},
		{[]string{"log.retention.hours=2147483647"}, 2147483647 * 3_600_000},
	} {
		b, _ := load(t, config.Sources{File: set(c.file...)})
		got, err := config.ResolveTopic(b, nil)
		if err != nil || got.RetentionMs != c.want {
			t.Errorf("%v: retention %d (%v), want %d", c.file, got.RetentionMs, err, c.want)
		}
		got, err = config.ResolveTopic(b, map[string]string{"retention.ms": "77"})
		if err != nil || got.RetentionMs != 77 {
			t.Errorf("%v: the topic's own retention is %d (%v)", c.file, got.RetentionMs, err)
		}
	}
}

func TestValidateTopic_RefusesInPlainWords(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"retention.ms", "-2", "at least -1"},
		{"retention.ms", "soon", "whole number"},
		{"segment.bytes", "3000000000", "whole number from -2147483648 to 2147483647"},
		{"segment.bytes", "100", "at least 1024"},
		{"cleanup.policy", "", "at least one of delete, compact"},
		{"cleanup.policy", "delete,shred", "one of delete, compact"},
		{"min.insync.replicas", "0", "at least 1"},
		{"compression.gzip.level", "0", "from 1 to 9"},
		{"compression.type", "brotli", "one of producer"},
		{"durability", "none", "one of fsync, page-cache"},
		{"acks.policy", "1", "one of upgrade"},
		{"preallocate", "yes", "true or false"},
		{"min.cleanable.dirty.ratio", "1.5", "from 0 to 1"},
		{"min.cleanable.dirty.ratio", "NaN", "a number"},
		{"remote.storage.enable", "true", "no remote storage yet"},
		{"leader.replication.throttled.replicas", "0:1,x", "partition:broker"},
		{"min.compaction.lag.ms", maxLong, ""},
		{"retention.mss", "1", "did you mean retention.ms?"},
		{"log.retention.ms", "1", "unknown topic setting"},
		{"zzzzzz", "1", "unknown topic setting"},
	} {
		err := config.ValidateTopic(map[string]string{c.key: c.value})
		if c.want == "" {
			if err != nil {
				t.Errorf("%s=%s: %v", c.key, c.value, err)
			}
			continue
		}
		var refusal *config.ValueError
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Cause, c.want) || refusal.Key != c.key {
			t.Errorf("%s=%s: %v, want %q", c.key, c.value, err, c.want)
		}
	}
	err := config.ValidateTopic(map[string]string{"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"})
	if err == nil {
		t.Error("a smallest lag above the largest is accepted")
	}
}

const maxLong = "9223372036854775807"

func TestLoad_FlagsOverEnvironmentOverFile(t *testing.T) {
	s := config.Sources{
		File:  set("num.partitions=2", "log.segment.bytes=2048", "log.segment.bytes=4096", "node.id=7", "max.connections=5"),
		Env:   []string{"KAFKA_NUM_PARTITIONS=3", "KAFKA_LOG_SEGMENT_BYTES=8192", "HOLDFAST_LOG_SEGMENT_BYTES=16384", "KAFKA_HEAP_OPTS=-Xmx1g", "HOLDFAST_BROKERS=x:1", "KAFKA_PORT_9092_TCP=tcp://1", "CLUSTER_ID=4L6g3nShT-eMCtK--X86sw"},
		Flags: set("num.partitions=4"),
	}
	b, warnings := load(t, s)
	topic, err := config.ResolveTopic(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b.Partitions != 4 || topic.SegmentBytes != 16384 || b.NodeID != 7 || b.Connections != 5 || b.ClusterID != "4L6g3nShT-eMCtK--X86sw" {
		t.Errorf("partitions %d, segment %d, node %d, connections %d, cluster %s", b.Partitions, topic.SegmentBytes, b.NodeID, b.Connections, b.ClusterID)
	}
	if topic.RetentionMs != 604_800_000 || b.RequestBytesMax != 104857600 {
		t.Error("setting one key moved the default of another")
	}
	if len(warnings) != 0 {
		t.Errorf("warnings: %v", warnings)
	}
}

func TestFromEnv_NamesAsKafkasImageHasThem(t *testing.T) {
	got := config.FromEnv([]string{"KAFKA_A_B__C___D=1", "HOLDFAST_ACKS_POLICY=warn", "PATH=/bin", "KAFKA_=", "KAFKA_VERSION=4", "HOLDFAST_SERVICE_HOST=x"})
	want := []config.Setting{{Key: "a.b_c-d", Value: "1", Origin: "KAFKA_A_B__C___D"}, {Key: "acks.policy", Value: "warn", Origin: "HOLDFAST_ACKS_POLICY"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLoad_WarnsOnceWithTheNearestName(t *testing.T) {
	_, warnings := load(t, config.Sources{File: set("num.partitons=2", "num.partitons=3", "num.io.threads=8", "retention.ms=5", "ssl.keystore.password=hush", "quite.another.thing=1")})
	var text []string
	for _, w := range warnings {
		text = append(text, w.String())
	}
	all := strings.Join(text, "\n")
	for _, want := range []string{"did you mean num.partitions?", "goroutines, not thread pools", "its default for the broker is log.retention.ms", "quite.another.thing: unknown setting, ignored"} {
		if strings.Count(all, want) != 1 {
			t.Errorf("want %q once in:\n%s", want, all)
		}
	}
	if len(warnings) != 5 || strings.Contains(all, "hush") {
		t.Errorf("%d warnings:\n%s", len(warnings), all)
	}
}

func TestLoad_RefusesWhatItCannotKeep(t *testing.T) {
	for _, c := range []struct{ setting, want string }{
		{"log.dirs=/a,/b", "a broker has one"},
		{"process.roles=broker", "one process"},
		{"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "no access control yet"},
		{"controller.quorum.voters=1@a:1,2@b:1,3@c:1", "several brokers"},
		{"listeners=SASL_SSL://:9092", "not supported yet"},
		{"listeners=INSIDE://:9092", "INSIDE:PLAINTEXT"},
		{"listeners=PLAINTEXT://a:9092,PLAINTEXT://b:9093", "appears twice"},
		{"listeners=PLAINTEXT:9092", "NAME://HOST:PORT"},
		{"listeners=PLAINTEXT://host:99999", "not a port"},
		{"listeners=PLAINTEXT://::1:9092", "in brackets"},
		{"listeners=", "no listener"},
		{"advertised.listeners=PLAINTEXT://0.0.0.0:9092", "cannot connect to a wildcard"},
		{"advertised.listeners=OTHER://a:1", "no listener has that name"},
		{"inter.broker.listener.name=OTHER", "no listener has that name"},
		{"admin.listen=here", "has no port"},
		{"node.id=-3", "at least 0"},
		{"cluster.id=short", "22 characters"},
		{"log.retention.ms=x", "whole number"},
		{"default.replication.factor=0", "from 1"},
	} {
		_, _, err := config.Load(config.Sources{File: set(c.setting), Hostname: "box"})
		key, _, _ := strings.Cut(c.setting, "=")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.setting, err, c.want)
		} else if key != "listeners" && !strings.HasPrefix(err.Error(), "test: "+key) {
			t.Errorf("%s: the error does not begin with place and name: %v", c.setting, err)
		}
	}
	_, _, err := config.Load(config.Sources{File: set("node.id=1", "broker.id=2")})
	if err == nil {
		t.Error("two node ids are accepted")
	}
}

func TestLoad_EveryRefusalIsReportedAtOnce(t *testing.T) {
	_, _, err := config.Load(config.Sources{File: set("log.segment.bytes=x", "max.connections=0")})
	if err == nil || !strings.Contains(err.Error(), "log.segment.bytes") || !strings.Contains(err.Error(), "max.connections") {
		t.Errorf("got %v", err)
	}
}

// The file that Kafka ships for KRaft starts a broker.
func TestLoad_KafkasOwnServerProperties(t *testing.T) {
	data := `
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/var/lib/kafka
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
`
	settings, err := config.ParseProperties([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	b, warnings := load(t, config.Sources{File: settings, Hostname: "box"})
	if len(b.Listeners) != 1 || b.Listeners[0].String() != "PLAINTEXT://:9092" || b.Listeners[0].Advertised.String() != "localhost:9092" {
		t.Errorf("listeners %v", b.Listeners)
	}
	if b.DataDir != "/var/lib/kafka" || b.NodeID != 1 {
		t.Errorf("data directory %q, node %d", b.DataDir, b.NodeID)
	}
	for _, w := range warnings {
		if strings.Contains(w.Text, "unknown") {
			t.Errorf("%v", w)
		}
	}
}

func TestListeners_SeveralNamedOnes(t *testing.T) {
	b, _ := load(t, config.Sources{Hostname: "box", File: set(
		"listeners=inside://10.0.0.1:9092, OUTSIDE://[::]:9094,LOCAL://127.0.0.1:0",
		"advertised.listeners=OUTSIDE://kafka.example.org:443",
		"listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:plaintext,LOCAL:PLAINTEXT",
		"inter.broker.listener.name=INSIDE")})
	var got []string
	for _, l := range b.Listeners {
		got = append(got, l.String()+"->"+l.Advertised.String())
	}
	want := "[INSIDE://10.0.0.1:9092->10.0.0.1:9092 OUTSIDE://[::]:9094->kafka.example.org:443 LOCAL://127.0.0.1:0->127.0.0.1:0]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
	if b.InterBrokerListener != "INSIDE" {
		t.Errorf("inter-broker listener %s", b.InterBrokerListener)
	}
	if !b.Listeners[1].Bind.Wildcard() || b.Listeners[0].Bind.Wildcard() || !b.Listeners[2].Bind.Loopback() {
		t.Error("wildcards and loopbacks are not told apart")
	}
}

func TestDescribeTopic_SourcesAndSynonyms(t *testing.T) {
	b, _ := load(t, config.Sources{File: set("log.retention.hours=1")})
	b, err := b.WithDynamic(map[string]string{"log.retention.ms": "50"}, map[string]string{"log.retention.ms": "40"})
	if err != nil {
		t.Fatal(err)
	}
	list := b.DescribeTopic(map[string]string{"retention.ms": "30", "message.format.version": "3.0"}, 5)
	find := func(name string) *config.Described {
		for i := range list {
			if list[i].Key.Name == name {
				return &list[i]
			}
		}
		return nil
	}
	var text []string
	for _, s := range find("retention.ms").Synonyms {
		text = append(text, fmt.Sprintf("%s=%s/%d", s.Name, *s.Value, s.Source))
	}
	want := "retention.ms=30/1 log.retention.ms=40/2 log.retention.ms=50/3 log.retention.hours=1/4 log.retention.hours=168/5"
	if got := strings.Join(text, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if d := find("min.insync.replicas"); *d.Value != "3" || d.Source != config.SourceDefault {
		t.Errorf("derived min ISR: %s from %d", *d.Value, d.Source)
	}
	if find("message.format.version") == nil || find("message.timestamp.difference.max.ms") != nil {
		t.Error("a deprecated setting must be listed exactly where it is set")
	}
	// What is described is what holds.
	topic, err := config.ResolveTopic(b, nil)
	if err != nil || topic.RetentionMs != 40 {
		t.Errorf("retention %d (%v)", topic.RetentionMs, err)
	}
}

// In whatever layer a retention is set, the value described and the value in
// force are the same.
func TestDescribeTopic_AgreesWithResolveTopic(t *testing.T) {
	names := []string{"log.retention.ms", "log.retention.minutes", "log.retention.hours"}
	for mask := range 1 << 3 {
		var file []string
		for i, n := range names {
			if mask>>i&1 == 1 {
				file = append(file, fmt.Sprintf("%s=%d", n, i+11))
			}
		}
		b, _ := load(t, config.Sources{File: set(file...)})
		topic, err := config.ResolveTopic(b, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range b.DescribeTopic(nil, 1) {
			if d.Key.Name == "retention.ms" && *d.Value != fmt.Sprint(topic.RetentionMs) {
				t.Errorf("%v: described %s, in force %d", file, *d.Value, topic.RetentionMs)
			}
		}
	}
}

func TestDescribeBroker_DefaultsOfOurs(t *testing.T) {
	for _, d := range config.Default().DescribeBroker(2) {
		switch d.Key.Name {
		case "default.replication.factor":
			if *d.Value != "2" || d.ReadOnly {
				t.Errorf("default.replication.factor: %+v", d)
			}
		case "log.dirs":
			if d.Value != nil || !d.ReadOnly {
				t.Errorf("log.dirs: %+v", d)
			}
		}
	}
}

func TestWithDynamic_OnlyWhatMayChange(t *testing.T) {
	b := config.Default()
	if _, err := b.WithDynamic(nil, map[string]string{"log.dirs": "/etc"}); err == nil {
		t.Error("log.dirs was changed over the wire")
	}
	if _, err := b.WithDynamic(map[string]string{"nonsense": "1"}, nil); err == nil {
		t.Error("an unknown setting was accepted over the wire")
	}
	next, err := b.WithDynamic(map[string]string{"acks.policy": "reject"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	topic, _ := config.ResolveTopic(next, nil)
	before, _ := config.ResolveTopic(b, nil)
	if topic.AcksPolicy != config.AcksReject || before.AcksPolicy != config.AcksUpgrade {
		t.Errorf("policy %v, before %v", topic.AcksPolicy, before.AcksPolicy)
	}
}

func TestCheck_NamesWhatCostsThePromise(t *testing.T) {
	for _, c := range []struct {
		file []string
		want string // verdicts in order
	}{
		{[]string{"unclean.leader.election.enable=true"}, "ignored unsafe"},
		{[]string{"unclean.leader.election.enable=false"}, "ignored"},
		{[]string{"min.insync.replicas=1"}, "unsafe"},
		{[]string{"min.insync.replicas=1", "default.replication.factor=1"}, "accepted unsafe"},
		{[]string{"min.insync.replicas=2", "default.replication.factor=3"}, "accepted accepted"},
		{[]string{"acks.policy=allow"}, "unsafe"},
		{[]string{"acks.policy=warn"}, "unsafe"},
		{[]string{"acks.policy=upgrade"}, "accepted"},
		{[]string{"acks.policy=reject"}, "accepted"},
		{[]string{"durability=page-cache"}, "unsafe"},
		{[]string{"durability=fsync"}, "accepted"},
		{[]string{"log.dirs=/tmp/kafka-logs"}, "unsafe"},
		{[]string{"log.dir=/dev/shm/x"}, "unsafe"},
		{[]string{"log.dirs=/var/lib/../../tmp"}, "unsafe"},
		{[]string{"log.dirs=/tmpfiles/kafka"}, "accepted"},
		{[]string{"log.dirs=/tmp/a,/b"}, "refused"},
		{[]string{"transaction.state.log.min.isr=1"}, "ignored unsafe"},
		{[]string{"offsets.topic.replication.factor=1"}, "unsafe"},
		{[]string{"num.io.threads=8"}, "ignored"},
		{[]string{"num.io.threads=many"}, "refused"},
		{[]string{"sasl.enabled.mechanisms=PLAIN"}, "ignored"},
		{[]string{"num.partitons=3"}, "unknown"},
		{[]string{"num.partitions=0"}, "refused"},
		{[]string{"acks.policy=allow", "acks.policy=upgrade"}, "accepted accepted"},
		{[]string{"listeners=CONTROLLER://:1", "controller.listener.names=CONTROLLER"}, "refused accepted"},
	} {
		var got []string
		for _, f := range config.Check(set(c.file...)) {
			got = append(got, string(f.Verdict))
			if f.Verdict == config.VerdictUnsafe && len(f.Text) < 40 {
				t.Errorf("%v: the cost is not told: %q", c.file, f.Text)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: %v, want %s", c.file, got, c.want)
		}
	}
}

func TestCheck_ShowsNoSecret(t *testing.T) {
	for _, f := range config.Check(set("ssl.key.password=hush", "sasl.jaas.config=hush", "listener.name.a.sasl.jaas.config=hush", "my.secret=hush")) {
		if strings.Contains(fmt.Sprint(f), "hush") {
			t.Errorf("%+v", f)
		}
	}
}
