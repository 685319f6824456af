package cli

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/clock"
)

func TestSpans_ModelOfABitmap(t *testing.T) {
	const size = 24
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var s spans
		var bits [size]bool
		for range rng.IntN(12) {
			a, b := rng.Int64N(size+1), rng.Int64N(size+1)
			s.add(span{min(a, b), max(a, b)})
			for i := min(a, b); i < max(a, b); i++ {
				bits[i] = true
			}
		}
		for i := 1; i < len(s); i++ {
			if s[i-1].end >= s[i].start {
				t.Fatalf("not disjoint and sorted: %v", s)
			}
		}
		var covered, holes [size]bool
		for _, e := range s {
			for i := e.start; i < e.end; i++ {
				covered[i] = true
			}
		}
		for _, g := range s.gaps(0, size) {
			for i := g.start; i < g.end; i++ {
				holes[i] = true
			}
		}
		prefix := int64(0)
		for prefix < size && bits[prefix] {
			prefix++
		}
		for i := range size {
			if covered[i] != bits[i] || holes[i] == bits[i] {
				t.Fatalf("%v: covered %v, holes %v, want %v", s, covered, holes, bits)
			}
		}
		if got := s.prefix(0); got != prefix {
			t.Fatalf("%v: prefix %d, want %d", s, got, prefix)
		}
	}
}

// Whatever of the input is acknowledged, and however often the file was written
// anew, what is left is the rest, byte for byte and in order.
func TestLedger_LeavesExactlyTheRest(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 9))
		path := filepath.Join(t.TempDir(), "left")
		l, err := createLedger(path, inputOptions{Topic: "t", Format: `%v\n`}, clock.Real{})
		if err != nil {
			t.Fatal(err)
		}
		l.trimAfter = 40 // so that many rewrites happen
		var want strings.Builder
		var position int64
		for i := range 60 {
			line := fmt.Sprintf("line %d of seed %d\n", i, seed)
			if err := l.append([]byte(line)); err != nil {
				t.Fatal(err)
			}
			start := position
			position += int64(len(line))
			if i < 40 || rng.IntN(3) > 0 {
				l.acknowledge(start, position)
			} else {
				want.WriteString(line)
			}
		}
		st, err := os.Stat(path)
		if err != nil || st.Size() > position/2 {
			t.Errorf("the file never shrank: %v, %v", st, err)
		}
		left, err := l.settle(false)
		l.close()
		got, _ := os.ReadFile(path)
		if err != nil || string(got) != want.String() || left != int64(want.Len()) {
			t.Fatalf("seed %d: left %d (%v)\ngot  %q\nwant %q", seed, left, err, got, want.String())
		}
	}
}

// A process that is killed while it writes the state anew leaves what a reader of
// the file sees at that moment: there is none without the whole header, or nobody
// can say which topic the input is for.
func TestLedger_TheStateNeverLosesItsHeader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "left")
	l, err := createLedger(path, inputOptions{Topic: "t", Format: `%v\n`}, clock.Real{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	stop, looked := make(chan struct{}), make(chan int)
	go func() {
		looks := 0
		defer func() { looked <- looks }()
		for ; ; looks++ {
			select {
			case <-stop:
				return
			default:
			}
			if text, err := os.ReadFile(path + ".state"); err != nil || !bytes.HasPrefix(text, l.header) {
				t.Errorf("look %d: %q (%v), want it to begin with %q", looks, text, err, l.header)
				return
			}
		}
	}()
	const times = 500
	for i := range int64(times) {
		lines := spans{{0, i + 1}, {i + 2, i + 3}}[:i%3] // none, one, two
		if err := l.do(func() error { return l.restate(lines) }); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if looks := <-looked; looks < times && !t.Failed() {
		t.Errorf("only %d looks while the state was written %d times: the test shows too little", looks, times)
	}
}

func TestLedger_OneProcessAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "left")
	l, err := createLedger(path, inputOptions{Topic: "t"}, clock.Real{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if _, err := createLedger(path, inputOptions{Topic: "t"}, clock.Real{}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second process got the file: %v", err)
	}
}

func TestParseState_ATornLineEndsIt(t *testing.T) {
	got, ended := parseState("0 5\n5 9\n20 30\n40 4", 50)
	if fmt.Sprint(got, ended) != "[{0 9} {20 30}] false" {
		t.Errorf("%v %v", got, ended)
	}
	if got, ended := parseState("0 5\nend\n5 6\n", 50); fmt.Sprint(got, ended) != "[{0 6}] true" {
		t.Errorf("%v %v", got, ended)
	}
	for _, bad := range []string{"5 3\n", "-1 3\n", "0 51\n", "x\n", "1 2 3\n0 9\n"} {
		if got, _ := parseState(bad, 50); len(got) > 0 {
			t.Errorf("%q gives %v", bad, got)
		}
	}
}
