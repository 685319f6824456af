package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"holdfast/internal/clock"
)

// ledger keeps input in a file until it is acknowledged.
//
// Two files: PATH holds input bytes exactly as they were read, so that it can be
// read by people and fed to produce again; PATH.state begins with a line of JSON
// that says how the bytes become records, followed by lines "START END": the
// bytes [START, END) of PATH are acknowledged. A line "end" says that PATH holds
// the input to its end, so that a last record without a delimiter is whole. Input is durable in PATH before
// it is sent. A lost acknowledgement line makes a duplicate, never a loss.
//
// To take acknowledged bytes out of PATH, the rest is written to a new file, the
// state is cut back to its first line (from here on everything counts as not
// acknowledged), the new file takes PATH's name, and the state goes on. A crash
// at any point between leaves too much in PATH, never too little.
//
// One goroutine (serve) owns both files; the others send it calls.
type ledger struct {
	path    string
	resumed bool // PATH holds input of an earlier run, which comes first
	goesOn  bool // with resumed: stdin follows
	// complete: the earlier run read its input to the end. Read-only after load.
	complete bool

	calls chan func()
	quit  chan struct{} // closed to end serve
	done  chan struct{} // closed when serve has ended
	clock clock.Clock

	// Owned by serve.
	data, state *os.File
	header      []byte
	base        int64 // input position of PATH's first byte
	size        int64 // bytes in PATH
	acked       spans // in input positions
	readBack    int64 // place in PATH of what was moved there last
	trimAfter   int64 // acknowledged bytes at the front that make a rewrite worth while
	ended       bool  // the input was read to its end
	fault       error // the first error; nothing is written after it

	mu     sync.Mutex
	fresh  spans // acknowledged and not yet taken by serve
	closed bool
}

const (
	stateVersion = 1
	// trimAfter is how many acknowledged bytes at the front of the file make it
	// worth while to write it anew.
	trimAfter = 64 << 20
	// noteEvery is how long an acknowledgement may stay in memory.
	noteEvery = 20 * time.Millisecond
)

// stateHeader is the first line of the state file.
type stateHeader struct {
	Version int `json:"holdfast_unacked_state"`
	inputOptions
}

// createLedger begins a new pair of files. A file that still holds input is
// never overwritten.
func createLedger(path string, o inputOptions, c clock.Clock) (*ledger, error) {
	if st, err := os.Stat(path); err == nil && st.Size() > 0 {
		return nil, withFix(fmt.Errorf("--unacked-file %s: it holds %d bytes of input that an earlier run did not get acknowledged", path, st.Size()),
			"`holdfast produce --resume %s` sends them; or name another file.", path)
	}
	l, err := openLedger(path, c)
	if err != nil {
		return nil, err
	}
	header, err := json.Marshal(stateHeader{Version: stateVersion, inputOptions: o})
	if err != nil {
		return nil, err
	}
	l.header = append(header, '\n')
	if err := cmpOr(l.restate(nil), cmpOr(l.data.Truncate(0), syncDir(path))); err != nil {
		return nil, fmt.Errorf("--unacked-file %s: %w", path, err)
	}
	go l.serve()
	return l, nil
}

// resumeLedger opens the files of an earlier run; o becomes what they say.
func resumeLedger(path string, goesOn bool, o *inputOptions, c clock.Clock) (*ledger, error) {
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, withFix(fmt.Errorf("--resume %s: there is no such file", path), "A run in which everything was acknowledged removes it.")
		}
		return nil, err
	}
	l, err := openLedger(path, c)
	if err != nil {
		return nil, err
	}
	l.resumed, l.goesOn = true, goesOn
	if err := l.load(o); err != nil {
		l.data.Close()
		l.state.Close()
		return nil, err
	}
	go l.serve()
	return l, nil
}

func openLedger(path string, c clock.Clock) (*ledger, error) {
	state, err := os.OpenFile(path+".state", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--unacked-file: %w", err)
	}
	if err := syscall.Flock(int(state.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		state.Close()
		return nil, fmt.Errorf("%s is in use by another process", path)
	}
	data, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		state.Close()
		return nil, fmt.Errorf("--unacked-file: %w", err)
	}
	return &ledger{path: path, clock: c, trimAfter: trimAfter, data: data, state: state, calls: make(chan func()), quit: make(chan struct{}), done: make(chan struct{})}, nil
}

// load reads the state of an earlier run and takes what was acknowledged out of
// the file.
func (l *ledger) load(o *inputOptions) error {
	text, err := io.ReadAll(l.state)
	if err != nil {
		return fmt.Errorf("--resume %s: %w", l.path, err)
	}
	st, err := l.data.Stat()
	if err != nil {
		return fmt.Errorf("--resume %s: %w", l.path, err)
	}
	l.size = st.Size()
	first, rest, found := bytes.Cut(text, []byte("\n"))
	var h stateHeader
	if found && json.Unmarshal(first, &h) == nil && h.Version == stateVersion {
		if o.Topic != "" && o.Topic != h.Topic {
			return usagef("--resume %s: its records are for topic %s, not %s", l.path, h.Topic, o.Topic)
		}
		*o, l.header = h.inputOptions, text[:len(first)+1]
		l.acked, l.ended = parseState(string(rest), l.size)
		l.complete = l.ended
		if l.goesOn {
			l.ended = false
		}
	} else {
		// The state is gone or was never complete: everything counts as not
		// acknowledged, and flags have to say what it is.
		if o.Topic == "" {
			return usagef("--resume %s: %s.state does not say which topic; name it, with -f where it was used", l.path, l.path)
		}
		header, err := json.Marshal(stateHeader{Version: stateVersion, inputOptions: *o})
		if err != nil {
			return err
		}
		l.header = append(header, '\n')
	}
	return l.rewrite(l.acked.gaps(0, l.size))
}

// parseState reads the lines after the header; a torn or foreign one ends them.
func parseState(text string, size int64) (acked spans, ended bool) {
	for line := range strings.Lines(text) {
		if line == "end\n" {
			ended = true
			continue
		}
		var start, end int64
		if n, err := fmt.Sscanf(line, "%d %d\n", &start, &end); n != 2 || err != nil || !strings.HasSuffix(line, "\n") || start < 0 || end < start || end > size {
			break
		}
		acked.add(span{start, end})
	}
	return acked, ended
}

// reader reads the kept input from its beginning.
func (l *ledger) reader() io.Reader { return io.NewSectionReader(l.data, 0, l.size) }

// serve owns the files until close.
func (l *ledger) serve() {
	defer close(l.done)
	timer := l.clock.NewTimer(noteEvery)
	defer timer.Stop()
	for {
		select {
		case <-l.quit:
			return
		case call := <-l.calls:
			call()
		case <-timer.C():
			l.note()
			timer.Reset(noteEvery)
		}
	}
}

// do runs f in serve's goroutine.
func (l *ledger) do(f func() error) error {
	result := make(chan error, 1)
	select {
	case l.calls <- func() { result <- f() }:
		return <-result
	case <-l.done:
		return errors.New("the file is closed")
	}
}

// append makes input durable. It waits for the disk.
func (l *ledger) append(chunk []byte) error {
	return l.do(func() error {
		if err := l.room(); err != nil {
			return err
		}
		_, err := l.data.WriteAt(chunk, l.size)
		if err == nil {
			err = l.data.Sync()
		}
		if err != nil {
			l.fault = err
			return fmt.Errorf("keep the input in %s: %w", l.path, err)
		}
		l.size += int64(len(chunk))
		return nil
	})
}

// room takes acknowledged bytes out of the file where there are many. It is
// called by serve before anything is written.
func (l *ledger) room() error {
	l.note()
	if front := l.acked.prefix(l.base); l.fault == nil && front-l.base >= l.trimAfter {
		l.fault = l.trim(front)
	}
	if l.fault != nil {
		return fmt.Errorf("keep the input in %s: %w", l.path, l.fault)
	}
	return nil
}

// end remembers that the input was read to its end. An error makes the next run
// ask what follows, and loses nothing.
func (l *ledger) end() {
	_ = l.do(func() error {
		l.ended = true
		_, err := l.state.WriteString("end\n")
		return err
	})
}

// acknowledge remembers that the input [start, end) is acknowledged. It does not
// wait.
func (l *ledger) acknowledge(start, end int64) {
	l.mu.Lock()
	l.fresh.add(span{start, end})
	l.mu.Unlock()
}

// note writes fresh acknowledgements to the state. An error is not fatal: it
// makes duplicates, not losses.
func (l *ledger) note() {
	l.mu.Lock()
	fresh := l.fresh
	l.fresh = nil
	l.mu.Unlock()
	if len(fresh) == 0 {
		return
	}
	var text strings.Builder
	for _, s := range fresh {
		l.acked.add(s)
		fmt.Fprintf(&text, "%d %d\n", s.start-l.base, s.end-l.base)
	}
	_, _ = l.state.WriteString(text.String())
}

// trim takes the bytes before position front out of the file.
func (l *ledger) trim(front int64) error {
	rest := l.acked.from(front)
	if err := l.rewrite([]span{{front - l.base, l.size}}); err != nil {
		return err
	}
	l.base, l.acked = front, rest
	var moved spans
	for _, s := range rest {
		moved.add(span{s.start - front, s.end - front})
	}
	return l.restate(moved)
}

// rewrite replaces the file by these parts of it, and cuts the state back to
// its header. acked and base are the caller's to set right.
func (l *ledger) rewrite(parts []span) error {
	next, err := os.OpenFile(l.path+".next", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	var size int64
	for _, p := range parts {
		n, err := io.Copy(next, io.NewSectionReader(l.data, p.start, p.end-p.start))
		if err != nil {
			next.Close()
			return err
		}
		size += n
	}
	if err := next.Sync(); err != nil {
		next.Close()
		return err
	}
	if err := l.restate(nil); err != nil {
		next.Close()
		return err
	}
	if err := os.Rename(l.path+".next", l.path); err != nil {
		next.Close()
		return err
	}
	l.data.Close()
	l.data, l.size, l.base, l.acked = next, size, 0, nil
	return syncDir(l.path)
}

// restate makes the state file the header and these lines, durably. A header that
// is there already stays where it is: were it cut off and written again, a kill
// between would leave input that nobody can say the topic of.
func (l *ledger) restate(lines spans) error {
	there := make([]byte, len(l.header))
	if n, err := l.state.ReadAt(there, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	} else if !bytes.Equal(there[:n], l.header) {
		if err := l.state.Truncate(0); err != nil {
			return err
		}
		if _, err := l.state.WriteAt(l.header, 0); err != nil {
			return err
		}
	} else if err := l.state.Truncate(int64(n)); err != nil {
		return err
	}
	if _, err := l.state.Seek(int64(len(l.header)), io.SeekStart); err != nil {
		return err
	}
	text := strings.Builder{}
	for _, s := range lines {
		fmt.Fprintf(&text, "%d %d\n", s.start, s.end)
	}
	if l.ended {
		text.WriteString("end\n")
	}
	if _, err := l.state.WriteString(text.String()); err != nil {
		return err
	}
	return l.state.Sync()
}

// settle ends the run: with everything acknowledged the files go, otherwise PATH
// is left with exactly what is not acknowledged. It returns how many bytes.
func (l *ledger) settle(complete bool) (left int64, err error) {
	err = l.do(func() error {
		l.note()
		gaps := l.acked.gaps(l.base, l.base+l.size)
		for i := range gaps {
			gaps[i].start -= l.base
			gaps[i].end -= l.base
			left += gaps[i].end - gaps[i].start
		}
		if left == 0 || complete {
			left = 0
			return cmpOr(os.Remove(l.path), cmpOr(os.Remove(l.path+".state"), syncDir(l.path)))
		}
		return l.rewrite(gaps)
	})
	return left, err
}

// close ends serve and lets the files go.
func (l *ledger) close() {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		return
	}
	close(l.quit)
	<-l.done
	l.data.Close()
	l.state.Close()
}

func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// span is [start, end).
type span struct{ start, end int64 }

// spans are disjoint, sorted, and never touch each other.
type spans []span

// add puts a span in, joining it with its neighbours.
func (s *spans) add(x span) {
	if x.start >= x.end {
		return
	}
	list := *s
	if n := len(list); n > 0 && list[n-1].end == x.start { // the usual case
		list[n-1].end = x.end
		return
	}
	i, _ := slices.BinarySearchFunc(list, x.start, func(e span, start int64) int {
		if e.end < start {
			return -1
		}
		return 1
	})
	j := i
	for j < len(list) && list[j].start <= x.end {
		x.start, x.end = min(x.start, list[j].start), max(x.end, list[j].end)
		j++
	}
	*s = slices.Replace(list, i, j, x)
}

// prefix is the end of what is covered without a hole from start on.
func (s spans) prefix(start int64) int64 {
	for _, e := range s {
		if e.start <= start && start < e.end {
			return e.end
		}
	}
	return start
}

// from drops what lies before start.
func (s spans) from(start int64) spans {
	var rest spans
	for _, e := range s {
		if e.end > start {
			rest = append(rest, span{max(e.start, start), e.end})
		}
	}
	return rest
}

// gaps are the parts of [start, end) that are not covered.
func (s spans) gaps(start, end int64) []span {
	var list []span
	for _, e := range s {
		if e.start > start {
			list = append(list, span{start, min(e.start, end)})
		}
		start = max(start, e.end)
	}
	if start < end {
		list = append(list, span{start, end})
	}
	return list
}
