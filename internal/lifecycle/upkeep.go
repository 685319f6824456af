package lifecycle

import (
	"context"
	"errors"
	"slices"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/controller"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/quorum"
)

const (
	// upkeepEvery is how often the controller looks for what it can mend.
	upkeepEvery = 500 * time.Millisecond
	// upkeepWait bounds one command of the upkeep.
	upkeepWait = 5 * time.Second
	// votersWait bounds how long newcomers may take to catch up before the next try.
	votersWait = 30 * time.Second
	// votersTarget is how many voters a cluster grows to by itself.
	votersTarget = 3
)

// runUpkeep does what nobody asks for: voters, replication of internal topics,
// leaders that can move back, and partitions without a leader.
func (l *Lifecycle) runUpkeep(ctx context.Context) {
	balanced := l.o.Env.Clock.Now()
	for l.pause(ctx, upkeepEvery, nil) {
		image := l.o.Quorum.Image()
		if !l.sessions.leads() || len(image.Brokers()) < 2 || image.FeatureLevel() < meta.LevelReplication {
			continue
		}
		l.growVoters(ctx, image)
		l.recoverAll(ctx, image)
		settings := l.o.Settings()
		if now := l.o.Env.Clock.Now(); now.Sub(balanced) >= settings.BalanceInterval {
			balanced = now
			l.try(ctx, "replication of the internal topics", controller.EnsureReplication{})
			if settings.BalanceLeaders {
				l.try(ctx, "balance of leaders", controller.BalanceLeaders{})
			}
		}
	}
}

// try submits a command of the upkeep. What fails is tried again the next time.
func (l *Lifecycle) try(ctx context.Context, what string, command controller.Command) (controller.Reply, bool) {
	ctx, cancel := clock.Within(ctx, l.o.Env.Clock, upkeepWait)
	defer cancel()
	reply, err := l.o.Quorum.Submit(ctx, command)
	if err != nil {
		l.o.Log.Debug("the controller's upkeep was not done", "what", what, "error", err)
		return reply, false
	}
	for _, r := range reply.Partitions {
		if r.Code == kafka.ErrNone {
			l.o.Log.Info("the controller changes a partition", "what", what, "topic", r.Topic, "partition", r.Partition, "note", r.Message)
		}
	}
	return reply, true
}

// growVoters brings the quorum to an odd number of voters, three at most by itself,
// and gives a voter whose directory was replaced its vote back.
func (l *Lifecycle) growVoters(ctx context.Context, image *meta.Image) {
	have := l.o.Quorum.Describe().Voters
	want, changed := nextVoters(have, image)
	if !changed {
		return
	}
	ctx, cancel := clock.Within(ctx, l.o.Env.Clock, votersWait)
	defer cancel()
	if err := l.o.Quorum.ChangeVoters(ctx, want); err != nil {
		if !errors.Is(err, quorum.ErrChanging) {
			l.o.Log.Warn("the voters of the metadata quorum do not change now", "voters", want, "error", err)
		}
		return
	}
	l.o.Log.Info("the voters of the metadata quorum have changed", "voters", want)
}

// nextVoters chooses the voters among those that there are and the live brokers.
// Nobody loses its vote but a directory that its broker does not have any more.
func nextVoters(have []quorum.Replica, image *meta.Image) (want []quorum.Voter, changed bool) {
	for _, v := range have {
		b := image.Broker(v.Node)
		if b != nil && !b.HasDirectory(v.Directory) && !b.Fenced {
			want, changed = append(want, quorum.Voter{Node: v.Node, Directory: b.Directories[0]}), true
			continue
		}
		want = append(want, quorum.Voter{Node: v.Node, Directory: v.Directory})
	}
	if len(want) >= votersTarget {
		return want, changed
	}
	grown := slices.Clone(want)
	for _, b := range image.Brokers() {
		votes := slices.ContainsFunc(grown, func(v quorum.Voter) bool { return v.Node == b.ID })
		if !votes && b.IsLive() && len(grown) < votersTarget {
			grown = append(grown, quorum.Voter{Node: b.ID, Directory: b.Directories[0]})
		}
	}
	if len(grown)%2 == 1 && len(grown) > len(want) {
		return grown, true
	}
	return want, changed
}
