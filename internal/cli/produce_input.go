package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// inputOptions say how bytes become records. They are kept with an unacked file,
// so that resuming needs no flags.
type inputOptions struct {
	Topic     string   `json:"topic"`
	Format    string   `json:"format"`
	Key       string   `json:"key,omitempty"`
	Headers   []string `json:"headers,omitempty"`
	Partition int32    `json:"partition"`
	Tombstone bool     `json:"tombstone,omitempty"`
}

// template is what the flags give every record.
func (o inputOptions) template() (kgo.Record, error) {
	var r kgo.Record
	if o.Key != "" {
		r.Key = []byte(o.Key)
	}
	for _, h := range o.Headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			name, value, ok = strings.Cut(h, "=")
		}
		if !ok || name == "" {
			return r, usagef("-H %s: want NAME:VALUE", h)
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return r, nil
}

// lines reports whether every record ends at the end of a line.
func (o inputOptions) lines() bool {
	return strings.HasSuffix(o.Format, `\n`) && !strings.HasSuffix(o.Format, `\\n`) || strings.HasSuffix(o.Format, "\n")
}

// input is one record with its place in the input.
type input struct {
	record     *kgo.Record
	start, end int64  // bytes of the kept input; meaningful with a ledger only
	where      string // for people: "line 7"
}

// source turns bytes into records and knows where each one begins and ends.
//
// The parser reads ahead as far as it is given bytes. Where every record ends
// with a line, the source hands out one line at a time, so that at the end of a
// record the parser holds nothing; otherwise, where places matter, one byte.
type source struct {
	in      io.Reader
	keep    *ledger  // where input is kept before it is handed out; may be nil
	pipe    *os.File // in, where it is a pipe that the ledger can empty by itself; may be nil
	parser  *kgo.RecordReader
	byLine  bool
	oneByte bool

	// earlier is what an earlier run kept, and comes first; nil once it is read.
	earlier io.Reader

	chunk     []byte // read and not handed out
	buf       []byte
	handed    int64 // bytes handed out
	newlines  int64
	records   int64
	lastByte  byte
	ended     error // of in: io.EOF or an error
	keepFault error // the kept input could not be written
}

const chunkBytes = 256 << 10

func newSource(in io.Reader, o inputOptions, keep *ledger) (*source, error) {
	s := &source{in: in, keep: keep, byLine: o.lines(), lastByte: '\n', buf: make([]byte, chunkBytes)}
	s.oneByte = !s.byLine && keep != nil
	if keep != nil && strings.Contains(o.Format, "{re") {
		return nil, usagef("-f %s: a format with a regular expression cannot be combined with --unacked-file or --resume, because the end of a record is not known exactly", o.Format)
	}
	if keep != nil {
		s.pipe = pipeOf(in)
	}
	if keep != nil && keep.resumed {
		s.earlier = keep.reader()
	}
	parser, err := kgo.NewRecordReader(s, o.Format)
	if err != nil {
		return nil, usagef("-f %s: %v", o.Format, err)
	}
	s.parser = parser
	return s, nil
}

// next returns the next record. io.EOF is the end of the input; any other error
// names the line.
func (s *source) next() (input, error) {
	in := input{start: s.handed, where: s.where()}
	var err error
	in.record, err = s.parser.ReadRecord()
	in.end = s.handed
	if err == nil {
		s.records++
		return in, nil
	}
	if s.keepFault != nil {
		return in, s.keepFault
	}
	if errors.Is(err, io.EOF) && (s.ended == nil || errors.Is(s.ended, io.EOF)) {
		return in, io.EOF
	}
	if s.ended != nil && !errors.Is(s.ended, io.EOF) {
		return in, fmt.Errorf("read the input: %w", s.ended)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the input ends in the middle of a record")
	}
	return in, fmt.Errorf("input %s: %w; nothing after it was sent", in.where, err)
}

func (s *source) where() string {
	if s.byLine || s.oneByte {
		return fmt.Sprintf("line %d", s.newlines+1)
	}
	return fmt.Sprintf("record %d", s.records+1)
}

// Read hands bytes to the parser.
func (s *source) Read(p []byte) (int, error) {
	if len(s.chunk) == 0 {
		if err := s.fill(); err != nil {
			return 0, err
		}
		if len(s.chunk) == 0 {
			// The last line lacks its end; the parser wants one, the file does not.
			s.lastByte = '\n'
			p[0] = '\n'
			return 1, nil
		}
	}
	n := min(len(p), len(s.chunk))
	if s.oneByte {
		n = 1
	}
	if s.byLine {
		if i := bytes.IndexByte(s.chunk[:n], '\n'); i >= 0 {
			n = i + 1
		}
	}
	copy(p, s.chunk[:n])
	s.newlines += int64(bytes.Count(s.chunk[:n], []byte{'\n'}))
	s.handed += int64(n)
	s.lastByte = s.chunk[n-1]
	s.chunk = s.chunk[n:]
	return n, nil
}

// fill reads the next chunk and keeps it before anybody sees it. At the end of
// the input it returns io.EOF, or nil without a chunk where a line has to be ended.
func (s *source) fill() error {
	if s.keepFault != nil {
		return io.EOF
	}
	if s.earlier != nil {
		if err := s.readEarlier(); len(s.chunk) > 0 || err != nil {
			return err
		}
		if s.keep.complete && s.unfinishedLine() {
			return nil
		}
		if !s.keep.goesOn {
			return s.endEarlier()
		}
		s.earlier = nil
	}
	for s.ended == nil && len(s.chunk) == 0 {
		s.readChunk()
	}
	switch {
	case len(s.chunk) > 0:
		return nil
	case errors.Is(s.ended, io.EOF) && s.unfinishedLine():
		return nil
	}
	return s.ended
}

func (s *source) unfinishedLine() bool { return s.byLine && s.lastByte != '\n' }

// readEarlier reads on in what an earlier run kept. Nothing more is no error.
func (s *source) readEarlier() error {
	n, err := s.earlier.Read(s.buf)
	s.chunk = s.buf[:n]
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// endEarlier ends an input that was kept only. The process that kept it may have
// been killed in the middle of reading a record: what there is of it must not
// become a record that nobody ever wrote.
func (s *source) endEarlier() error {
	s.ended = io.EOF
	if s.unfinishedLine() {
		s.ended = fmt.Errorf("%s ends in the middle of %s, because the process that kept it was killed while reading; with --continue the input goes on with stdin", s.keep.path, s.where())
	}
	return s.ended
}

// readChunk reads what is there, and keeps it. What cannot be kept is handed out
// all the same: it would be lost for certain otherwise. Nothing is read after it.
func (s *source) readChunk() {
	if s.pipe != nil {
		n, err := s.keep.move(s.pipe, s.buf)
		if !errors.Is(err, errNoSplice) {
			s.took(n, err)
			return
		}
		s.pipe = nil
	}
	n, err := s.in.Read(s.buf)
	if n > 0 && s.keep != nil {
		s.keepFault = s.keep.append(s.buf[:n])
	}
	s.took(n, err)
}

func (s *source) took(n int, err error) {
	s.chunk = s.buf[:n]
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		s.ended = err
		if s.keep != nil {
			s.keep.end()
		}
	case s.pipe != nil && n > 0:
		s.keepFault = err
	default:
		s.ended = err
	}
}

// drain keeps what is left of the input without understanding it.
func (s *source) drain() error {
	for {
		s.handed += int64(len(s.chunk))
		s.chunk = nil
		s.lastByte = '\n' // no line has to be ended any more
		if s.ended != nil {
			return s.ended
		}
		if err := s.fill(); err != nil {
			return err
		}
		if len(s.chunk) == 0 {
			return io.EOF
		}
	}
}
