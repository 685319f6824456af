package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Setting is a key and a value, with where it was set.
type Setting struct {
	Key, Value string
	Origin     string // "server.properties:12", "KAFKA_LOG_DIRS", "--set"
}

// Sources are where a broker's settings come from. Flags outrank the
// environment, which outranks the file; whatever nobody sets keeps its default.
type Sources struct {
	Flags []Setting
	Env   []string  // NAME=value, as the process sees it
	File  []Setting // of ParseProperties; a later line outranks an earlier one
	// Hostname is advertised where a listener is open on every interface.
	Hostname string
}

// Warning is something that the operator should know and that stops nothing.
type Warning struct {
	Key, Origin, Text string
}

// String is origin, key and text.
func (w Warning) String() string {
	text := w.Key + ": " + w.Text
	if w.Origin != "" {
		text = w.Origin + ": " + text
	}
	return text
}

// Load merges the sources into a broker's settings. The error joins one
// *ValueError for every value that was refused.
func Load(s Sources) (*Broker, []Warning, error) {
	static, warnings, origins := merge(s)
	b, refused := build(layers{static: static, host: s.Hostname})
	if len(refused) == 0 {
		return b, warnings, nil
	}
	errs := make([]error, 0, len(refused))
	for _, e := range refused {
		e.Origin = origins[e.Key]
		errs = append(errs, e)
	}
	return nil, warnings, errors.Join(errs...)
}

// merge lays the sources over each other and sorts out what is not known.
func merge(s Sources) (static map[string]string, warnings []Warning, origins map[string]string) {
	static, origins = map[string]string{}, map[string]string{}
	warned := map[string]bool{}
	for _, source := range [][]Setting{s.File, FromEnv(s.Env), s.Flags} {
		for _, set := range source {
			c := Classify(set)
			if c.Warning != "" && !warned[set.Key] {
				warned[set.Key] = true
				warnings = append(warnings, Warning{Key: set.Key, Origin: set.Origin, Text: c.Warning})
			}
			if c.Fate == Accepted || (c.Fate == Ignored && c.Known) {
				static[set.Key], origins[set.Key] = set.Value, set.Origin
			}
		}
	}
	return static, warnings, origins
}

// Fate is what becomes of a setting.
type Fate uint8

// The fates.
const (
	Accepted Fate = iota
	Ignored       // known, and without effect
	Unknown
)

// String is the fate's word.
func (f Fate) String() string { return [...]string{"accepted", "ignored", "unknown"}[f%3] }

// Classified is what is known of a setting by its name.
type Classified struct {
	Fate      Fate
	Known     bool // it has a row of its own, so that its value is checked
	Sensitive bool
	Warning   string // empty for accepted ones
	Nearest   string // of an unknown one; may be empty
}

// Classify tells what becomes of a broker setting. It does not look at the value.
func Classify(s Setting) Classified {
	if k, ok := brokerIndex.find(s.Key); ok {
		if k.Ignored == "" {
			return Classified{Known: true, Sensitive: k.Sensitive}
		}
		return Classified{Fate: Ignored, Known: true, Sensitive: k.Sensitive, Warning: "accepted without effect: " + k.Ignored}
	}
	for _, f := range families {
		if strings.HasPrefix(s.Key, f.prefix) {
			return Classified{Fate: Ignored, Sensitive: f.sensitive, Warning: "accepted without effect: " + f.ignored}
		}
	}
	c := Classified{Fate: Unknown, Sensitive: true, Warning: "unknown setting, ignored"}
	if k, ok := topicIndex.find(s.Key); ok && len(k.Broker) > 0 {
		c.Nearest = k.Broker[0].Name
		c.Warning = fmt.Sprintf("a topic setting; its default for the broker is %s; ignored", c.Nearest)
	} else if near, ok := brokerIndex.nearest(s.Key); ok {
		c.Nearest = near
		c.Warning += "; did you mean " + near + "?"
	}
	return c
}

// FromEnv finds the settings in an environment, sorted by name: KAFKA_ or
// HOLDFAST_, then the setting in capitals with _ for a dot, __ for an underscore
// and ___ for a dash. HOLDFAST_ outranks KAFKA_.
func FromEnv(env []string) []Setting {
	var list []Setting
	for _, prefix := range []string{"KAFKA_", "HOLDFAST_"} {
		var found []Setting
		for _, line := range env {
			name, value, ok := strings.Cut(line, "=")
			rest, ours := strings.CutPrefix(name, prefix)
			if !ok || !ours || foreign(prefix, rest) {
				continue
			}
			found = append(found, Setting{Key: envKey(rest), Value: value, Origin: name})
		}
		slices.SortFunc(found, func(a, b Setting) int { return strings.Compare(a.Origin, b.Origin) })
		list = append(list, found...)
	}
	for _, line := range env {
		if value, ok := strings.CutPrefix(line, "CLUSTER_ID="); ok && value != "" {
			list = slices.Insert(list, 0, Setting{Key: "cluster.id", Value: value, Origin: "CLUSTER_ID"})
		}
	}
	return list
}

var envReplacer = strings.NewReplacer("___", "-", "__", "_", "_", ".")

func envKey(rest string) string { return strings.ToLower(envReplacer.Replace(rest)) }

// foreign reports whether a variable with our prefix is not a setting: those of
// Kafka's start scripts, those that Kubernetes sets for a service of that name,
// and those of our own client and tests.
func foreign(prefix, rest string) bool {
	scripts := []string{"VERSION", "HOME", "OPTS", "SCALA_VERSION"}
	starts := []string{"HEAP_OPT", "JVM_", "GC_LOG_", "JMX_", "LOG4J_", "TOOLS_LOG4J_", "CFG_"}
	if prefix == "HOLDFAST_" {
		scripts = []string{"BROKERS", "OUTPUT", "FAULT", "CONFIG", "VERSION", "HOME", "ALLOW_MISSING"}
		starts = []string{"RIG_", "PEER_", "TEST_"}
	}
	if rest == "" || slices.Contains(scripts, rest) || rest == "PORT" {
		return true
	}
	for _, start := range append(starts, "PORT_", "SERVICE_HOST", "SERVICE_PORT") {
		if strings.HasPrefix(rest, start) {
			return true
		}
	}
	return false
}
