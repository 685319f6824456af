package config

import (
	"fmt"
	"math"
	"sort"
	"strings"
)

// Importance is how much a setting matters to most users.
type Importance uint8

// The degrees of importance.
const (
	Low Importance = iota
	Medium
	High
)

// String is the word that documentation prints.
func (i Importance) String() string { return [...]string{"low", "medium", "high"}[i%3] }

// Key describes one setting. Rows are values of a table that never changes.
type Key struct {
	Name    string
	Type    Type
	Default string
	// Derived says in words how the value comes about when nobody sets it. Default
	// is then empty.
	Derived string
	// NoDefault: unset means unset; DescribeConfigs answers null.
	NoDefault  bool
	Rule       Rule
	Importance Importance
	Doc        string // one sentence
	// Dynamic: may be changed on a running broker, over the wire. All topic
	// settings are. Nothing that names a file, a class, an address or a URL is.
	Dynamic bool
	// Sensitive values are never shown.
	Sensitive bool
	// Ignored says why a setting that is accepted has no effect; empty when it has one.
	Ignored string
	// Deprecated settings are listed only where somebody has set them.
	Deprecated bool
	// Broker lists, for a topic setting, the broker settings that give its default,
	// the strongest first.
	Broker []Synonym
}

// Synonym is a broker setting that stands for a topic setting.
type Synonym struct {
	Name string
	// Unit is what one unit of the broker setting is in units of the topic setting:
	// 3,600,000 for hours against milliseconds.
	Unit int64
}

// TopicKeys returns the settings of a topic, sorted by name.
func TopicKeys() []Key { return append([]Key(nil), topicIndex.keys...) }

// BrokerKeys returns the settings of a broker, sorted by name.
func BrokerKeys() []Key { return append([]Key(nil), brokerIndex.keys...) }

// TopicKey looks a topic setting up.
func TopicKey(name string) (Key, bool) { return topicIndex.find(name) }

// BrokerKey looks a broker setting up.
func BrokerKey(name string) (Key, bool) { return brokerIndex.find(name) }

// ValueError is a setting that was refused.
type ValueError struct {
	Key    string
	Value  string // empty for a sensitive one
	Origin string // where it was set ("server.properties:12"); may be empty
	Cause  string // in plain words
	// ReadOnly: the value may be right, but not on a running broker.
	ReadOnly bool
}

// Error is origin, key, value and cause.
func (e *ValueError) Error() string {
	text := e.Key
	if e.Value != "" {
		text += "=" + e.Value
	}
	if e.Origin != "" {
		text = e.Origin + ": " + text
	}
	return text + ": " + e.Cause
}

// Parse reads and checks a value of the key. The error is a *ValueError.
func (k Key) Parse(text string) (Value, error) {
	v, err := ParseValue(k.Type, text)
	if err == nil {
		err = k.Rule.check(v)
	}
	if err != nil {
		return Value{}, k.refuse(text, err.Error())
	}
	return v, nil
}

func (k Key) refuse(text, cause string) *ValueError {
	if k.Sensitive {
		text = ""
	}
	return &ValueError{Key: k.Name, Value: clip(text), Cause: cause}
}

// clip bounds what an error repeats of a stranger's value.
func clip(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// unknown is the error for a name that is not in the index.
func (x index) unknown(what, name string) *ValueError {
	cause := fmt.Sprintf("unknown %s setting", what)
	if near, ok := x.nearest(name); ok {
		cause += fmt.Sprintf("; did you mean %s?", near)
	}
	return &ValueError{Key: clip(name), Cause: cause}
}

// index is a table with a way in by name.
type index struct {
	keys   []Key
	byName map[string]int
}

func newIndex(tables ...[]Key) index {
	x := index{byName: map[string]int{}}
	for _, t := range tables {
		x.keys = append(x.keys, t...)
	}
	sort.Slice(x.keys, func(i, j int) bool { return x.keys[i].Name < x.keys[j].Name })
	for i, k := range x.keys {
		x.byName[k.Name] = i
	}
	return x
}

func (x index) find(name string) (Key, bool) {
	i, ok := x.byName[name]
	if !ok {
		return Key{}, false
	}
	return x.keys[i], true
}

// nearest returns the known name with the smallest edit distance, unless it is
// too far away to be what was meant.
func (x index) nearest(name string) (string, bool) {
	const longest = 100
	if len(name) == 0 || len(name) > longest {
		return "", false
	}
	best, found := math.MaxInt, ""
	for _, k := range x.keys {
		if k.Deprecated {
			continue
		}
		if d := distance(name, k.Name); d < best {
			best, found = d, k.Name
		}
	}
	return found, best <= max(1, len(name)/3)
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func distance(a, b string) int {
	before := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

var (
	topicIndex  = newIndex(topicTable)
	brokerIndex = newIndex(brokerTable, brokerClusterTable, brokerLogTable, brokerLaterTable, brokerIgnoredTable, brokerKafkaTable)
)
