package journal

// Goal: what Commit returned for is replayed by the next Open, in order and byte
// for byte, until Release gives it back; nothing else is, but for the one round
// that was being written.
//
// Method: one workload of commits, releases and growth in a small ring runs on a
// file system in memory that crashes at its k-th write, for k = 0, 1, 2, ...
// until a run ends by itself, with several seeds for what the disk kept. After
// each crash the ring is opened and the workload goes on, so that laps, torn
// rounds and released space meet. Planted faults must be caught.

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

const ringName = "/d/journal"

// ring is the model: what must be there.
type ring struct {
	disk     *vfs.Mem
	rand     *rand.Rand
	mutant   mutant
	rounds   []modelRound // committed and not released
	flight   *modelRound  // being written when the disk crashed
	freeing  uint64       // being released when the disk crashed
	number   int
	laps     int
	fulls    int
	replayed int
}

type modelRound struct {
	seq     uint64
	entries []Entry
}

func (r *ring) open() (*Journal, error) {
	if err := r.disk.MkdirAll("/d"); err != nil {
		return nil, err
	}
	if err := r.disk.SyncDir("/"); err != nil {
		return nil, err
	}
	j, replayed, err := Open(Options{FS: r.disk, Name: ringName, Size: 256 << 10, ID: [16]byte{7}, mutant: r.mutant, tiny: true})
	if err != nil {
		return nil, err
	}
	return j, r.compare(j, replayed)
}

// compare checks what was replayed against the model and moves the model there.
func (r *ring) compare(j *Journal, got Replayed) error {
	u := j.Usage()
	var want []modelRound
	for _, m := range r.rounds {
		// What a release in flight covers may be gone.
		if m.seq >= u.Oldest || m.seq > r.freeing {
			want = append(want, m)
		}
	}
	if r.flight != nil && got.Rounds == len(want)+1 {
		want = append(want, *r.flight)
	}
	r.flight, r.freeing = nil, 0
	var entries []Entry
	for _, m := range want {
		entries = append(entries, m.entries...)
	}
	if got.Rounds != len(want) || !slices.EqualFunc(got.Entries, entries, equalEntries) {
		return fmt.Errorf("replayed %d rounds with %d entries, want %d with %d equal ones", got.Rounds, len(got.Entries), len(want), len(entries))
	}
	for i := range want {
		want[i].seq = u.Oldest + uint64(i)
	}
	r.rounds = want
	r.replayed += len(want)
	return nil
}

func equalEntries(a, b Entry) bool {
	samePayload := bytes.Equal(a.Payload, b.Payload)
	a.Payload, b.Payload = nil, nil
	return samePayload && fmt.Sprint(a) == fmt.Sprint(b)
}

func (r *ring) entry() Entry {
	r.number++
	e := Entry{Kind: Kind(1 + r.rand.IntN(3)), Key: Key{TopicID: kafka.TopicID{byte(r.rand.IntN(5))}, Partition: kafka.PartitionIndex(r.number), Generation: 2},
		LeaderEpoch: 3, Base: kafka.Offset(r.number), End: kafka.Offset(r.number + 1), SegmentBase: 1, Position: int64(r.number), Length: int64(r.rand.IntN(9000)),
		Checksum: r.rand.Uint32(), HighWatermark: kafka.Offset(r.number - 1)}
	if e.Kind == Data {
		e.Payload = make([]byte, e.Length)
		for i := range e.Payload {
			e.Payload[i] = byte(r.number + i)
		}
	}
	return e
}

// run does steps of work. The error is a broken promise; a crash is none.
func (r *ring) run(steps int, clean bool) error {
	j, err := r.open()
	if err != nil {
		return ignoreCrash(err)
	}
	var round Round
	head := int64(0)
	for range steps {
		round.Reset()
		m := modelRound{}
		for range 1 + r.rand.IntN(3) {
			e := r.entry()
			round.Add(&e, e.Payload)
			m.entries = append(m.entries, e)
		}
		m.seq = j.Usage().Next
		r.flight = &m
		seq, err := j.Commit(&round)
		switch {
		case errors.Is(err, ErrFull):
			r.fulls++
		case err != nil:
			return ignoreCrash(err)
		case seq != m.seq:
			return fmt.Errorf("round %d, want %d", seq, m.seq)
		default:
			r.rounds = append(r.rounds, m)
		}
		r.flight = nil
		if j.mu.head < head {
			r.laps++
		}
		head = j.mu.head
		if err := r.upkeep(j, err != nil); err != nil {
			return ignoreCrash(err)
		}
	}
	if clean {
		r.freeing = j.Usage().Next
		if err := j.Close(true); err != nil {
			return ignoreCrash(err)
		}
		r.rounds, r.freeing = nil, 0
		return nil
	}
	return j.Close(false)
}

// upkeep releases some of the oldest rounds now and then, and when the ring is
// full.
func (r *ring) upkeep(j *Journal, full bool) error {
	if _, err := j.Grow(); err != nil {
		return err
	}
	if !full && r.rand.IntN(5) > 0 || len(r.rounds) == 0 {
		return nil
	}
	n := 1 + r.rand.IntN(len(r.rounds))
	r.freeing = r.rounds[n-1].seq
	if err := j.Release(r.freeing); err != nil {
		return err
	}
	r.rounds, r.freeing = slices.Clone(r.rounds[n:]), 0
	return nil
}

func ignoreCrash(err error) error {
	if errors.Is(err, vfs.ErrCrashed) {
		return nil
	}
	return err
}

// crashEverywhere returns the first broken promise.
func crashEverywhere(m mutant, direct bool, stride int) (crashes, replayed int, err error) {
	for k := 0; ; k += stride {
		for seed := range uint64(4) {
			r := &ring{disk: vfs.NewMem(seed), rand: rand.New(rand.NewPCG(seed, 1)), mutant: m}
			r.disk.SetDirect(direct)
			r.disk.CrashAfter(k)
			if err := r.run(40, seed%2 == 0); err != nil {
				return crashes, replayed, fmt.Errorf("before the crash: %w", err)
			}
			done := !r.disk.Crashed()
			for second := range uint64(3) {
				r.disk = r.disk.Crash(seed*977 + uint64(k) + second)
				r.disk.CrashAfter(int(second)*9 + k%13)
				if err := r.run(12, false); err != nil {
					return crashes, replayed, fmt.Errorf("crash at write %d, seed %d, start %d: %w", k, seed, second, err)
				}
				crashes++
			}
			replayed += r.replayed
			if done && seed == 3 {
				return crashes, replayed, nil
			}
		}
	}
}

func TestJournal_CrashAtEveryWrite(t *testing.T) {
	for _, direct := range []bool{true, false} {
		crashes, replayed, err := crashEverywhere(mutantNone, direct, 1)
		if err != nil {
			t.Fatalf("direct %v: %v", direct, err)
		}
		if replayed < crashes {
			t.Errorf("direct %v: %d rounds replayed after %d crashes: the workload shows too little", direct, replayed, crashes)
		}
		t.Logf("direct %v: %d crashes, %d rounds replayed", direct, crashes, replayed)
	}
}

func TestJournal_CrashHarnessCatchesMutants(t *testing.T) {
	for name, m := range map[string]mutant{
		"release without the superblock": mutantForgetTail,
		"torn rounds taken":              mutantTakeTorn,
	} {
		if _, _, err := crashEverywhere(m, true, 1); err == nil {
			t.Errorf("%s: not caught", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

func TestJournal_TenLaps(t *testing.T) {
	r := &ring{disk: vfs.NewMem(1), rand: rand.New(rand.NewPCG(9, 9))}
	for r.laps < 10 {
		if err := r.run(60, r.rand.IntN(2) == 0); err != nil {
			t.Fatal(err)
		}
	}
	if r.replayed == 0 {
		t.Error("no start had anything to replay")
	}
	t.Logf("%d rounds replayed, full %d times", r.replayed, r.fulls)
}
