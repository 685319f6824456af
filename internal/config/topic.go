package config

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// AcksPolicy is the setting acks.policy.
type AcksPolicy uint8

// The policies, in the order of the documentation.
const (
	AcksUpgrade AcksPolicy = iota // acks=1 gets every rule of acks=all
	AcksWarn                      // as AcksAllow, and says so
	AcksAllow                     // Kafka's rule, after the leader's own flush
	AcksReject                    // acks 0 and 1 are refused
)

// String is the setting's value.
func (p AcksPolicy) String() string { return [...]string{"upgrade", "warn", "allow", "reject"}[p%4] }

// Durability is the setting durability.
type Durability uint8

// The modes.
const (
	DurabilityFsync     Durability = iota // acknowledged once on stable storage
	DurabilityPageCache                   // acknowledged once the operating system has it
)

// String is the setting's value.
func (d Durability) String() string { return [...]string{"fsync", "page-cache"}[d%2] }

// CompressionType is the setting compression.type. Apart from
// CompressionProducer, the numbers are those of the codecs in a batch's attributes.
type CompressionType int8

// The compression types.
const (
	CompressionProducer CompressionType = -1 // stored as the producer sent it
	CompressionNone     CompressionType = 0
	CompressionGzip     CompressionType = 1
	CompressionSnappy   CompressionType = 2
	CompressionLZ4      CompressionType = 3
	CompressionZstd     CompressionType = 4
)

// String is the setting's value.
func (c CompressionType) String() string {
	return [...]string{"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"}[(c+1)%6]
}

// Unbounded is the value of a Duration setting beyond what a Duration can hold.
const Unbounded time.Duration = math.MaxInt64

// Topic holds the settings of one topic that have an effect. It is a value:
// compare and copy it freely.
type Topic struct {
	AcksPolicy AcksPolicy
	Durability Durability

	// MinISR is min.insync.replicas; 0 means derived, see EffectiveMinISR.
	MinISR int

	Compact, Delete bool // cleanup.policy; at least one is true

	SegmentBytes  int64
	SegmentMs     int64 // milliseconds, at least 1
	SegmentJitter time.Duration
	Preallocate   bool

	RetentionMs     int64 // milliseconds; -1 is without limit
	RetentionBytes  int64 // -1 is without limit
	FileDeleteDelay time.Duration

	IndexIntervalBytes int
	SegmentIndexBytes  int

	MaxMessageBytes    int
	LogAppendTime      bool          // message.timestamp.type
	TimestampBeforeMax time.Duration // Unbounded for none
	TimestampAfterMax  time.Duration // Unbounded for none
	CompressionType    CompressionType
	CompressionLevel   int // of CompressionType; meaningful for gzip, lz4 and zstd
}

// EffectiveMinISR is the number of in-sync replicas that a write needs in a
// topic of that replication factor. An explicit value is taken literally.
func (t Topic) EffectiveMinISR(replicationFactor int) int {
	if t.MinISR > 0 {
		return t.MinISR
	}
	return replicationFactor/2 + 1
}

// CheckReplication refuses a topic whose settings no in-sync set could satisfy.
// The error is a *ValueError.
func (t Topic) CheckReplication(replicationFactor int) error {
	if t.MinISR <= replicationFactor {
		return nil
	}
	return &ValueError{Key: "min.insync.replicas", Value: fmt.Sprint(t.MinISR),
		Cause: fmt.Sprintf("larger than the replication factor %d: no write could ever be accepted", replicationFactor)}
}

// ValidateTopic checks settings that somebody wants to give to a topic: every
// name is known and every value allowed. The error is a *ValueError.
func ValidateTopic(overrides map[string]string) error {
	_, err := ResolveTopic(nil, overrides)
	return err
}

// ResolveTopic returns the settings of a topic with these overrides on this
// broker. A nil broker stands for the defaults. The error is a *ValueError, the
// same one for the same input.
func ResolveTopic(b *Broker, overrides map[string]string) (Topic, error) {
	values := make(map[string]Value, len(topicIndex.keys))
	for _, k := range topicIndex.keys {
		text, set := overrides[k.Name]
		if !set {
			if text, set = b.topicDefault(k); !set {
				continue
			}
		}
		v, err := k.Parse(text)
		if err != nil {
			return Topic{}, err
		}
		values[k.Name] = v
	}
	if err := onlyKnown(topicIndex, "topic", overrides); err != nil {
		return Topic{}, err
	}
	if low, high := values["min.compaction.lag.ms"].Int, values["max.compaction.lag.ms"].Int; low > high {
		return Topic{}, &ValueError{Key: "min.compaction.lag.ms", Value: fmt.Sprint(low), Cause: fmt.Sprintf("larger than max.compaction.lag.ms=%d", high)}
	}
	return typedTopic(values), nil
}

// onlyKnown refuses the first unknown name, in the order of names.
func onlyKnown(x index, what string, settings map[string]string) error {
	var unknown []string
	for name := range settings {
		if _, ok := x.find(name); !ok {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return x.unknown(what, slices.Min(unknown))
}

func typedTopic(v map[string]Value) Topic {
	t := Topic{
		MinISR:             int(v["min.insync.replicas"].Int),
		Compact:            slices.Contains(v["cleanup.policy"].List, "compact"),
		Delete:             slices.Contains(v["cleanup.policy"].List, "delete"),
		SegmentBytes:       v["segment.bytes"].Int,
		SegmentMs:          v["segment.ms"].Int,
		SegmentJitter:      millis(v["segment.jitter.ms"].Int),
		Preallocate:        v["preallocate"].Bool,
		RetentionMs:        v["retention.ms"].Int,
		RetentionBytes:     v["retention.bytes"].Int,
		FileDeleteDelay:    millis(v["file.delete.delay.ms"].Int),
		IndexIntervalBytes: int(v["index.interval.bytes"].Int),
		SegmentIndexBytes:  int(v["segment.index.bytes"].Int),
		MaxMessageBytes:    int(v["max.message.bytes"].Int),
		LogAppendTime:      v["message.timestamp.type"].Text == "LogAppendTime",
		TimestampBeforeMax: millis(v["message.timestamp.before.max.ms"].Int),
		TimestampAfterMax:  millis(v["message.timestamp.after.max.ms"].Int),
	}
	t.AcksPolicy = acksPolicies[v["acks.policy"].Text]
	if v["durability"].Text == "page-cache" {
		t.Durability = DurabilityPageCache
	}
	t.CompressionType = compressionTypes[v["compression.type"].Text]
	switch t.CompressionType {
	case CompressionGzip:
		t.CompressionLevel = int(v["compression.gzip.level"].Int)
	case CompressionLZ4:
		t.CompressionLevel = int(v["compression.lz4.level"].Int)
	case CompressionZstd:
		t.CompressionLevel = int(v["compression.zstd.level"].Int)
	}
	return t
}

var acksPolicies = map[string]AcksPolicy{"upgrade": AcksUpgrade, "warn": AcksWarn, "allow": AcksAllow, "reject": AcksReject}

var compressionTypes = map[string]CompressionType{"producer": CompressionProducer, "uncompressed": CompressionNone,
	"gzip": CompressionGzip, "snappy": CompressionSnappy, "lz4": CompressionLZ4, "zstd": CompressionZstd}

// millis turns a setting in milliseconds into a Duration; what does not fit is
// Unbounded.
func millis(ms int64) time.Duration {
	if ms > int64(Unbounded/time.Millisecond) {
		return Unbounded
	}
	return time.Duration(ms) * time.Millisecond
}
