// Package proto is the protocol between the compatibility tests and a client
// program: requests are JSON lines on stdin, answers are JSON lines on stdout,
// and each answer ends with an event "end". README.md of the directory above
// is its description for the programs that are not in Go.
package proto

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// Request is one line of stdin.
type Request struct {
	Verb        string `json:"verb"`
	Addr        string `json:"addr"`
	Topic       string `json:"topic"`
	Group       string `json:"group"`
	Partition   int32  `json:"partition"`
	Partitions  int32  `json:"partitions"`
	First       int    `json:"first"`
	Count       int    `json:"count"`
	Compression string `json:"compression"`
	Mode        string `json:"mode"` // ordinary, default or idempotent
	Offset      int64  `json:"offset"`
	Time        int64  `json:"time"` // milliseconds
	Op          string `json:"op"`
	Value       string `json:"value"`
}

// Event is one line of stdout.
type Event struct {
	Event       string  `json:"event"`
	Index       int     `json:"index"`
	Partition   int32   `json:"partition"`
	Offset      int64   `json:"offset"`
	Time        int64   `json:"time"`
	Key         string  `json:"key"`
	Value       string  `json:"value"`
	Header      string  `json:"header"`
	Partitions  []int32 `json:"partitions,omitempty"`
	Error       string  `json:"error,omitempty"`
	Unsupported string  `json:"unsupported,omitempty"`
}

// Emit writes one event.
type Emit func(Event)

// Unsupported is the error of a client that lacks what was asked for.
type Unsupported string

func (u Unsupported) Error() string { return string(u) }

// Client is what a program implements. stop is closed when stdin ends.
type Client interface {
	Produce(r Request, emit Emit) error
	Consume(r Request, emit Emit) error
	Group(r Request, stop <-chan struct{}, emit Emit) error
	Admin(r Request, emit Emit) error
	Survive(r Request, stop <-chan struct{}, emit Emit) error
}

// Key is the key of record i.
func Key(i int) string { return fmt.Sprintf("k%d", i%7) }

// Value is the value of record i.
func Value(i int) string { return strings.Repeat(fmt.Sprintf("value %d ", i), 1+i%50) }

// At is the timestamp of record i.
func (r Request) At(i int) time.Time { return time.UnixMilli(r.Time + int64(i)*1000) }

// Main answers requests until stdin ends. module is the client's module path,
// whose version an info request returns.
func Main(module string, c Client) {
	out := bufio.NewWriter(os.Stdout)
	var mu sync.Mutex
	emit := func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(out).Encode(e)
		_ = out.Flush()
	}
	lines, stop := make(chan Request), make(chan struct{})
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			var r Request
			if err := json.Unmarshal(in.Bytes(), &r); err != nil {
				emit(Event{Event: "end", Error: err.Error()})
				continue
			}
			lines <- r
		}
		close(stop)
		close(lines)
	}()
	for r := range lines {
		end := Event{Event: "end"}
		switch err := answer(module, c, r, stop, emit).(type) {
		case nil:
		case Unsupported:
			end.Unsupported = err.Error()
		default:
			end.Error = err.Error()
		}
		emit(end)
	}
}

func answer(module string, c Client, r Request, stop <-chan struct{}, emit Emit) error {
	switch r.Verb {
	case "info":
		emit(Event{Event: "info", Value: version(module)})
		return nil
	case "produce":
		return c.Produce(r, emit)
	case "consume":
		return c.Consume(r, emit)
	case "group":
		return c.Group(r, stop, emit)
	case "admin":
		return c.Admin(r, emit)
	case "survive":
		return c.Survive(r, stop, emit)
	}
	return Unsupported("no verb " + r.Verb)
}

func version(module string) string {
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, d := range b.Deps {
			if d.Path == module {
				return strings.TrimPrefix(d.Version, "v")
			}
		}
	}
	return "unknown"
}

// Stopped reports whether stop is closed.
func Stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
