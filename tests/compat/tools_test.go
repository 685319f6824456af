//go:build rig

package compat_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/tests/rig"
)

const toolsVersion = "4.3.0"

// tools is Apache Kafka with its tools, for comparison.
var tools = client{
	name: "Apache Kafka's tools", dir: "tools", needs: []string{"java", "mvn"}, deps: []string{"pom.xml"},
	fetch: []string{"sh", "-c", "mvn -q -B dependency:copy-dependencies -DoutputDirectory=libs && touch libs/.done"},
}

// toolRun is one command, given to both brokers in this order. $B is the
// broker, $D a file that names records to delete.
type toolRun struct {
	name, args, stdin string
	unordered         bool   // the lines have no order
	differs           string // the first line of ours that differs begins so; every other difference fails
	reason            string // why it differs
}

var toolRuns = []toolRun{
	{name: "topics create", args: "org.apache.kafka.tools.TopicCommand --bootstrap-server $B --create --topic t --partitions 3 --config retention.ms=3600000"},
	{name: "topics create again", args: "org.apache.kafka.tools.TopicCommand --bootstrap-server $B --create --topic t", differs: "Error while executing topic command : topic t exists already", reason: "the same error code, the message is in our words"},
	{name: "topics list", args: "org.apache.kafka.tools.TopicCommand --bootstrap-server $B --list"},
	{name: "topics describe", args: "org.apache.kafka.tools.TopicCommand --bootstrap-server $B --describe --topic t", differs: "Topic: t TopicId: ID PartitionCount: 3 ReplicationFactor: 1 Configs: retention.ms=3600000", reason: "Kafka with ELR stores min.insync.replicas as a cluster-wide dynamic default, which its tool lists; here nothing is stored"},
	{name: "topics alter", args: "org.apache.kafka.tools.TopicCommand --bootstrap-server $B --alter --topic t --partitions 4"},
	{name: "topics unknown", args: "org.apache.kafka.tools.TopicCommand --bootstrap-server $B --describe --topic nosuch"},
	{name: "configs alter topic", args: "kafka.admin.ConfigCommand --bootstrap-server $B --alter --entity-type topics --entity-name t --add-config max.message.bytes=2000000"},
	{name: "configs alter invalid", args: "kafka.admin.ConfigCommand --bootstrap-server $B --alter --entity-type topics --entity-name t --add-config retention.ms=abc", differs: "java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.InvalidConfigurationException: retention.ms=abc", reason: "the same error code, the message is in our words"},
	{name: "configs describe topic", args: "kafka.admin.ConfigCommand --bootstrap-server $B --describe --entity-type topics --entity-name t", differs: " retention.ms=3600000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=3600000, DEFAULT_CONFIG:log.retention.hours=168}", reason: "one synonym more: the default log.retention.hours, which Kafka leaves out"},
	{name: "configs describe topic all", args: "kafka.admin.ConfigCommand --bootstrap-server $B --describe --all --entity-type topics --entity-name t", unordered: true, differs: " acks.policy=upgrade", reason: "acks.policy and durability are our own settings; flush.messages=1 and flush.ms=0 because everything is synced; defaults in other units (log.retention.hours, log.roll.hours) are listed as synonyms too"},
	{name: "console-producer", args: "org.apache.kafka.tools.ConsoleProducer --bootstrap-server $B --topic t --sync --property parse.key=true --property key.separator=:", stdin: "a:one\nb:two\nc:three\nd:four\n"},
	{name: "console-consumer", args: "org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server $B --topic t --from-beginning --max-messages 4 --group g --property print.key=true", unordered: true},
	{name: "get-offsets", args: "org.apache.kafka.tools.GetOffsetShell --bootstrap-server $B --topic t"},
	{name: "get-offsets earliest", args: "org.apache.kafka.tools.GetOffsetShell --bootstrap-server $B --topic t --time earliest"},
	{name: "get-offsets max-timestamp", args: "org.apache.kafka.tools.GetOffsetShell --bootstrap-server $B --topic t --time max-timestamp"},
	{name: "consumer-groups list", args: "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server $B --list"},
	{name: "consumer-groups list state", args: "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server $B --list --state"},
	{name: "consumer-groups describe", args: "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server $B --describe --group g", unordered: true},
	{name: "consumer-groups describe state", args: "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server $B --describe --group g --state"},
	{name: "consumer-groups reset", args: "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server $B --group g --topic t --reset-offsets --to-earliest --execute", unordered: true},
	{name: "consumer-groups delete-offsets", args: "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server $B --group g --topic t --delete-offsets", unordered: true},
	{name: "consumer-groups delete", args: "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server $B --group g --delete"},
	{name: "topics create one partition", args: "org.apache.kafka.tools.TopicCommand --bootstrap-server $B --create --topic w --partitions 1"},
	{name: "verifiable-producer", args: "org.apache.kafka.tools.VerifiableProducer --bootstrap-server $B --topic w --max-messages 5"},
	{name: "verifiable-consumer", args: "org.apache.kafka.tools.VerifiableConsumer --bootstrap-server $B --topic w --group-id vg --max-messages 5 --reset-policy earliest"},
	{name: "delete-records", args: "org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server $B --offset-json-file $D"},
	{name: "producer-perf-test", args: "org.apache.kafka.tools.ProducerPerformance --topic w --num-records 2000 --record-size 100 --throughput -1 --producer-props bootstrap.servers=$B"},
	{name: "consumer-perf-test", args: "org.apache.kafka.tools.ConsumerPerformance --bootstrap-server $B --topic w --messages 2000 --timeout 20000"},
	{name: "log-dirs", args: "org.apache.kafka.tools.LogDirsCommand --bootstrap-server $B --describe --topic-list t", unordered: true},
	{name: "features describe", args: "org.apache.kafka.tools.FeatureCommand --bootstrap-server $B describe", differs: "Feature: holdfast.version", reason: "the features are ours: our own format level, and metadata.version 4.0 as far as clients need it; no share groups, streams groups or transactions yet"},
	{name: "metadata-quorum status", args: "org.apache.kafka.tools.MetadataQuorumCommand --bootstrap-server $B describe --status", differs: `CurrentVoters: [{"id": 1, "directoryId": "ID", "endpoints": ["PLAINTEXT://BROKER"]}]`, reason: "the voter has a directory id, and one listener serves as controller and broker"},
	{name: "metadata-quorum replication", args: "org.apache.kafka.tools.MetadataQuorumCommand --bootstrap-server $B describe --replication"},
	{name: "broker-api-versions", args: "org.apache.kafka.tools.BrokerApiVersionsCommand --bootstrap-server $B", differs: " SaslHandshake(17): UNSUPPORTED", reason: "not offered: SASL (17, 36), transactions (24-28), the new consumer protocol (68, 69), share and streams groups (76-79, 83-92), changing voters (80, 81); telemetry (71, 72) is offered here and answered with no subscription"},
	{name: "topics delete", args: "org.apache.kafka.tools.TopicCommand --bootstrap-server $B --delete --topic t"},
}

// TestKafkaTools gives the same commands to Apache Kafka and to the product and
// compares what the tools say. It belongs to the full runs.
func TestKafkaTools(t *testing.T) {
	if !tools.chosen() {
		t.Skip("belongs to full runs (HOLDFAST_RIG_FULL=1)")
	}
	began := time.Now()
	p := install(t, tools)
	t.Setenv("KAFKA_HOME", p.dir)
	theirs := p.outputs(t, rig.ApacheKafka{})
	ours := p.outputs(t, rig.Holdfast{})
	same := 0
	for i, run := range toolRuns {
		t.Run(run.name, func(t *testing.T) {
			diff, line := difference(theirs[i], ours[i])
			verdict, why := "passed", ""
			switch {
			case diff == "":
				same++
			case run.reason != "" && strings.HasPrefix(line, run.differs):
				verdict, why = "differs", run.reason
			default:
				verdict, why = "failed", diff
				t.Errorf("%s\n--- Apache Kafka\n%s\n--- the product\n%s", run.args, theirs[i], ours[i])
			}
			report(t, tools.name, toolsVersion, "tool "+run.name, verdict, why)
		})
	}
	rig.Record(t, rig.Result{
		What:    "Apache Kafka's own tools say the same of the product as of Apache Kafka",
		Figures: fmt.Sprintf("%d of %d commands alike, the others with a reason", same, len(toolRuns)), Seconds: time.Since(began).Seconds(),
	})
}

// outputs runs every command against a new broker.
func (p program) outputs(t *testing.T, target rig.Target) []string {
	t.Helper()
	dir := rig.TempDir(t)
	place := rig.NewPlace(t, dir)
	proc := rig.RunBroker(t, target, place)
	defer proc.Kill()
	file := filepath.Join(dir, "delete.json")
	if err := os.WriteFile(file, []byte(`{"version":1,"partitions":[{"topic":"w","partition":0,"offset":3}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, run := range toolRuns {
		args := strings.NewReplacer("$B", place.Addr, "$D", file).Replace(run.args)
		out := normal(p.tool(run.stdin, strings.Fields(args)), place)
		if run.unordered {
			lines := strings.Split(out, "\n")
			slices.Sort(lines)
			out = strings.Join(lines, "\n")
		}
		all = append(all, out)
	}
	return all
}

func (p program) tool(stdin string, args []string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "java", append([]string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", filepath.Join(p.dir, "libs", "*")}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s\nexit: %v", out, err)
	}
	return string(out)
}

// normals take out what differs between two runs against the same broker.
var normals = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`(?m)^(SLF4J|WARN|\d{4}-\d\d-\d\d .*|\s+at |OpenJDK|.*StatusLogger).*\n`), ""},
	{regexp.MustCompile(`\d+\.\d+ (records/sec|MB/sec|ms)`), "N $1"},
	{regexp.MustCompile(`\d+ ms\b`), "N ms"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.:,]\d+`), "TIME"},
	{regexp.MustCompile(`"(timestamp|avg_throughput)":[0-9.]+`), `"$1":N`},
	{regexp.MustCompile(`TopicId: \S+`), "TopicId: ID"},
	{regexp.MustCompile(`ClusterId:\s+\S+`), "ClusterId: ID"},
	{regexp.MustCompile(`"directoryId": "[^"]+"`), `"directoryId": "ID"`},
	{regexp.MustCompile(`(?m)^1\s+\S{22}\s+\d+\s+0\s+\d+\s+\d+`), "1 ID N 0 N N"},
	{regexp.MustCompile(`(LeaderEpoch|HighWatermark|Epoch):\s+\d+`), "$1: N"},
	{regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d+ `), "TIME "},
	{regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "ID"},
	{regexp.MustCompile(`"size":\d+`), `"size":N`},
	{regexp.MustCompile(`(?m)[ \t]+`), " "},
}

func normal(out string, place rig.Place) string {
	out = strings.NewReplacer(place.Addr, "BROKER", place.Admin, "CONTROLLER", place.DataDir, "DATA").Replace(out)
	_, port, _ := strings.Cut(place.Addr, ":")
	out = strings.ReplaceAll(out, port, "PORT")
	for _, n := range normals {
		out = n.what.ReplaceAllString(out, n.with)
	}
	return strings.TrimSpace(out)
}

// difference is the first line that differs, and ours of it.
func difference(theirs, ours string) (text, line string) {
	a, b := strings.Split(theirs, "\n"), strings.Split(ours, "\n")
	for i := range max(len(a), len(b)) {
		x, y := "(nothing)", "(nothing)"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Sprintf("Kafka: %q, here: %q", x, y), y
		}
	}
	return "", ""
}
