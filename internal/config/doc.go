// Package config is every setting of a broker and of a topic: name, type,
// default, rule, meaning, and what it is worth when nobody sets it.
//
// It is pure. It does not read files, flags or the environment: the caller hands
// their contents over. It knows nothing of requests: what DescribeConfigs
// answers is a value that api encodes.
//
// # Invariants
//
//  1. One table holds every setting; documentation, validation, DescribeConfigs
//     and the typed structs come from it.
//  2. Every setting of Kafka's that users write is known: accepted, or accepted
//     without effect with the reason. Nothing that would weaken what the operator
//     asked for (an authorizer, a TLS listener) is silently ignored: it is refused.
//  3. No setting that can be changed over the wire names a file, a class, an
//     address or a URL.
//  4. A Broker never changes; WithDynamic makes another one.
//  5. Flags outrank the environment, which outranks the file. Setting one key
//     leaves the default of every other as it is.
//  6. Sensitive values appear in no error, warning or description.
//
// # File map
//
//	key.go           Key, the tables by name, the nearest known name
//	value.go         types, parsed values, rules
//	topic_table.go   the settings of a topic
//	broker_table.go  the settings of a broker
//	broker_kafka_table.go  what else Kafka lists, without effect here
//	broker_rules.go  rules of single broker settings; defaults of topic settings
//	topic.go         Topic, ResolveTopic
//	broker.go        Broker, dynamic settings
//	listener.go      listeners and what they advertise
//	load.go          flags over environment over file; known, ignored, unknown
//	properties.go    java.util.Properties
//	describe.go      what DescribeConfigs answers
//	check.go         what is unsafe and what it costs
//
// KIPs: 226 (dynamic broker settings), 339 (incremental changes), 390
// (compression levels), 937 (timestamp bounds).
package config
