package wire

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cost is what one call took.
type cost struct {
	bytes int           // allocated
	cpu   time.Duration // of this thread, which includes clearing memory
}

// threadTime is the CPU time of the calling thread, which the load of the
// machine does not change much.
func threadTime(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs f once and returns its cost.
func measure(t testing.TB, f func()) cost {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := threadTime(t)
	f()
	cpu := threadTime(t) - start
	runtime.ReadMemStats(&after)
	return cost{bytes: int(after.TotalAlloc - before.TotalAlloc), cpu: cpu}
}

// errorSlack is what the error values and the measuring itself may take.
const errorSlack = 2048

// memoryLimit is the promise of a decoder with the factor for a body of n bytes.
func memoryLimit(factor, n int) int { return factor*n + BudgetSlack + errorSlack }

// timeLimit is the promise for n bytes: 10 ms per MiB and 1 ms. The accounting of
// a thread's time is coarse and the race detector multiplies it, so tests allow
// more and the benchmark states the real figure.
func timeLimit(n int) time.Duration {
	limit := time.Millisecond + 10*time.Millisecond*time.Duration(n)/(1<<20)
	if raceEnabled {
		return 40*limit + 200*time.Millisecond
	}
	return 2*limit + 20*time.Millisecond
}

// responseFactor is the factor of a message's decoder.
func factorOf(t testing.TB, m Message) int {
	t.Helper()
	if _, ok := m.(Request); ok {
		_, factor := Limits(m.Key())
		return factor
	}
	return responseFactor
}

// responseFactor is above the factor of every response decoder.
const responseFactor = 32

// decodeCost decodes and checks the two promises.
func decodeCost(t testing.TB, m Message, body []byte, version int16) error {
	t.Helper()
	var err error
	c := measure(t, func() { err = m.Decode(body, version) })
	if limit := memoryLimit(factorOf(t, m), len(body)); c.bytes > limit {
		t.Fatalf("%T version %d: %d bytes of input allocated %d, limit %d (%v)", m, version, len(body), c.bytes, limit, err)
	}
	if limit := timeLimit(len(body)); c.cpu > limit {
		t.Fatalf("%T version %d: %d bytes of input took %v, limit %v (%v)", m, version, len(body), c.cpu, limit, err)
	}
	return err
}
