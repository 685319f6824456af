package cli

import (
	"context"
	"log/slog"
	"os"

	"holdfast/internal/config"
	"holdfast/internal/env"
	"holdfast/internal/node"
)

// BrokerOptions are what a broker is started with. All fields are set.
type BrokerOptions struct {
	Config *config.Broker // DataDir is set
	Log    *slog.Logger
	// Version is what the broker says it is.
	Version string
	// UserSecret is where the secret of this user's brokers is, or will be; empty:
	// the user has no place for it.
	UserSecret string
}

// Running is a broker that serves.
type Running interface {
	// Listeners are the addresses that clients can connect to, one for each
	// listener of the configuration, with the ports that were really opened.
	Listeners() []string
	// Admin is the address of the admin listener, or "".
	Admin() string
	// Done is closed when the broker has stopped by itself; Err then says why.
	Done() <-chan struct{}
	Err() error
	// Stop ends the broker cleanly and waits for it, at most until ctx ends.
	Stop(ctx context.Context) error
}

// StartBroker starts a broker and returns once it serves.
type StartBroker func(ctx context.Context, o BrokerOptions) (Running, error)

// startNode is the StartBroker of the program.
func startNode(ctx context.Context, o BrokerOptions) (Running, error) {
	n, err := node.Start(ctx, node.Options{Env: plantedEnv(env.NewReal()), Config: o.Config, DataDir: o.Config.DataDir, Version: o.Version, Log: o.Log, UserSecret: o.UserSecret, Faults: os.Getenv("HOLDFAST_FAULT")})
	if err != nil {
		return nil, err
	}
	return runningNode{n}, nil
}

// runningNode shows a node as a Running.
type runningNode struct{ *node.Node }

// Listeners implements Running.
func (r runningNode) Listeners() (all []string) {
	for _, l := range r.Node.Listeners() {
		all = append(all, l.Advertised.String())
	}
	return all
}

// Admin implements Running.
func (r runningNode) Admin() string { return r.AdminAddress() }
