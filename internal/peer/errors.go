package peer

import (
	"errors"
	"fmt"

	"holdfast/internal/kafka"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrClosed: this broker is stopping.
	ErrClosed = errors.New("the connections to other brokers are closed")
	// ErrBusy: too much is waiting for this broker already. Nothing was sent.
	ErrBusy = errors.New("too many requests wait for the broker")
	// ErrUnknown: no address of the broker is known. Nothing was sent.
	ErrUnknown = errors.New("no address of the broker is known")
	// ErrRemote: the broker is on another machine, and its connections are neither
	// encrypted nor trusted. Nothing was sent.
	ErrRemote = errors.New("connections between brokers on different machines are not protected yet: " +
		"list loopback addresses, or set broker.network.trusted where nobody else can reach this network")
	// ErrLost: the connection ended before the answer came. The other side may have
	// done what was asked.
	ErrLost = errors.New("the connection to the broker ended before its answer")

	errSilent   = errors.New("no answer, and nothing else either")
	errSelf     = errors.New("it is this broker")
	errIdentity = errors.New("this broker's identity has changed")
)

// UnreachableError says that no connection could be made. Nothing was sent.
type UnreachableError struct {
	Broker  kafka.BrokerID // NoBroker: whoever is at Address
	Address string         // empty: several
	Refused bool           // nobody listens there
	Cause   error
}

// Error says who and why.
func (e *UnreachableError) Error() string {
	who := "the broker"
	if e.Broker != kafka.NoBroker {
		who = fmt.Sprintf("broker %d", e.Broker)
	}
	if e.Address != "" {
		who += " at " + e.Address
	}
	return fmt.Sprintf("connect to %s: %v", who, e.Cause)
}

// Unwrap gives the cause.
func (e *UnreachableError) Unwrap() error { return e.Cause }

// Sent reports whether a request that failed with err may have reached the other
// side.
func Sent(err error) bool {
	var unreachable *UnreachableError
	return err != nil && !errors.As(err, &unreachable) && !errors.Is(err, ErrBusy) && !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrRemote)
}
