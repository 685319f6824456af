package vfs

import (
	"fmt"
	"path"
	"strings"
	"syscall"
	"time"

	"holdfast/internal/clock"
)

// Op names kinds of operations of a Mem. Kinds are combined with |.
type Op uint16

// The kinds of operations. Those that change the disk count for Ops and
// CrashAfter; OpOpen, OpRead and OpList do not.
const (
	OpOpen        Op = 1 << iota // opening or locking a file that is there, and a directory to sync it
	OpRead                       // ReadAt
	OpList                       // ReadDir, Stat
	OpWrite                      // WriteAt
	OpSync                       // SyncData, Sync, SyncAll
	OpSyncDir                    // SyncDir
	OpCreate                     // making a file or one directory
	OpRemove                     // removing one entry
	OpRename                     // Rename
	OpTruncate                   // Truncate and opening with it
	OpPreallocate                // Preallocate

	opAll = OpPreallocate<<1 - 1
)

var opNames = [...]string{"open", "read", "list", "write", "sync", "syncdir", "create", "remove", "rename", "truncate", "preallocate"}

// String lists the kinds, joined by |.
func (o Op) String() string {
	var names []string
	for i, name := range opNames {
		if o&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}

// Fault makes matching operations fail. The zero Fault fails every operation
// with EIO.
//
// A failed write changes nothing but the first Short bytes. A failed sync
// loses the pages: the kernel takes them for clean, reads return the new bytes,
// and a crash or Evict brings the old ones back, even if a later sync of the
// same file succeeds.
type Fault struct {
	Op   Op     // 0 is every kind
	Path string // pattern of path.Match for the last element of the name, for the whole name when it has a slash; "" is every file

	From, To int64 // only operations that touch bytes in [From, To) of the file; To 0 is no limit
	After    int   // so many matching operations pass first
	Times    int   // then so many fail; 0 is all

	Err   error // what they return; nil is EIO
	Short int   // bytes that a failing write does write
	Lie   bool  // a sync, or a write to a DataSync file, reports success and makes nothing durable
	Crash bool  // the operation is interrupted by a crash, as CrashAfter does

	seen int
}

func (f *Fault) matches(op Op, name string, off, n int64) bool {
	if f.Op != 0 && f.Op&op == 0 {
		return false
	}
	if f.To != 0 && off >= f.To || off+n < f.From || (n > 0 && off+n == f.From) {
		return false
	}
	if f.Path == "" {
		return true
	}
	clean := path.Clean("/" + name)
	if !strings.Contains(f.Path, "/") {
		clean = path.Base(clean)
	}
	ok, err := path.Match(f.Path, clean)
	return err == nil && ok
}

// Inject arms a fault until the returned function is called. Of several faults
// that match, the one that was injected first counts.
func (m *Mem) Inject(f Fault) (heal func()) {
	if _, err := path.Match(f.Path, ""); err != nil {
		panic(fmt.Sprintf("inject fault: pattern %q: %v", f.Path, err))
	}
	if f.Err == nil {
		f.Err = syscall.EIO
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, &f)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		for i, armed := range m.faults {
			if armed == &f {
				m.faults = append(m.faults[:i:i], m.faults[i+1:]...)
				return
			}
		}
	}
}

// Heal disarms every fault. What was lost stays lost.
func (m *Mem) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = nil
}

// CrashAfter lets k more operations that change the disk pass and interrupts
// the next one: it takes effect in the volatile state only, so that Crash may
// keep it, drop it or tear it. A negative k disarms. Enumerate k from 0 until a
// run ends without Crashed to have crashed at every write.
func (m *Mem) CrashAfter(k int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.armed, m.counter = k >= 0, k
}

// Crashed reports whether the crash has happened.
func (m *Mem) Crashed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.crashed
}

// Ops counts the operations that changed the disk or tried to.
func (m *Mem) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// verdict is what becomes of one operation.
type verdict struct {
	err         error // it fails
	short       int
	lie         bool
	interrupted bool // it takes effect, not durably, and the caller sees ErrCrashed
}

func (v verdict) fails() bool { return v.err != nil }

// end is the result of an operation that has taken effect.
func (v verdict) end() error {
	if v.interrupted {
		return ErrCrashed
	}
	return v.err
}

// step decides one operation that changes the disk.
func (m *Mem) step(op Op, name string, off, n int64) verdict {
	v := m.decide(op, name, off, n)
	m.trace.add(Trace{Seq: m.ops, Op: op, Name: name, Offset: off, Length: n, Err: v.end()})
	return v
}

func (m *Mem) decide(op Op, name string, off, n int64) verdict {
	if m.crashed {
		return verdict{err: ErrCrashed}
	}
	m.ops++
	if m.armed {
		if m.counter == 0 {
			m.crashed = true
			return verdict{interrupted: true}
		}
		m.counter--
	}
	f := m.fault(op, name, off, n)
	switch {
	case f == nil:
		return verdict{}
	case f.Crash:
		m.crashed = true
		return verdict{interrupted: true}
	case f.Lie && op&(OpSync|OpSyncDir|OpWrite) != 0:
		return verdict{lie: true}
	}
	return verdict{err: f.Err, short: f.Short}
}

// glance decides one operation that leaves the disk alone.
func (m *Mem) glance(op Op, name string, off, n int64) error {
	if m.crashed {
		return ErrCrashed
	}
	f := m.fault(op, name, off, n)
	switch {
	case f == nil:
		return nil
	case f.Crash:
		m.crashed = true
		return ErrCrashed
	}
	return f.Err
}

func (m *Mem) fault(op Op, name string, off, n int64) *Fault {
	for _, f := range m.faults {
		if !f.matches(op, name, off, n) {
			continue
		}
		f.seen++
		if f.seen > f.After && (f.Times == 0 || f.seen <= f.After+f.Times) {
			return f
		}
	}
	return nil
}

// latency is how long operations take.
type latency struct {
	clock clock.Clock
	of    func(op Op, name string, n int) time.Duration
}

// SetLatency makes operations take the time that of returns, measured on c,
// without holding a lock. n is the number of bytes of a read or write. Syncs
// cover what was written before they began. of may be called concurrently; nil
// makes everything immediate again.
func (m *Mem) SetLatency(c clock.Clock, of func(op Op, name string, n int) time.Duration) {
	if of == nil {
		m.latency.Store(nil)
		return
	}
	m.latency.Store(&latency{c, of})
}

func (m *Mem) delay(op Op, name string, n int) time.Duration {
	if l := m.latency.Load(); l != nil {
		return l.of(op, name, n)
	}
	return 0
}

func (m *Mem) sleep(d time.Duration) {
	if l := m.latency.Load(); l != nil && d > 0 {
		l.clock.Sleep(d)
	}
}

func (m *Mem) wait(op Op, name string, n int) { m.sleep(m.delay(op, name, n)) }

// Trace is one operation that changed the disk or tried to.
type Trace struct {
	Seq            int // the value of Ops after it
	Op             Op
	Name           string
	Offset, Length int64
	Err            error
}

// String is one line for people.
func (t Trace) String() string {
	line := fmt.Sprintf("%d %s %s", t.Seq, t.Op, t.Name)
	if t.Offset != 0 || t.Length != 0 {
		line += fmt.Sprintf(" [%d, %d)", t.Offset, t.Offset+t.Length)
	}
	if t.Err != nil {
		line += ": " + t.Err.Error()
	}
	return line
}

// traceLength is how many operations a Mem remembers.
const traceLength = 1024

type traceRing struct {
	last []Trace
	next int
}

func (r *traceRing) add(t Trace) {
	if len(r.last) < traceLength {
		r.last = append(r.last, t)
		return
	}
	r.last[r.next] = t
	r.next = (r.next + 1) % traceLength
}

// Trace returns the last operations that changed the disk or tried to, oldest
// first, at most 1024.
func (m *Mem) Trace() []Trace {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &m.trace
	return append(append([]Trace{}, r.last[r.next:]...), r.last[:r.next]...)
}
