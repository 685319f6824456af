package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// fixture is a ring with rounds 1 to rounds, of two blocks each, closed as a
// crash would close it.
type fixture struct {
	t    *testing.T
	disk *vfs.Mem
	o    Options
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	disk := vfs.NewMem(1)
	if err := disk.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	if err := disk.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	return &fixture{t: t, disk: disk, o: Options{FS: disk, Name: ringName, Size: 1 << 20, ID: [16]byte{1, 2}, tiny: true}}
}

func (f *fixture) mustOpen() (*Journal, Replayed) {
	f.t.Helper()
	j, r, err := Open(f.o)
	if err != nil {
		f.t.Fatal(err)
	}
	return j, r
}

// commit adds rounds of one Data entry with a payload of size bytes.
func (f *fixture) commit(j *Journal, rounds, size int) {
	f.t.Helper()
	var r Round
	for range rounds {
		r.Reset()
		n := j.Usage().Next
		e := Entry{Kind: Data, Base: kafka.Offset(n), End: kafka.Offset(n + 1), Length: int64(size)}
		r.Add(&e, bytes.Repeat([]byte{byte(n)}, size))
		if _, err := j.Commit(&r); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fixture) written(rounds int) {
	f.t.Helper()
	j, _ := f.mustOpen()
	f.commit(j, rounds, 5000)
	f.close(j, false)
}

func (f *fixture) close(j *Journal, clean bool) {
	f.t.Helper()
	if err := j.Close(clean); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) flip(position int64) {
	f.t.Helper()
	if err := f.disk.FlipBit(ringName, position); err != nil {
		f.t.Fatal(err)
	}
}

const roundBytes = 2 * vfs.BlockSize // of a round in a fixture

func startOf(round int) int64 { return ringStart + int64(round-1)*roundBytes }

func isCorruption(err error) bool { return errors.As(err, new(*CorruptionError)) }

func TestOpen_DamagedRoundBeforeALaterOneIsCorruption(t *testing.T) {
	damaged := func(m mutant, round int, at int64) error {
		f := newFixture(t)
		f.written(6)
		f.flip(startOf(round) + at)
		f.o.mutant = m
		j, r, err := Open(f.o)
		if err == nil {
			defer j.Close(false)
			if r.Rounds != round-1 {
				err = fmt.Errorf("%d rounds", r.Rounds)
			}
		}
		return err
	}
	for _, at := range []int64{0, atVersion + 1, atCount + 3, atSeq + 7, atTail + 7, atBytes + 7, atJournal, atLap + 3, atSum, atPosition + 7, roundHead + 2, 3000, 5100} {
		for round := 1; round <= 5; round++ {
			if err := damaged(mutantNone, round, at); !isCorruption(err) {
				t.Errorf("round %d damaged at byte %d: %v, want a *CorruptionError", round, at, err)
			}
		}
		if err := damaged(mutantNone, 6, at); err != nil {
			t.Errorf("last round damaged at byte %d: %v, want the end in front of it", at, err)
		}
	}
	if err := damaged(mutantSkipGap, 3, 3000); isCorruption(err) {
		t.Errorf("mutant: %v", err)
	}
}

func TestOpen_ErasedRoundBeforeALaterOneIsCorruption(t *testing.T) {
	f := newFixture(t)
	f.written(4)
	if err := f.disk.Corrupt(ringName, startOf(2), make([]byte, roundBytes)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(f.o); !isCorruption(err) {
		t.Errorf("%v, want a *CorruptionError", err)
	}
}

func TestOpen_GoesOnBehindTheLastRound(t *testing.T) {
	f := newFixture(t)
	f.written(3)
	f.flip(startOf(3) + 100)
	for want := 2; want < 8; want++ {
		j, r := f.mustOpen()
		if r.Rounds != want || r.Clean {
			t.Fatalf("%d rounds, want %d", r.Rounds, want)
		}
		for i, e := range r.Entries {
			if e.Base != kafka.Offset(i+1) || !bytes.Equal(e.Payload, bytes.Repeat([]byte{byte(i + 1)}, 5000)) {
				t.Fatalf("entry %d: base %d", i, e.Base)
			}
		}
		f.commit(j, 1, 5000)
		f.close(j, false)
	}
}

func TestOpen_OneDamagedSuperblockChangesNothing(t *testing.T) {
	for _, copyAt := range []int64{0, vfs.BlockSize} {
		for at := range int64(superSize) {
			f := newFixture(t)
			j, _ := f.mustOpen()
			f.close(j, true) // the clean state that must not come back
			f.written(4)
			f.flip(copyAt + at)
			if _, r := f.mustOpen(); r.Rounds != 4 || r.Clean {
				t.Fatalf("byte %d of the copy at %d damaged: %+v", at, copyAt, r)
			}
		}
	}
	f := newFixture(t)
	f.written(4)
	f.flip(1)
	f.flip(vfs.BlockSize + superAtTail)
	if _, _, err := Open(f.o); !isCorruption(err) {
		t.Errorf("both damaged: %v", err)
	}
}

func TestOpen_CleanMarkIsTakenBack(t *testing.T) {
	reopened := func(m mutant) int {
		f := newFixture(t)
		f.o.mutant = m
		j, _ := f.mustOpen()
		f.commit(j, 3, 100)
		f.close(j, true)
		j, r := f.mustOpen()
		if !r.Clean || r.Rounds != 0 {
			t.Errorf("after a clean close: %+v", r)
		}
		f.commit(j, 2, 100)
		f.disk = f.disk.Crash(1)
		f.o.FS = f.disk
		_, r = f.mustOpen()
		return r.Rounds
	}
	if n := reopened(mutantNone); n != 2 {
		t.Errorf("%d rounds, want 2", n)
	}
	if n := reopened(mutantCleanStays); n == 2 {
		t.Error("the mutant was not caught")
	}
}

func TestOpen_NewerVersionIsRefused(t *testing.T) {
	f := newFixture(t)
	f.written(1)
	for _, at := range []int64{0, vfs.BlockSize} {
		if err := f.disk.Corrupt(ringName, at+superAtVersion, []byte{0, 0, 0, superVersion + 1}); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := Open(f.o)
	if !errors.Is(err, ErrNewer) {
		t.Errorf("%v, want ErrNewer", err)
	}
}

func TestOpen_MissingOrShorterFileIsRefused(t *testing.T) {
	f := newFixture(t)
	f.written(2)
	file, err := f.disk.OpenFile(ringName, vfs.Write)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(ringStart + roundBytes); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(f.o); !isCorruption(err) {
		t.Errorf("cut file: %v", err)
	}
	if err := f.disk.Remove(ringName); err != nil {
		t.Fatal(err)
	}
	f.o.MustExist = true
	if _, _, err := Open(f.o); !isCorruption(err) {
		t.Errorf("missing file: %v", err)
	}
}

// A client may produce the very file of the journal.
func TestOpen_CopyOfARoundInAPayloadIsNoRound(t *testing.T) {
	for _, torn := range []bool{false, true} {
		f := newFixture(t)
		j, _ := f.mustOpen()
		f.commit(j, 1, 1000)
		copied := make([]byte, vfs.BlockSize)
		block := vfs.AlignedBlock(vfs.BlockSize)
		if err := vfs.ReadFull(j.file, block, ringStart); err != nil {
			t.Fatal(err)
		}
		copy(copied, block)
		if err := j.Release(1); err != nil {
			t.Fatal(err)
		}
		binary.BigEndian.PutUint64(copied[atSeq:], 9) // a later one, with a right checksum
		binary.BigEndian.PutUint32(copied[atSum:], roundSum(copied[:binary.BigEndian.Uint64(copied[atBytes:])]))
		payload := make([]byte, 3*vfs.BlockSize)
		copy(payload[vfs.BlockSize-roundHead-entryFixed:], copied)
		var r Round
		r.Add(&Entry{Kind: Data, End: 1, Length: int64(len(payload))}, payload)
		if _, err := j.Commit(&r); err != nil {
			t.Fatal(err)
		}
		place := j.mu.live[0].pos
		f.close(j, false)
		want := 1
		if torn {
			f.flip(place + 200)
			want = 0
		}
		if _, got := f.mustOpen(); got.Rounds != want {
			t.Errorf("torn %v: %d rounds, want %d", torn, got.Rounds, want)
		}
	}
}

// The last write failed, and its bytes are in the page cache only. What follows
// must not leave a hole behind them.
func TestOpen_WritesTheLastRoundAgain(t *testing.T) {
	outcome := func(m mutant) error {
		f := newFixture(t)
		f.disk.SetDirect(false)
		f.written(2)
		heal := f.disk.Inject(vfs.Fault{Op: vfs.OpWrite, Path: "journal", From: startOf(3), To: startOf(3) + 1, Lie: true})
		j, _ := f.mustOpen()
		f.commit(j, 1, 5000)
		heal()
		f.disk = f.disk.Kill()
		f.o.FS, f.o.mutant = f.disk, m
		j, r := f.mustOpen()
		if r.Rounds != 3 {
			t.Fatalf("the page cache was lost: %d rounds", r.Rounds)
		}
		f.commit(j, 1, 5000)
		f.disk = f.disk.CrashWith(vfs.CrashOptions{Kind: vfs.CrashDrop})
		f.o.FS, f.o.mutant = f.disk, mutantNone
		_, r, err := Open(f.o)
		if err == nil && r.Rounds != 4 {
			err = fmt.Errorf("%d rounds, want 4", r.Rounds)
		}
		return err
	}
	if err := outcome(mutantNone); err != nil {
		t.Error(err)
	}
	if err := outcome(mutantForgetLast); err == nil {
		t.Error("the mutant was not caught")
	}
}

func TestCommit_FirstErrorIsForEver(t *testing.T) {
	f := newFixture(t)
	j, _ := f.mustOpen()
	f.disk.Inject(vfs.Fault{Op: vfs.OpWrite, Path: "journal", Times: 1})
	var r Round
	r.Add(&Entry{Kind: Extent, End: 1}, nil)
	_, first := j.Commit(&r)
	if first == nil {
		t.Fatal("the fault did not show")
	}
	if _, err := j.Commit(&r); !errors.Is(err, first) {
		t.Errorf("second commit: %v", err)
	}
	if err := j.Release(1); !errors.Is(err, first) {
		t.Errorf("release: %v", err)
	}
	f.close(j, true)
	if j, r := f.mustOpen(); r.Clean || j == nil {
		t.Error("a failed journal was marked clean")
	}
}

func TestGrow_FullDiskIsNoError(t *testing.T) {
	f := newFixture(t)
	j, _ := f.mustOpen()
	f.commit(j, 6, 5000)
	f.disk.SetCapacity(1)
	if grew, err := j.Grow(); grew || err != nil {
		t.Fatalf("%v, %v", grew, err)
	}
	f.commit(j, 1, 5000)
	f.disk.SetCapacity(0)
	for range growRetry {
		if grew, err := j.Grow(); grew || err != nil {
			t.Fatalf("%v, %v", grew, err)
		}
	}
	size := j.Usage().Size
	if grew, err := j.Grow(); !grew || err != nil || j.Usage().Size <= size {
		t.Fatalf("space is back: %v, %v", grew, err)
	}
	f.commit(j, 2, 5000)
	f.disk = f.disk.Crash(3)
	f.o.FS = f.disk
	if j, r := f.mustOpen(); r.Rounds != 9 || j.Usage().Size <= size {
		t.Errorf("%d rounds, size %d", r.Rounds, j.Usage().Size)
	}
}

func TestCommit_FullRingKeepsTheRound(t *testing.T) {
	f := newFixture(t)
	f.o.Size = ringStart + 64<<10
	j, _ := f.mustOpen()
	f.commit(j, 8, 5000)
	var r Round
	r.Add(&Entry{Kind: Data, End: 1, Length: 3}, []byte("abc"))
	if _, err := j.Commit(&r); !errors.Is(err, ErrFull) {
		t.Fatalf("%v, want ErrFull", err)
	}
	if err := j.Release(1); err != nil {
		t.Fatal(err)
	}
	if seq, err := j.Commit(&r); err != nil || seq != 9 {
		t.Fatalf("%d, %v", seq, err)
	}
	f.close(j, false)
	_, got := f.mustOpen()
	if last := got.Entries[len(got.Entries)-1]; got.Rounds != 8 || string(last.Payload) != "abc" {
		t.Errorf("%d rounds, last %q", got.Rounds, last.Payload)
	}
}

func TestRound_AddDoesNotAllocate(t *testing.T) {
	var r Round
	e := Entry{Kind: Data, End: 1, Length: 100}
	payload := make([]byte, 100)
	fill := func() {
		r.Reset()
		for range 1000 {
			r.Add(&e, payload)
		}
		r.seal(roundInfo{seq: 1}, [16]byte{})
	}
	fill()
	if n := testing.AllocsPerRun(10, fill); n > 0 {
		t.Errorf("%v allocations in a round of 1000 entries", n)
	}
}

func FuzzDecodeRound(f *testing.F) {
	var r Round
	for kind := Data; kind <= Fence; kind++ {
		e := Entry{Kind: kind, Base: 4, End: 5, Length: 3}
		payload := []byte("abc")
		if kind != Data {
			payload = nil
		}
		r.Add(&e, payload)
	}
	f.Add(bytes.Clone(r.seal(roundInfo{seq: 2, tail: 1, position: ringStart}, [16]byte{9})[:r.n]))
	f.Add(make([]byte, roundHead))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, ok := parseHead(b, ringStart, [16]byte{9})
		if !ok || info.bytes > int64(len(b)) {
			// The checks behind the checksum must stand on their own.
			info = roundInfo{count: len(b), bytes: int64(len(b))}
			if len(b) < roundHead {
				return
			}
		}
		verify(b, info)
		entries, err := decodeRound(b, info)
		if err != nil {
			return
		}
		var again Round
		for i := range entries {
			again.Add(&entries[i], entries[i].Payload)
		}
		if again.count != info.count {
			t.Errorf("%d entries became %d", info.count, again.count)
		}
		second, err := decodeRound(again.seal(info, [16]byte{9}), roundInfo{count: again.count, bytes: int64(max(again.n, roundHead))})
		if err != nil || len(second) != len(entries) {
			t.Errorf("%d entries encoded became %d, %v", len(entries), len(second), err)
		}
	})
}

func FuzzDecodeSuper(f *testing.F) {
	b := make([]byte, superSize)
	super{generation: 3, tail: 9, size: 1 << 20, lap: 2, clean: true}.encode(b)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, newer, ok := decodeSuper(b)
		if !ok {
			return
		}
		again := make([]byte, superSize)
		s.encode(again)
		if got, _, ok := decodeSuper(again); !ok || newer != 0 || got != s {
			t.Errorf("%+v became %+v", s, got)
		}
	})
}

func TestSave_LoadReturnsTheEntries(t *testing.T) {
	f := newFixture(t)
	var entries []Entry
	for i := range 300 { // more than one round
		size := 20000 + i
		entries = append(entries, Entry{Kind: Data, Key: Key{Partition: kafka.PartitionIndex(i)}, Base: 1, End: 2, Length: int64(size), Payload: bytes.Repeat([]byte{byte(i)}, size)})
	}
	o := Options{FS: f.disk, Name: "/d/aside", ID: [16]byte{5}}
	for _, want := range [][]Entry{entries, entries[:7]} {
		if err := Save(o, want); err != nil {
			t.Fatal(err)
		}
		got, err := Load(f.disk, o.Name)
		if err != nil || !slices.EqualFunc(got, want, equalEntries) {
			t.Fatalf("%d entries, want %d equal ones: %v", len(got), len(want), err)
		}
	}
}

func TestSave_CrashLeavesTheOldOrTheNew(t *testing.T) {
	one, two := []Entry{{Kind: Extent, End: 1}}, []Entry{{Kind: Extent, End: 1}, {Kind: Extent, Base: 1, End: 2}}
	for k := 0; ; k++ {
		f := newFixture(t)
		o := Options{FS: f.disk, Name: "/d/aside", ID: [16]byte{5}}
		if err := Save(o, one); err != nil {
			t.Fatal(err)
		}
		f.disk.CrashAfter(k)
		err := Save(o, two)
		done := !f.disk.Crashed()
		got, loadErr := Load(f.disk.Crash(uint64(k)), o.Name)
		if loadErr != nil || len(got) != 1 && len(got) != 2 || err == nil && len(got) != 2 {
			t.Fatalf("crash at %d: %d entries, %v; Save said %v", k, len(got), loadErr, err)
		}
		if done {
			return
		}
	}
}
