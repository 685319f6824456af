package vnet_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/internal/clock"
	"holdfast/internal/vnet"
)

// TestMem_Chaos changes links, cuts, resets and powers hosts off at random while
// clients dial and stream counters. What arrives on a connection must be a
// prefix of what was sent on it. When all is healed, every client must get a
// whole stream through: nothing may be stuck.
func TestMem_Chaos(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chaos(t, seed) })
		})
	}
}

const counters = 3000

func chaos(t *testing.T, seed uint64) {
	m := vnet.NewMem(clock.Real{}, seed)
	r := rand.New(rand.NewPCG(seed, 3))
	servers, clients := []string{"s0", "s1", "s2"}, []string{"c0", "c1", "c2"}
	var serving, dialling sync.WaitGroup
	var listeners []net.Listener
	listen := func(host string) {
		l, err := m.Host(host).Listen(host + ":9092")
		if err != nil {
			return // it still listens
		}
		listeners = append(listeners, l)
		serving.Go(func() { serve(t, l, &serving) })
	}
	for _, s := range servers {
		listen(s)
	}
	for i, c := range clients {
		dialling.Go(func() {
			for !stream(m.Host(c), servers[i]+":9092") {
				clock.Real{}.Sleep(50 * time.Millisecond)
			}
		})
	}
	for range 40 {
		clock.Real{}.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
		s, c := servers[r.IntN(3)], clients[r.IntN(3)]
		switch r.IntN(6) {
		case 0:
			m.Cut(s, c, r.IntN(2) == 0)
		case 1:
			m.Cut(c, s, r.IntN(2) == 0)
		case 2:
			m.Reset(c, s)
		case 3:
			m.PowerOff(s)
			clock.Real{}.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
			m.PowerOn(s)
			listen(s)
		case 4:
			m.Kill(s)
			listen(s)
		case 5:
			m.SetLink(c, s, vnet.Link{Latency: time.Duration(r.IntN(20)) * time.Millisecond, Jitter: 5 * time.Millisecond, Bandwidth: int64(r.IntN(2)) * 100_000})
		}
	}
	m.Partition(servers, clients, false)
	dialling.Wait()
	for _, l := range listeners {
		_ = l.Close()
	}
	serving.Wait()
}

// serve checks that counters come in order and answers the last one.
func serve(t *testing.T, l net.Listener, group *sync.WaitGroup) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		group.Go(func() {
			defer c.Close()
			var word [8]byte
			for want := range uint64(counters) {
				_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
				if _, err := io.ReadFull(c, word[:]); err != nil {
					return
				}
				if got := binary.BigEndian.Uint64(word[:]); got != want {
					t.Errorf("received %d, want %d", got, want)
					return
				}
			}
			_, _ = c.Write(word[:])
		})
	}
}

// stream sends all counters over one connection and reports whether the answer came.
func stream(n vnet.Net, address string) bool {
	c, err := n.Dial(address, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	var word [8]byte
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	for i := range uint64(counters) {
		binary.BigEndian.PutUint64(word[:], i)
		if _, err := c.Write(word[:]); err != nil {
			return false
		}
	}
	_, err = io.ReadFull(c, word[:])
	return err == nil && binary.BigEndian.Uint64(word[:]) == counters-1
}
