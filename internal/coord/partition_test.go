package coord_test

import (
	"fmt"
	"testing"

	"holdfast/internal/coord"
	"holdfast/internal/kafka"
)

// TestPartitionOf_IsKafkas: the values are what Utils.abs(groupId.hashCode()) %
// count of Apache Kafka 4.3.0 says for 50 and for 3 partitions.
func TestPartitionOf_IsKafkas(t *testing.T) {
	for _, c := range []struct {
		group     string
		of50, of3 kafka.PartitionIndex
	}{
		{"", 0, 0},
		{"a", 47, 1},
		{"group-1", 49, 2},
		{"console-consumer-12345", 6, 0},
		{"connect-sink", 22, 2},
		{"\x00", 0, 0},
		{"my-group", 12, 0}, // from here on the hash is negative
		{"test-consumer-group", 31, 2},
		{"zzzzzz", 14, 1},
		{"The quick brown fox", 29, 1},
		{"polygenelubricants", 0, 0}, // the least number, which has no absolute value
		{"потребители", 9, 2},
		{"消费者", 6, 0},
		{"😀", 49, 1}, // two units of UTF-16
		{"g😀🌍", 39, 1},
	} {
		if got := coord.PartitionOf(c.group, 50); got != c.of50 {
			t.Errorf("%q of 50: partition %d, Kafka says %d", c.group, got, c.of50)
		}
		if got := coord.PartitionOf(c.group, 3); got != c.of3 {
			t.Errorf("%q of 3: partition %d, Kafka says %d", c.group, got, c.of3)
		}
		if got := coord.PartitionOf(c.group, 1); got != 0 {
			t.Errorf("%q of 1: partition %d", c.group, got)
		}
	}
}

// TestPartitionOf_IsAlwaysAPartition: also for what is no text.
func TestPartitionOf_IsAlwaysAPartition(t *testing.T) {
	for i := range 10_000 {
		for _, count := range []int{1, 2, 3, 50, 1000} {
			name := fmt.Sprintf("%c\xff\xed\xa0\x80group-%d", rune(i*97), i*i)
			if got := coord.PartitionOf(name, count); got < 0 || int(got) >= count {
				t.Fatalf("%q of %d: partition %d", name, count, got)
			}
		}
	}
}
