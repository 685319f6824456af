package rig

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// ApacheKafka is a real broker of Apache Kafka, one process that is its own
// controller, or one of several that are each broker and controller. It is the control of the rigs: an honest broker under kill -9, and
// with Flush under a power cut. Its jars are those that the script of Kafka
// installs.
type ApacheKafka struct {
	Flush bool // fsync after every append; the default leaves it to the page cache
}

// Name is "kafka" or "kafka-flush".
func (k ApacheKafka) Name() string {
	if k.Flush {
		return "kafka-flush"
	}
	return "kafka"
}

// ReadyURL is empty.
func (ApacheKafka) ReadyURL(Place) string { return "" }

// Command formats an empty directory and starts the broker.
func (k ApacheKafka) Command(tb testing.TB, p Place) Command {
	tb.Helper()
	home := os.Getenv("KAFKA_HOME")
	if home == "" {
		home = filepath.Join(os.Getenv("HOME"), ".cache", "peer-kafka")
	}
	if _, err := os.Stat(filepath.Join(home, "libs", ".done")); err != nil {
		Missing(tb, "kafka", fmt.Sprintf("no jars of Apache Kafka: %v", err))
	}
	config := filepath.Join(filepath.Dir(p.Log), "server.properties")
	if err := os.WriteFile(config, []byte(k.properties(tb, p)), 0o644); err != nil {
		tb.Fatal(err)
	}
	script := `java -cp "$LIBS" kafka.tools.StorageTool format -g -t AAAAAAAAQACAAAAAAAAAAA -c "$CONFIG" >/dev/null && exec java -Xms512m -Xmx512m -cp "$LIBS" kafka.Kafka "$CONFIG"`
	return Command{
		Path: "bash", Args: []string{"-ec", script}, Log: p.Log,
		Env: []string{"LIBS=" + filepath.Join(home, "libs", "*"), "CONFIG=" + config},
	}
}

func (k ApacheKafka) properties(tb testing.TB, p Place) string {
	tb.Helper()
	_, port, err := net.SplitHostPort(p.Admin) // the admin port serves as the controller's
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := strconv.Atoi(port); err != nil {
		tb.Fatal(err)
	}
	id, replicas, voters := 1, 1, "1@"+p.Admin
	if len(p.Members) > 0 {
		id, replicas = p.ID, len(p.Members)
		voters = p.bootstrap(func(m Member) string { return fmt.Sprintf("%d@%s", m.ID, m.Admin) })
	}
	lines := []string{
		"process.roles=broker,controller", fmt.Sprintf("node.id=%d", id), "controller.quorum.voters=" + voters,
		"listeners=PLAINTEXT://" + p.Addr + ",CONTROLLER://" + p.Admin, "advertised.listeners=PLAINTEXT://" + p.Addr,
		"controller.listener.names=CONTROLLER", "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs=" + p.DataDir, fmt.Sprintf("offsets.topic.replication.factor=%d", replicas), fmt.Sprintf("default.replication.factor=%d", replicas),
		fmt.Sprintf("min.insync.replicas=%d", replicas/2+1), "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
	}
	if k.Flush {
		lines = append(lines, "log.flush.interval.messages=1")
	}
	return strings.Join(lines, "\n") + "\n"
}
