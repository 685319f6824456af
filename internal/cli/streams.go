package cli

import (
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"holdfast/internal/clock"
)

// Streams are what a command has of the outside world apart from files and the
// network. All fields are set.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Whether the stream is a terminal.
	InTTY, OutTTY, ErrTTY bool
	// Columns is the width of stdout where it is a terminal; 0: unknown.
	Columns int
	Env     []string // NAME=value
	Clock   clock.Clock
	// Interrupts delivers SIGINT and SIGTERM.
	Interrupts <-chan os.Signal
}

// SystemStreams are those of the process. From here on a signal no longer ends
// the process by itself, and a closed pipe is an error of the write.
func SystemStreams() Streams {
	interrupts := make(chan os.Signal, 4)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE)
	return Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InTTY: isTerminal(os.Stdin), OutTTY: isTerminal(os.Stdout), ErrTTY: isTerminal(os.Stderr),
		Columns: columns(os.Stdout), Env: os.Environ(), Clock: clock.Real{}, Interrupts: interrupts,
	}
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func columns(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// width is how many columns stdout has; 0 is without limit, as for a pipe.
func (s Streams) width() int {
	if !s.OutTTY {
		return 0
	}
	return s.Columns
}

// env is the value of a variable, or "".
func (s Streams) env(name string) string {
	for _, line := range s.Env {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}

// colour reports whether talk on stderr may be coloured.
func (s Streams) colour() bool { return s.ErrTTY && s.env("NO_COLOR") == "" && s.env("TERM") != "dumb" }
