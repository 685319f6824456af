package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"holdfast/internal/clock"
)

// producing is one run of produce. One goroutine reads and sends; promises of
// the client count; the one that called run waits, reports and listens for
// signals.
type producing struct {
	app       *app
	client    clientConfig
	o         produceOptions
	keep      *ledger // nil without --unacked-file
	clock     clock.Clock
	cl        *kgo.Client
	source    *source
	template  kgo.Record
	ackFormat *kgo.RecordFormatter
	acksNone  bool
	waits     *waits

	idle    chan struct{} // capacity 1: nothing is pending any more
	readEnd chan error    // capacity 1: how reading ended; io.EOF is the end

	mu       sync.Mutex // guards what follows
	stopping bool       // no further record is sent
	next     int64      // number of the next record
	low      int64      // every record below is answered
	pending  map[int64]time.Time
	counts   [3]int64 // by fate
	faults   []string // the first few refusals, for people
	outErr   error    // of writing acknowledged records
}

const (
	// patience is how long a record may be pending before stderr says why.
	patience = 2 * time.Second
	// tick is how often the wait is looked at.
	tick = 250 * time.Millisecond
	// faultsShown bounds the refusals that are printed one by one.
	faultsShown = 10
)

// run connects, sends everything, waits, and says what became of it.
func (p *producing) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	connected := make(chan error, 1)
	go func() { connected <- p.connect(ctx) }()
	end := p.supervise(connected, ctx, cancel)
	cancel()
	return p.finish(end)
}

// ending is how the run came to its end.
type ending struct {
	read        error // nil: the input was read to its end and every line understood
	interrupted bool
	gaveUp      bool // without waiting for what was pending
	unread      bool // no connection was ever made: the input was not touched
}

// supervise waits for the end of reading and of everything that is pending. The
// first signal stops reading, the second one the waiting.
func (p *producing) supervise(connected chan error, ctx context.Context, cancel context.CancelFunc) (end ending) {
	say := progress{p: p, since: p.clock.Now(), told: p.clock.Now()}
	beat := p.clock.NewTimer(tick)
	defer beat.Stop()
	var giveUp <-chan time.Time
	if p.o.giveUpAfter > 0 {
		t := p.clock.NewTimer(p.o.giveUpAfter)
		defer t.Stop()
		giveUp = t.C()
	}
	begun, ended := false, false
	defer func() { end.unread = !begun }()
	for !ended || !p.nothingPending() {
		select {
		case err := <-connected:
			if err != nil {
				end.read, ended = err, true
				p.stop()
				continue
			}
			begun, connected = true, nil
			go p.send(ctx)
		case err := <-p.readEnd:
			ended = true
			if !errors.Is(err, io.EOF) {
				end.read = err
			}
		case <-p.idle:
		case <-p.app.Streams.Interrupts:
			if end.interrupted || !begun {
				end.interrupted, end.gaveUp = true, true
				say.clear()
				return end
			}
			end.interrupted, ended = true, true
			p.stop()
			say.clear()
			p.app.talk("interrupted: no more input is read; waiting for %d pending record(s); once more gives up", p.pendingCount())
		case <-giveUp:
			end.gaveUp = true
			say.clear()
			return end
		case <-beat.C():
			say.beat(begun)
			beat.Reset(tick)
		}
	}
	say.clear()
	return end
}

// send reads and sends until the end of the input, a fault in it, or stop. It
// runs in its own goroutine, because reading cannot be interrupted.
func (p *producing) send(ctx context.Context) {
	for {
		in, err := p.source.next()
		if err != nil {
			if !errors.Is(err, io.EOF) && p.keep != nil {
				err = p.keepRest(err)
			}
			p.readEnd <- err
			return
		}
		number, ok := p.begin()
		if !ok {
			p.readEnd <- io.EOF
			return
		}
		p.dress(in.record)
		p.cl.Produce(ctx, in.record, func(r *kgo.Record, err error) { p.answered(number, in, r, err) })
	}
}

// keepRest saves what follows a fault in the input, so that nothing is lost.
func (p *producing) keepRest(fault error) error {
	p.app.talk("%v; keeping the rest of the input in %s", fault, p.keep.path)
	if err := p.source.drain(); err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(fault, fmt.Errorf("keep the rest of the input: %w", err))
	}
	return fault
}

// drainLimit bounds how long a run that never began goes on reading its input
// for the unacked file: a pipe may have no end.
const drainLimit = 5 * time.Second

// keepUnread saves the input of a run that never began: a pipe's bytes would be
// gone with this process.
func (p *producing) keepUnread() {
	done := make(chan error, 1)
	go func() { done <- p.source.drain() }()
	t := p.clock.NewTimer(drainLimit)
	defer t.Stop()
	select {
	case err := <-done:
		if err != nil && !errors.Is(err, io.EOF) {
			p.app.talk("keep the input: %v", err)
		}
	case <-t.C():
		p.app.talk("the input has no end in sight; %s keeps what came until now", p.keep.path)
	}
}

// dress gives a record what the flags say and the input does not.
func (p *producing) dress(r *kgo.Record) {
	if r.Key == nil {
		r.Key = p.template.Key
	}
	r.Headers = append(r.Headers, p.template.Headers...)
	if p.o.input.Partition >= 0 {
		r.Partition = p.o.input.Partition
	}
	if p.o.input.Tombstone && len(r.Value) == 0 {
		r.Value = nil
	} else if r.Value == nil {
		r.Value = []byte{}
	}
}

// begin counts a record that is about to be sent, unless the run is stopping.
func (p *producing) begin() (int64, bool) {
	now := p.clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return 0, false
	}
	number := p.next
	p.next++
	p.pending[number] = now
	return number, true
}

// answered is the client's promise: it is called once for each record.
func (p *producing) answered(number int64, in input, r *kgo.Record, err error) {
	f := fateOf(err)
	if f == acknowledged && p.acksNone {
		f = unknownFate
	}
	if f == acknowledged && p.keep != nil {
		p.keep.acknowledge(in.start, in.end)
	}
	p.mu.Lock()
	delete(p.pending, number)
	p.counts[f]++
	if f == refused && len(p.faults) < faultsShown {
		p.faults = append(p.faults, in.where+": "+refusal(r, err))
	}
	empty := len(p.pending) == 0
	p.mu.Unlock()
	if f == acknowledged && p.ackFormat != nil {
		// Promises run one after another, so that lines do not mix.
		if _, err := p.app.Streams.Out.Write(p.ackFormat.AppendRecord(nil, r)); err != nil {
			p.mu.Lock()
			p.outErr = cmpOr(p.outErr, err)
			p.mu.Unlock()
		}
	}
	if empty {
		select {
		case p.idle <- struct{}{}:
		default:
		}
	}
}

// refusal is why a record was refused, with what can be done about it.
func refusal(r *kgo.Record, err error) string {
	if errors.Is(err, kerr.InvalidRecord) && r.Key == nil {
		return err.Error() + " A compacted topic (cleanup.policy) takes records with a key only: -k KEY, or %k in -f."
	}
	return err.Error()
}

func (p *producing) stop() {
	p.mu.Lock()
	p.stopping = true
	p.mu.Unlock()
}

func (p *producing) nothingPending() bool { return p.pendingCount() == 0 }

func (p *producing) pendingCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pending)
}

// snapshot returns the counts, and how long the oldest pending record waits.
func (p *producing) snapshot() (counts [3]int64, pending int, oldest time.Duration) {
	now := p.clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.low < p.next {
		if at, waits := p.pending[p.low]; waits {
			oldest = now.Sub(at)
			break
		}
		p.low++
	}
	return p.counts, len(p.pending), oldest
}

// finish says what became of every record and decides the status.
func (p *producing) finish(end ending) error {
	p.stop()
	counts, pending, _ := p.snapshot()
	counts[unknownFate] += int64(pending)
	if end.gaveUp {
		go p.cl.Close() // it waits for requests under way, and nobody waits for it
	} else {
		p.cl.Close()
	}
	complete := end.read == nil && !end.interrupted && !end.gaveUp && counts[refused] == 0 && counts[unknownFate] == 0
	p.mu.Lock()
	faults, outErr := p.faults, p.outErr
	p.mu.Unlock()
	for _, f := range faults {
		p.app.talk("refused: %s", f)
	}
	if more := counts[refused] - int64(len(faults)); more > 0 {
		p.app.talk("refused: %d more", more)
	}
	var keepErr error
	if p.keep != nil && end.unread {
		p.keepUnread()
	}
	if p.keep != nil {
		keepErr = p.settle(complete)
	}
	code := ExitFailed
	var f *failure
	if errors.As(end.read, &f) {
		code = f.code
	}
	if end.read != nil {
		report(p.app.Streams, end.read)
	}
	if p.stuck(end, counts) {
		code = ExitBad
		p.app.talk("sending it again will not help: %s begins with a record that cannot be sent as it is; repair it there, or take it out", p.keep.path)
	}
	switch {
	case !end.gaveUp || p.o.giveUpAfter <= 0 || end.interrupted:
	case end.unread:
		p.app.talk("gave up after %s (--give-up-after) and sent nothing: %s: %s", p.o.giveUpAfter, p.waits.where(), p.waits.why())
	default:
		p.app.talk("gave up after %s (--give-up-after): %d record(s) were acknowledged, %d refused, %d may be stored or not: they were not answered in time",
			p.o.giveUpAfter, counts[acknowledged], counts[refused], counts[unknownFate])
	}
	if p.acksNone && counts[unknownFate] > 0 {
		p.app.talk("with acks=0 nobody acknowledges anything")
	}
	p.app.talk("acknowledged=%d failed=%d unknown=%d", counts[acknowledged], counts[refused], counts[unknownFate])
	switch {
	case keepErr != nil:
		return keepErr
	case outErr != nil && !quietEnd(outErr):
		return fmt.Errorf("write the acknowledged records: %w", outErr)
	case complete:
		return nil
	case end.read == nil && counts[refused] == 0 && counts[unknownFate] > 0:
		return exit(ExitUnknown)
	}
	return exit(code)
}

// stuck reports whether a resumed run came to nothing but a record that will
// never be taken: a script that resumes until it succeeds would do so for ever.
func (p *producing) stuck(end ending, counts [3]int64) bool {
	hopeless := counts[refused] > 0 || end.read != nil && !end.unread && p.source.keepFault == nil
	return p.keep != nil && p.keep.resumed && hopeless && !end.interrupted && !end.gaveUp && counts[acknowledged] == 0 && counts[unknownFate] == 0
}

// settle leaves the unacked file as its reader expects it.
func (p *producing) settle(complete bool) error {
	left, err := p.keep.settle(complete)
	if err != nil {
		return fmt.Errorf("keep the input that was not acknowledged: %w", err)
	}
	if left > 0 {
		p.app.talk("%d bytes of input were not acknowledged and are in %s; `%s produce --resume %s` sends them", left, p.keep.path, p.app.name(), p.keep.path)
	}
	return nil
}

// progress talks to people while they wait.
type progress struct {
	p     *producing
	since time.Time // the wait for a connection began
	told  time.Time // when the wait was last explained
	shown bool      // a progress line stands on the terminal
}

// beat is called every tick.
func (g *progress) beat(begun bool) {
	counts, pending, oldest := g.p.snapshot()
	if !begun {
		oldest = g.p.clock.Since(g.since)
	}
	g.p.waits.closely.Store(oldest > patience/4)
	now := g.p.clock.Now()
	if oldest > patience && now.Sub(g.told) >= g.pause(oldest) {
		g.told = now
		g.clear()
		what := fmt.Sprintf("%d record(s) not acknowledged", pending)
		if !begun {
			what = "nothing sent yet"
		}
		g.p.app.talk("waiting for %s for %s: %s; %s", g.p.waits.where(), oldest.Round(time.Second), g.p.waits.why(), what)
	}
	if g.p.app.Streams.ErrTTY && begun {
		g.shown = true
		fmt.Fprintf(g.p.app.Streams.Err, "\r\x1b[Kacknowledged %d, pending %d, failed %d", counts[acknowledged], pending, counts[refused])
	}
}

// pause is the time between two explanations: it grows with the wait.
func (g *progress) pause(waited time.Duration) time.Duration {
	return min(max(patience, waited/2), time.Minute)
}

func (g *progress) clear() {
	if g.shown {
		fmt.Fprint(g.p.app.Streams.Err, "\r\x1b[K")
		g.shown = false
	}
}
