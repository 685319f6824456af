package cluster

import (
	"fmt"
	"math/rand/v2"
	"time"

	"holdfast/internal/kafka"
)

// KillRandom kills one broker with kill -9 and leaves it down for up to two
// seconds; one time in four another one dies shortly after the first, and one time
// in four a broker dies again while it starts.
func KillRandom(c *Cluster, rng *rand.Rand) error {
	first := c.Nodes[rng.IntN(len(c.Nodes))]
	first.Kill()
	if rng.IntN(4) == 0 {
		time.Sleep(upTo(rng, 300*time.Millisecond))
		others := c.Others(first.ID)
		others[rng.IntN(len(others))].Kill()
	}
	time.Sleep(upTo(rng, 2*time.Second))
	if rng.IntN(4) == 0 {
		if err := first.Launch(); err != nil {
			return err
		}
		time.Sleep(upTo(rng, 300*time.Millisecond))
		first.Kill()
	}
	return nil
}

// KillLeader kills the leader of the topic's first partition as soon as it is
// known, and leaves it down until another broker leads.
func KillLeader(topic string) Accident {
	return func(c *Cluster, _ *rand.Rand) error {
		first := kafka.TopicPartition{Topic: topic}
		p, err := c.WaitPartition(startLimit, first, "a leader", func(p Partition) bool { return p.Leader > 0 })
		if err != nil {
			return err
		}
		c.Node(p.Leader).Kill()
		_, err = c.WaitPartition(startLimit, first, "another leader", func(q Partition) bool { return q.Leader > 0 && q.Leader != p.Leader })
		return err
	}
}

// KillAll kills every broker at once.
func KillAll(c *Cluster, _ *rand.Rand) error {
	done := make(chan struct{}, len(c.Nodes))
	for _, n := range c.Nodes {
		go func() {
			n.Kill()
			done <- struct{}{}
		}()
	}
	for range c.Nodes {
		<-done
	}
	return nil
}

// PauseRandom stops a broker (SIGSTOP) for up to the limit and resumes it.
func PauseRandom(limit time.Duration) Accident {
	return func(c *Cluster, rng *rand.Rand) error {
		n := c.Nodes[rng.IntN(len(c.Nodes))]
		if err := n.Pause(); err != nil {
			return err
		}
		time.Sleep(upTo(rng, limit))
		n.Resume()
		return nil
	}
}

// CutRandom cuts links for up to the limit: one broker from the others, both
// ways; or one direction between two.
func CutRandom(limit time.Duration) Accident {
	return func(c *Cluster, rng *rand.Rand) error {
		from := c.Nodes[rng.IntN(len(c.Nodes))]
		others := c.Others(from.ID)
		cut := func() error { return c.Isolate(from.ID) }
		if rng.IntN(2) == 0 {
			cut = func() error { return c.Cut(from.ID, others[rng.IntN(len(others))].ID) }
		}
		if err := cut(); err != nil {
			return fmt.Errorf("cut links: %w", err)
		}
		time.Sleep(upTo(rng, limit))
		return c.Heal()
	}
}

// OneOf makes one of the accidents each round.
func OneOf(list ...Accident) Accident {
	return func(c *Cluster, rng *rand.Rand) error { return list[rng.IntN(len(list))](c, rng) }
}

// RestartInTurn stops one broker after another in order and starts each again
// before the next one, as an operator does.
func RestartInTurn(c *Cluster, _ *rand.Rand) error {
	for _, n := range c.Nodes {
		if err := n.Stop(30 * time.Second); err != nil {
			return err
		}
		if err := c.Start(); err != nil {
			return err
		}
		if err := c.WaitISR(60*time.Second, names(Topics())...); err != nil {
			return err
		}
	}
	return nil
}
