package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// groupOptions make the client a member that commits nothing by itself, and that
// keeps its partitions from a poll until what was polled is written and
// committed: another member then begins behind what is on stdout.
//
// A committed offset that retention has overtaken goes on at the first record
// that is there, never at the end: that would skip records nobody has seen.
func (c *consuming) groupOptions(client clientConfig, topics []string, first point) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.ConsumerGroup(c.o.group), kgo.ConsumeTopics(topics...), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeStartOffset(first.offset()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, _ map[string][]int32) {
			c.app.talk("the group went on without this member; what was not committed is read again")
		}),
	}
	if client.instance != "" {
		opts = append(opts, kgo.InstanceID(client.instance))
	}
	if client.sessionMax > 0 {
		opts = append(opts, kgo.SessionTimeout(client.sessionMax), kgo.HeartbeatInterval(max(client.sessionMax/10, time.Millisecond)))
	}
	return opts
}

// commitMax bounds one commit. It goes on after Ctrl-C: what is on stdout should
// not come again.
const commitMax = 30 * time.Second

// outlived are errors of a commit that came too late: the records are read again
// by whoever has the partitions now, which loses nothing.
var outlived = []error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RebalanceInProgress}

// commit commits what was printed of the fetches and lets the group go on.
func (c *consuming) commit(ctx context.Context, cl *kgo.Client, fetches kgo.Fetches) error {
	defer cl.AllowRebalance()
	records := fetches.Records()
	if len(records) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitMax)
	defer cancel()
	err := cl.CommitRecords(ctx, records...)
	switch {
	case err == nil:
		return nil
	case slices.ContainsFunc(outlived, func(e error) bool { return errors.Is(err, e) }):
		c.app.talk("%d record(s) were printed and could not be committed, because the group went on without this member (%v); they come again", len(records), err)
		return nil
	}
	return fmt.Errorf("commit %d record(s) that were printed for group %s (they come again): %w", len(records), c.o.group, err)
}
