package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Type is the type of a setting's value. The numbers are those of DescribeConfigs.
type Type int8

// The types.
const (
	Bool     Type = 1
	String   Type = 2
	Int      Type = 3 // 32 bits
	Short    Type = 4 // 16 bits
	Long     Type = 5 // 64 bits
	Double   Type = 6
	List     Type = 7 // separated by commas
	Class    Type = 8 // never read: there is no class to load
	Password Type = 9
)

// String is the type's name as documentation prints it.
func (t Type) String() string {
	names := [...]string{Bool: "boolean", String: "string", Int: "int", Short: "short", Long: "long", Double: "double", List: "list", Class: "class", Password: "password"}
	if t < Bool || int(t) >= len(names) {
		return fmt.Sprintf("type-%d", int8(t))
	}
	return names[t]
}

// Value is a value that was read as its type: Text always, and the one field
// that belongs to the type.
type Value struct {
	Text   string
	Bool   bool
	Int    int64 // Int, Short and Long
	Double float64
	List   []string // without blanks and empty elements
}

// ParseValue reads text as a value of the type, with Kafka's leniency: blanks
// around it are dropped, and booleans may be in any case.
func ParseValue(t Type, text string) (Value, error) {
	trimmed := strings.TrimSpace(text)
	v := Value{Text: trimmed}
	var err error
	switch t {
	case Bool:
		v.Bool = strings.EqualFold(trimmed, "true")
		if !v.Bool && !strings.EqualFold(trimmed, "false") {
			err = fmt.Errorf("want true or false")
		}
	case Int:
		v.Int, err = parseInt(trimmed, 32)
	case Short:
		v.Int, err = parseInt(trimmed, 16)
	case Long:
		v.Int, err = parseInt(trimmed, 64)
	case Double:
		v.Double, err = strconv.ParseFloat(trimmed, 64)
		if err != nil || math.IsNaN(v.Double) || math.IsInf(v.Double, 0) {
			err = fmt.Errorf("want a number")
		}
	case List:
		v.List = splitList(trimmed)
	case Password:
		v.Text = text
	}
	return v, err
}

func parseInt(text string, bits int) (int64, error) {
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		if d, timeErr := time.ParseDuration(text); timeErr == nil {
			return 0, fmt.Errorf("want a whole number without a unit; %s is %d milliseconds", text, d.Milliseconds())
		}
		limit := int64(1)<<(bits-1) - 1
		return 0, fmt.Errorf("want a whole number from %d to %d", -limit-1, limit)
	}
	return n, nil
}

func splitList(text string) []string {
	var list []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// Rule is what a value must keep to beyond its type. The zero Rule allows
// everything.
type Rule struct {
	Text  string // how documentation says it: "at least 1"
	Check func(Value) error
}

func (r Rule) check(v Value) error {
	if r.Check == nil {
		return nil
	}
	return r.Check(v)
}

func atLeast(low int64) Rule {
	text := fmt.Sprintf("at least %d", low)
	return Rule{Text: text, Check: func(v Value) error {
		if v.Int < low {
			return fmt.Errorf("want %s", text)
		}
		return nil
	}}
}

func between(low, high int64) Rule {
	text := fmt.Sprintf("from %d to %d", low, high)
	return Rule{Text: text, Check: func(v Value) error {
		if v.Int < low || v.Int > high {
			return fmt.Errorf("want a number %s", text)
		}
		return nil
	}}
}

func ratio() Rule {
	return Rule{Text: "from 0 to 1", Check: func(v Value) error {
		if v.Double < 0 || v.Double > 1 {
			return fmt.Errorf("want a number from 0 to 1")
		}
		return nil
	}}
}

func oneOf(words ...string) Rule {
	text := strings.Join(words, ", ")
	return Rule{Text: "one of " + text, Check: func(v Value) error {
		for _, w := range words {
			if v.Text == w {
				return nil
			}
		}
		return fmt.Errorf("want one of %s", text)
	}}
}

func someOf(words ...string) Rule {
	text := strings.Join(words, ", ")
	one := oneOf(words...)
	return Rule{Text: "one or more of " + text, Check: func(v Value) error {
		if len(v.List) == 0 {
			return fmt.Errorf("want at least one of %s", text)
		}
		for _, item := range v.List {
			if err := one.Check(Value{Text: item}); err != nil {
				return err
			}
		}
		return nil
	}}
}

// onlyWith allows a single value and says why others are refused.
func onlyWith(only, why string) Rule {
	return Rule{Text: "only " + only, Check: func(v Value) error {
		if !strings.EqualFold(v.Text, only) {
			return fmt.Errorf("only %s is supported: %s", only, why)
		}
		return nil
	}}
}

// throttled is the form of the throttled-replica lists: empty, *, or
// partition:broker pairs.
func throttled() Rule {
	return Rule{Text: "empty, * or partition:broker pairs", Check: func(v Value) error {
		if len(v.List) == 1 && v.List[0] == "*" {
			return nil
		}
		for _, item := range v.List {
			partition, broker, ok := strings.Cut(item, ":")
			_, err1 := strconv.ParseUint(partition, 10, 31)
			_, err2 := strconv.ParseUint(broker, 10, 31)
			if !ok || err1 != nil || err2 != nil {
				return fmt.Errorf("want *, or a list of partition:broker pairs")
			}
		}
		return nil
	}}
}
