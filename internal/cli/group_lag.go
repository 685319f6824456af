package cli

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// lagPatience bounds how long group describe looks for the ages of records.
const lagPatience = 3 * time.Second

// recordTimes reads the first record that was not consumed of every partition
// that lags, and returns its timestamp. A partition that does not answer in time
// is left out.
func (a *app) recordTimes(ctx context.Context, positions []groupPosition) (map[string]map[int32]time.Time, error) {
	from := map[string]map[int32]kgo.Offset{}
	left := 0
	for _, p := range positions {
		if p.Lag > 0 && p.Start >= 0 {
			put(from, p.Topic, p.Partition, kgo.NewOffset().At(max(p.Committed, p.Start)))
			left++
		}
	}
	times := map[string]map[int32]time.Time{}
	if left == 0 {
		return times, nil
	}
	c, err := a.clientConfig()
	if err != nil {
		return nil, err
	}
	// One batch of each partition is enough.
	const batch = 1 << 10
	cl, err := kgo.NewClient(append(c.options(), kgo.ConsumePartitions(from), kgo.FetchMaxPartitionBytes(batch), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, lagPatience)
	defer cancel()
	for left > 0 && ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if _, seen := times[p.Topic][p.Partition]; seen || p.Err == nil && len(p.Records) == 0 {
				return
			}
			cl.PauseFetchPartitions(map[string][]int32{p.Topic: {p.Partition}})
			left--
			if len(p.Records) > 0 {
				put(times, p.Topic, p.Partition, p.Records[0].Timestamp)
			}
		})
	}
	return times, nil
}
