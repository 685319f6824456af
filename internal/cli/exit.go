package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
)

// The exit statuses of every command.
const (
	ExitOK      = 0  // done, or the answer is good
	ExitFailed  = 1  // it could not be done or asked
	ExitUsage   = 2  // the command line is wrong
	ExitBad     = 10 // asked, and the answer is bad: unsafe, corrupt, lost
	ExitUnknown = 11 // asked, and the answer is unknown or partial
)

// failure is an error with an exit status and what to do about it.
type failure struct {
	code int
	err  error
	fix  string // what the user can do; may be empty
	// silent: the command has already said everything.
	silent bool
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func usagef(format string, args ...any) error {
	return &failure{code: ExitUsage, err: fmt.Errorf(format, args...)}
}

// withFix adds what to do about an error.
func withFix(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &failure{code: ExitFailed, err: err, fix: fmt.Sprintf(format, args...)}
}

// exit is an error that only sets the status: the command has said the rest.
func exit(code int) error {
	return &failure{code: code, err: errors.New("see above"), silent: true}
}

// report prints an error with its cause and fix and returns the exit status.
func report(s Streams, err error) int {
	if err == nil || quietEnd(err) {
		return ExitOK
	}
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{code: ExitFailed, err: err}
	}
	if f.silent {
		return f.code
	}
	prefix := "error: "
	if s.colour() {
		prefix = "\x1b[31merror:\x1b[0m "
	}
	fmt.Fprintln(s.Err, prefix+strings.ReplaceAll(err.Error(), "\n", "\n  "))
	if f.fix != "" {
		fmt.Fprintln(s.Err, "  "+strings.ReplaceAll(f.fix, "\n", "\n  "))
	}
	return f.code
}

// quietEnd reports whether the reader of our output has gone: nothing is wrong
// with us, and nobody is left to be told.
func quietEnd(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}

// explain turns an error of the client into a cause and a fix.
func explain(brokers []string, err error) error {
	if err == nil {
		return nil
	}
	var already *failure
	if errors.As(err, &already) {
		return err
	}
	where := strings.Join(brokers, ",")
	var dns *net.DNSError
	var code *kerr.Error
	switch {
	case errors.As(err, &code):
		return explainCode(err, code)
	case errors.Is(err, syscall.ECONNREFUSED):
		return withFix(fmt.Errorf("cannot connect to %s: connection refused", where),
			"Is a broker running there? `holdfast dev` starts one on this machine; -b HOST:PORT or HOLDFAST_BROKERS names another.")
	case errors.As(err, &dns):
		return withFix(fmt.Errorf("cannot connect to %s: the name %q does not resolve from here", where, dns.Name),
			"If you did not name that host yourself, the broker did: set advertised.listeners on it to a name that clients know.")
	case strings.Contains(err.Error(), "an HTTP response"):
		return withFix(fmt.Errorf("%s speaks HTTP and not Kafka's protocol", where),
			"Is that the broker's admin listener (--admin)? -b takes an address of its --listeners.")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return withFix(fmt.Errorf("no answer from %s in time", where),
			"Is the address right, and is no firewall between? A broker that is still starting answers a little later.")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return withFix(fmt.Errorf("%s closed the connection without an answer: %w", where, err),
			"Is that a Kafka listener without TLS? Connections of other kinds are closed.")
	}
	return err
}

// explainCode adds advice to an error code of the protocol.
func explainCode(err error, code *kerr.Error) error {
	fixes := map[*kerr.Error]string{
		kerr.UnknownTopicOrPartition:  "`holdfast topic list` shows what exists; `holdfast topic create NAME` makes a topic.",
		kerr.TopicAlreadyExists:       "--if-not-exists accepts a topic that exists.",
		kerr.NotEnoughReplicas:        "Fewer brokers are in sync than min.insync.replicas asks for, or the disk is full; `holdfast topic describe NAME` shows the in-sync set.",
		kerr.MessageTooLarge:          "max.message.bytes of the topic bounds a batch; `holdfast topic alter NAME --set max.message.bytes=...` raises it.",
		kerr.InvalidReplicationFactor: "A topic cannot have more replicas than there are brokers; `holdfast cluster info` shows them.",
		kerr.GroupIDNotFound:          "`holdfast group list` shows what exists.",
		kerr.NonEmptyGroup:            "Stop its consumers first; `holdfast group describe GROUP` shows them.",
		kerr.UnknownMemberID:          "The group has members; stop its consumers first.",
		kerr.GroupSubscribedToTopic:   "Members of the group read that topic; stop its consumers first.",
		kerr.OffsetOutOfRange:         "`holdfast topic describe NAME` shows the first and last offset of each partition.",
	}
	return withFix(err, "%s", fixes[code])
}
