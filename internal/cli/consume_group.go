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
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			if len(lost) > 0 { // it is called again at each attempt to join
				c.app.talk("the group went on without this member; what was not committed is read again")
			}
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

// commitMax bounds one try of a commit, and the last one, which Ctrl-C does not end:
// what is on stdout should not come again.
const commitMax = 30 * time.Second

// outlived are errors of a commit that came too late: the records are read again
// by whoever has the partitions now, which loses nothing.
var outlived = []error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RebalanceInProgress}

// passes reports an error that ends the session of a member and not its reading:
// the client joins the group anew by itself. The broker was away, or the group
// went on without the member.
func (c *consuming) passes(err error) bool {
	var session *kgo.ErrGroupSession
	return errors.As(err, &session) && (transient(session.Err) || outlives(session.Err))
}

// transient reports an error that is worth another try: the broker did not answer,
// or it asks for one.
func transient(err error) bool {
	var code *kerr.Error
	return !errors.As(err, &code) || code.Retriable
}

func outlives(err error) bool {
	return slices.ContainsFunc(outlived, func(e error) bool { return errors.Is(err, e) })
}

// commit commits what was printed of the fetches and lets the group go on.
func (c *consuming) commit(ctx context.Context, cl *kgo.Client, fetches kgo.Fetches) error {
	defer cl.AllowRebalance()
	records := fetches.Records()
	if len(records) == 0 {
		return nil
	}
	err := c.tryToCommit(ctx, cl, records)
	for err != nil && !outlives(err) && transient(err) && ctx.Err() == nil {
		c.pause(ctx)
		err = c.tryToCommit(ctx, cl, records)
	}
	switch {
	case err == nil:
		return nil
	case outlives(err):
		c.app.talk("%d record(s) were printed and could not be committed, because the group went on without this member (%v); they come again", len(records), err)
		return nil
	}
	return fmt.Errorf("commit %d record(s) that were printed for group %s (they come again): %w", len(records), c.o.group, err)
}

// tryToCommit goes on for commitMax, also after Ctrl-C.
func (c *consuming) tryToCommit(ctx context.Context, cl *kgo.Client, records []*kgo.Record) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitMax)
	defer cancel()
	return cl.CommitRecords(ctx, records...)
}

// pause lies between two tries of a commit.
func (c *consuming) pause(ctx context.Context) {
	timer := c.app.Streams.Clock.NewTimer(tick)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-ctx.Done():
	}
}
