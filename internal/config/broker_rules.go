package config

import (
	"fmt"
	"slices"
	"strconv"
)

func bothRoles(v Value) error {
	for _, role := range v.List {
		if role != "broker" && role != "controller" {
			return fmt.Errorf("unknown role %q; want broker,controller", clip(role))
		}
	}
	if slices.Contains(v.List, "broker") && slices.Contains(v.List, "controller") {
		return nil
	}
	return fmt.Errorf("want broker,controller: %s", oneProcess)
}

func oneVoter(v Value) error {
	if len(v.List) > 1 {
		return fmt.Errorf("a cluster of several brokers is named in bootstrap=HOST:PORT,HOST:PORT,... here, the same on each; leave this out")
	}
	return nil
}

// addressesMax is how many brokers can be named.
const addressesMax = 100

func addresses(v Value) error {
	if len(v.List) > addressesMax {
		return fmt.Errorf("%d addresses, at most %d", len(v.List), addressesMax)
	}
	for _, item := range v.List {
		e, err := ParseEndpoint(item)
		if err != nil {
			return err
		}
		if e.Wildcard() || e.Port == 0 {
			return fmt.Errorf("%q is no address that others can connect to; want HOST:PORT", clip(item))
		}
	}
	return nil
}

func noAuthorizer(v Value) error {
	if v.Text == "" {
		return nil
	}
	return fmt.Errorf("there is no access control yet, and a broker that ignored this would be open to everybody; leave it out to accept that")
}

// brokerLogTable is, for every topic setting, the broker settings that give its
// default. They are derived so that type and rule cannot differ.
var brokerLogTable = brokerLogKeys(topicTable)

func brokerLogKeys(topics []Key) []Key {
	var keys []Key
	for _, t := range topics {
		for i, s := range t.Broker {
			k := Key{Name: s.Name, Type: t.Type, Default: t.Default, Derived: t.Derived, NoDefault: t.NoDefault, Rule: t.Rule, Importance: t.Importance,
				Dynamic: true, Ignored: t.Ignored, Deprecated: t.Deprecated, Doc: "The default of the topic setting " + t.Name + ". " + t.Doc}
			if len(t.Broker) > 1 {
				k.scale(t, s, i == len(t.Broker)-1)
			}
			keys = append(keys, k)
		}
	}
	return keys
}

// scale makes k one of several settings of different units, of which only the
// last and coarsest has a default.
func (k *Key) scale(t Key, s Synonym, last bool) {
	if s.Unit != 1 {
		k.Type = Int
		k.Doc = fmt.Sprintf("The default of the topic setting %s, in units of %d ms. %s", t.Name, s.Unit, t.Doc)
		k.Dynamic = false
	}
	k.Default, k.NoDefault = "", true
	if n, err := strconv.ParseInt(t.Default, 10, 64); err == nil && last {
		k.Default, k.NoDefault = strconv.FormatInt(n/s.Unit, 10), false
	}
}
