package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"holdfast/internal/kafka"
	"holdfast/internal/log"
	"holdfast/internal/record"
	"holdfast/internal/vfs"
)

type dumpOptions struct {
	records bool
	from    int64
	number  int64
}

// dumpedBatch is one batch as log dump prints it.
type dumpedBatch struct {
	File          string         `json:"file"`
	Position      int64          `json:"position"`
	Base          int64          `json:"base_offset"`
	Last          int64          `json:"last_offset"`
	Count         int32          `json:"count"`
	Bytes         int            `json:"bytes"`
	LeaderEpoch   int32          `json:"leader_epoch"`
	ProducerID    int64          `json:"producer_id"`
	ProducerEpoch int16          `json:"producer_epoch"`
	BaseSequence  int32          `json:"base_sequence"`
	Compression   string         `json:"compression"`
	BaseTimestamp int64          `json:"base_timestamp"`
	MaxTimestamp  int64          `json:"max_timestamp"`
	LogAppendTime bool           `json:"log_append_time"`
	Transactional bool           `json:"transactional"`
	Control       bool           `json:"control"`
	ChecksumOK    bool           `json:"checksum_ok"`
	Error         string         `json:"error,omitempty"`
	Records       []dumpedRecord `json:"records,omitempty"`
}

type dumpedRecord struct {
	Offset      int64           `json:"offset"`
	Timestamp   int64           `json:"timestamp"`
	Key         *string         `json:"key"`
	KeyBase64   string          `json:"key_base64,omitempty"`
	Value       *string         `json:"value"`
	ValueBase64 string          `json:"value_base64,omitempty"`
	Headers     []printedHeader `json:"headers,omitempty"`
}

// batchMax bounds what is read at once of a file that may be damaged.
const batchMax = 256 << 20

// walkSegment hands out the batches of a segment file in order. It stops at the
// first place that holds no batch, and returns an error that names it; a file
// that ends with a batch, or with the zeroes of reserved space, is nil.
func walkSegment(fsys vfs.FS, name string, fn func(position int64, b []byte, h record.Header) (bool, error)) error {
	f, err := fsys.OpenFile(name, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	for position := int64(0); position < size; {
		head := make([]byte, min(record.HeaderSize, size-position))
		if err := vfs.ReadFull(f, head, position); err != nil {
			return err
		}
		if len(head) == record.HeaderSize && zeroes(head) {
			return zeroTail(f, position, size)
		}
		h, err := record.ParseHeader(head)
		switch {
		case err != nil:
			return &brokenSegment{position, err}
		case int64(h.Size()) > size-position:
			return &brokenSegment{position, fmt.Errorf("the batch has %d bytes, the file only %d more", h.Size(), size-position)}
		case h.Size() > batchMax:
			return &brokenSegment{position, fmt.Errorf("the batch has %d bytes", h.Size())}
		}
		whole := make([]byte, h.Size())
		if err := vfs.ReadFull(f, whole, position); err != nil {
			return err
		}
		more, err := fn(position, whole, h)
		if err != nil || !more {
			return err
		}
		position += int64(h.Size())
	}
	return nil
}

// brokenSegment is a place in a file where a batch should be.
type brokenSegment struct {
	position int64
	cause    error
}

func (e *brokenSegment) Error() string { return fmt.Sprintf("no batch at %d: %v", e.position, e.cause) }
func (e *brokenSegment) Unwrap() error { return e.cause }

// zeroTail accepts the space that Kafka reserves at the end of a segment.
func zeroTail(f vfs.File, position, size int64) error {
	buf := make([]byte, 64<<10)
	for at := position; at < size; {
		part := buf[:min(int64(len(buf)), size-at)]
		if err := vfs.ReadFull(f, part, at); err != nil {
			return err
		}
		if !zeroes(part) {
			return &brokenSegment{position, errors.New("zeroes, and something after them")}
		}
		at += int64(len(part))
	}
	return nil
}

func zeroes(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// checkSegment verifies the batches of one file, without its indexes.
func checkSegment(fsys vfs.FS, name string, report func(log.Finding)) error {
	next := kafka.NoOffset
	fault := func(position int64, offset kafka.Offset, cause error) {
		report(log.Finding{Kind: log.KindBatch, Severity: log.Fault, File: name, Position: position, Offset: offset, Cause: cause})
	}
	err := walkSegment(fsys, name, func(position int64, b []byte, h record.Header) (bool, error) {
		if err := record.Verify(b); err != nil {
			fault(position, h.BaseOffset, err)
		}
		if h.BaseOffset < next {
			fault(position, h.BaseOffset, fmt.Errorf("offset %d after %d", h.BaseOffset, next))
		}
		next = h.End()
		return true, nil
	})
	var broken *brokenSegment
	if errors.As(err, &broken) {
		fault(broken.position, kafka.NoOffset, broken.cause)
		return nil
	}
	return err
}

// dumpLogs prints batches as they are read; json and yaml, which are one value,
// are printed at the end.
func (a *app) dumpLogs(names []string, o dumpOptions) error {
	fsys := vfs.OS{}
	list, err := places(fsys, names)
	if err != nil {
		return fmt.Errorf("log dump: %w", err)
	}
	out := bufio.NewWriterSize(a.Streams.Out, 64<<10)
	all := []dumpedBatch{}
	emit := func(d dumpedBatch) error {
		switch a.format {
		case formatJSON, formatYAML:
			all = append(all, d)
			return nil
		case formatJSONL:
			enc := json.NewEncoder(out)
			enc.SetEscapeHTML(false)
			return enc.Encode(d)
		}
		return d.text(out)
	}
	bad := false
	for _, p := range list {
		files, err := p.segments(fsys)
		if err != nil {
			return fmt.Errorf("log dump: %w", err)
		}
		for _, name := range files {
			broken, err := dumpSegment(fsys, name, o, emit)
			if err != nil {
				return fmt.Errorf("log dump %s: %w", name, cmpOr(err, out.Flush()))
			}
			bad = bad || broken
		}
	}
	if a.format == formatJSON || a.format == formatYAML {
		if err := a.print(listing{value: all}); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if bad {
		return exit(ExitBad)
	}
	return nil
}

func dumpSegment(fsys vfs.FS, name string, o dumpOptions, emit func(dumpedBatch) error) (bad bool, err error) {
	count := int64(0)
	err = walkSegment(fsys, name, func(position int64, b []byte, h record.Header) (bool, error) {
		if int64(h.End()) <= o.from {
			return true, nil
		}
		d := describeBatch(name, position, b, h)
		if o.records && d.Error == "" {
			d.addRecords(b)
		}
		bad = bad || d.Error != ""
		count++
		return o.number == 0 || count < o.number, emit(d)
	})
	var broken *brokenSegment
	if errors.As(err, &broken) {
		return true, emit(dumpedBatch{File: name, Position: broken.position, Base: -1, Last: -1, Error: broken.Error()})
	}
	return bad, err
}

func describeBatch(name string, position int64, b []byte, h record.Header) dumpedBatch {
	d := dumpedBatch{File: name, Position: position, Base: int64(h.BaseOffset), Last: int64(h.End()) - 1, Count: h.Count, Bytes: h.Size(),
		LeaderEpoch: int32(h.LeaderEpoch), ProducerID: int64(h.ProducerID), ProducerEpoch: int16(h.ProducerEpoch), BaseSequence: int32(h.BaseSequence),
		Compression: h.Attributes.Compression().String(), BaseTimestamp: int64(h.BaseTimestamp), MaxTimestamp: int64(h.MaxTimestamp),
		LogAppendTime: h.Attributes.LogAppendTime(), Transactional: h.Attributes.Transactional(), Control: h.Attributes.Control(), ChecksumOK: true}
	if err := record.Verify(b); err != nil {
		d.ChecksumOK, d.Error = false, err.Error()
	}
	return d
}

func (d *dumpedBatch) addRecords(b []byte) {
	err := record.Iterate(b, batchMax, func(r record.Record) error {
		p := dumpedRecord{Offset: int64(r.Offset), Timestamp: int64(r.Timestamp)}
		p.Key, p.KeyBase64 = printable(r.Key)
		p.Value, p.ValueBase64 = printable(r.Value)
		for _, h := range r.Headers {
			text, encoded := printable(h.Value)
			p.Headers = append(p.Headers, printedHeader{Key: h.Key, Value: text, ValueBase64: encoded})
		}
		d.Records = append(d.Records, p)
		return nil
	})
	if err != nil {
		d.Error = err.Error()
	}
}

// text prints a batch in one line, and its records below.
func (d dumpedBatch) text(out io.Writer) error {
	if d.Base < 0 {
		_, err := fmt.Fprintf(out, "%s: BROKEN: %s\n", d.File, d.Error)
		return err
	}
	line := fmt.Sprintf("%s@%d offsets %d-%d count %d bytes %d epoch %d codec %s time %d", d.File, d.Position, d.Base, d.Last, d.Count, d.Bytes, d.LeaderEpoch, d.Compression, d.MaxTimestamp)
	if d.ProducerID >= 0 {
		line += fmt.Sprintf(" producer %d/%d sequence %d", d.ProducerID, d.ProducerEpoch, d.BaseSequence)
	}
	for _, mark := range []struct {
		on   bool
		word string
	}{{d.Transactional, " transactional"}, {d.Control, " control"}, {d.LogAppendTime, " log-append-time"}} {
		if mark.on {
			line += mark.word
		}
	}
	if d.Error != "" {
		line += " BROKEN: " + d.Error
	}
	if _, err := fmt.Fprintln(out, line); err != nil {
		return err
	}
	for _, r := range d.Records {
		if _, err := fmt.Fprintf(out, "  %d key %s value %s\n", r.Offset, shown(r.Key, r.KeyBase64), shown(r.Value, r.ValueBase64)); err != nil {
			return err
		}
	}
	return nil
}

func shown(text *string, encoded string) string {
	switch {
	case encoded != "":
		return "base64:" + encoded
	case text == nil:
		return "null"
	}
	return fmt.Sprintf("%q", *text)
}
