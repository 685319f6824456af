package vnet

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// Net opens listeners and connections: TCP in a real process, memory in tests.
type Net interface {
	// Listen opens a listener on host:port; port 0 picks a free one.
	Listen(address string) (net.Listener, error)
	// Dial connects to host:port within timeout.
	Dial(address string, timeout time.Duration) (net.Conn, error)
}

// TCP is the operating system's network.
type TCP struct{}

// Listen implements Net.
func (TCP) Listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }

// Dial implements Net.
func (TCP) Dial(address string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", address, timeout)
}

// IsRefused reports whether a dial failed because nobody listens at the address,
// which only the machine at that address can say.
func IsRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
