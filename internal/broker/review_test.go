package broker_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"holdfast/internal/broker"
	"holdfast/internal/config"
	"holdfast/internal/datadir"
	"holdfast/internal/env"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// Start must not put an older image in the place of a newer one that arrived
// while it was being called.
func TestReview_StartWithAnOlderImage(t *testing.T) {
	ground := env.NewTest(1)
	d, err := datadir.Open(datadir.Options{Env: ground.Env, Dir: "/data", NodeID: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b := broker.New(broker.Options{Self: 1, Env: ground.Env, Dir: d, Config: config.Default(), Log: slog.New(slog.DiscardHandler)})
	older, _, err := meta.Empty().Apply(1, nil)
	if err != nil {
		t.Fatal(err)
	}
	newer, delta, err := older.Apply(2, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	b.Changed(delta, newer) // the quorum applied one more entry after Image() was read
	b.Start(ctx, older)
	go b.Run(ctx)
	if err := b.AwaitApplied(ctx, kafka.Offset(2)); err != nil {
		t.Errorf("offset 2 is never reconciled: %v", err)
	}
}
