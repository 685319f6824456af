package config

import (
	"fmt"
	"path"
	"strings"
)

// Verdict is what Check says of one setting.
type Verdict string

// The verdicts.
const (
	VerdictAccepted Verdict = "accepted"
	VerdictIgnored  Verdict = "ignored" // accepted without effect
	VerdictUnknown  Verdict = "unknown"
	VerdictUnsafe   Verdict = "unsafe"  // accepted, and acknowledged records can be lost by it
	VerdictRefused  Verdict = "refused" // the broker would not start
)

// Finding is the verdict on one setting.
type Finding struct {
	Verdict Verdict
	Key     string
	Value   string // empty where it must not be shown
	Origin  string
	Text    string // why; for an unsafe one, what it costs; empty where nothing is to say
	Nearest string // of an unknown one; may be empty
}

// Check judges every setting of a file, in the file's order. A setting may have
// two findings: that it is ignored and that it is unsafe, for example.
func Check(settings []Setting) []Finding {
	_, _, err := Load(Sources{File: settings, Hostname: "localhost"})
	refused := refusals(err)
	last := map[string]int{}
	for i, s := range settings {
		last[s.Key] = i
	}
	final := func(key string) string {
		if i, ok := last[key]; ok {
			return strings.TrimSpace(settings[i].Value)
		}
		return ""
	}
	var list []Finding
	for i, s := range settings {
		f := judge(s)
		if last[s.Key] != i {
			f.Text = "set again further down, which counts"
			list = append(list, f)
			continue
		}
		if e, ok := refused[s.Key]; ok {
			delete(refused, s.Key)
			f.Verdict, f.Text = VerdictRefused, e.Cause
			list = append(list, f)
			continue
		}
		cost := unsafeCost(s, final)
		if cost == "" || f.Verdict == VerdictIgnored {
			list = append(list, f)
		}
		if cost != "" {
			list = append(list, Finding{Verdict: VerdictUnsafe, Key: s.Key, Value: f.Value, Origin: s.Origin, Text: cost})
		}
	}
	for _, k := range BrokerKeys() { // refused although the file does not set it: by what it sets elsewhere
		if e, ok := refused[k.Name]; ok {
			list = append(list, Finding{Verdict: VerdictRefused, Key: e.Key, Value: e.Value, Text: e.Cause})
		}
	}
	return list
}

func judge(s Setting) Finding {
	c := Classify(s)
	f := Finding{Verdict: VerdictAccepted, Key: s.Key, Value: clip(s.Value), Origin: s.Origin, Nearest: c.Nearest, Text: c.Warning}
	if c.Sensitive {
		f.Value = ""
	}
	switch c.Fate {
	case Ignored:
		f.Verdict = VerdictIgnored
		f.Text = strings.TrimPrefix(c.Warning, "accepted without effect: ")
	case Unknown:
		f.Verdict = VerdictUnknown
	}
	return f
}

// refusals takes the errors of Load apart. A topic setting that was refused
// because of the broker's default is filed under the broker's setting.
func refusals(err error) map[string]*ValueError {
	found := map[string]*ValueError{}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return found
	}
	for _, e := range joined.Unwrap() {
		v, ok := e.(*ValueError)
		if !ok {
			continue
		}
		key := v.Key
		if k, isTopic := topicIndex.find(key); isTopic && len(k.Broker) > 0 {
			if _, isBroker := brokerIndex.find(key); !isBroker {
				key = k.Broker[0].Name
			}
		}
		found[key] = v
	}
	return found
}

// unsafeCost says what a setting costs the promise, or "". final gives the value
// in force of another setting, "" where the file does not set it.
func unsafeCost(s Setting, final func(string) string) string {
	value := strings.TrimSpace(s.Value)
	switch s.Key {
	case "unclean.leader.election.enable":
		if strings.EqualFold(value, "true") {
			return "in Kafka, a replica that lacks acknowledged records may become leader and they are lost; it is without effect here, so take it out"
		}
	case "min.insync.replicas":
		if value == "1" && final("default.replication.factor") != "1" {
			return "a write is acknowledged with one copy; losing that disk before a second copy exists loses acknowledged records"
		}
	case "default.replication.factor":
		if value == "1" {
			return "new topics have one copy; losing one disk loses their records, whatever was acknowledged"
		}
	case "acks.policy":
		if value == "allow" || value == "warn" {
			return "acks=1 is acknowledged when the leader alone has the record; losing the leader loses it"
		}
	case "durability":
		if value == "page-cache" {
			return "records are acknowledged before they are on stable storage; a power cut or a crash of the operating system loses them"
		}
	case "log.dirs", "log.dir":
		return temporaryCost(value)
	case "offsets.topic.replication.factor", "transaction.state.log.replication.factor", "share.coordinator.state.topic.replication.factor":
		if value == "1" {
			return "an internal topic with one copy: losing one disk loses what groups and transactions have committed"
		}
	case "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr":
		if value == "1" {
			return "an internal topic is acknowledged with one copy; losing that disk loses what was committed"
		}
	}
	return ""
}

// temporaryPlaces are directories whose content the system removes.
var temporaryPlaces = []string{"/tmp", "/var/tmp", "/private/tmp", "/private/var/tmp", "/dev/shm", "/run", "/var/run", "/var/cache"}

// Temporary reports whether a data directory lies where the system removes files
// by itself, at boot or by age.
func Temporary(dir string) bool {
	dir = path.Clean(dir)
	for _, place := range temporaryPlaces {
		if dir == place || strings.HasPrefix(dir, place+"/") {
			return true
		}
	}
	return false
}

func temporaryCost(dirs string) string {
	for _, dir := range splitList(dirs) {
		if Temporary(dir) {
			return fmt.Sprintf("%s is a temporary place: the system empties it at boot or by age, and all records with it", clip(dir))
		}
	}
	return ""
}

// Cost says what a topic or broker setting costs the promise that no
// acknowledged record is lost, or "" when it costs nothing.
func Cost(key, value string) string {
	return unsafeCost(Setting{Key: key, Value: value}, func(string) string { return "" })
}
