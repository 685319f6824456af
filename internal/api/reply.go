package api

import (
	"encoding/binary"
	"sync"

	"holdfast/internal/invariant"
	"holdfast/internal/log"
)

// Reply is one response: bytes, with ranges of log segments between them. The
// server writes it once and releases it.
type Reply struct {
	buf     []byte // four bytes of size, the response header, the body
	files   []placedFile
	silent  bool // nothing is sent (acks=0)
	dropped bool // nothing is sent and the connection is closed
}

// FilePart is a run of bytes of a segment. Its source is retained until the
// reply is released.
type FilePart struct {
	Source   *log.Segment
	Position int64
	Length   int64
}

// placedFile is a file part that follows the first at bytes of the buffer.
type placedFile struct {
	at   int
	part FilePart
}

// replyMax is the largest reply, with its four bytes of size.
const replyMax = 4 + 1<<31 - 1

// replyKeep is the largest buffer that is kept for the next reply, in bytes.
const replyKeep = 64 << 10

var replies = sync.Pool{New: func() any { return &Reply{buf: make([]byte, 0, 512)} }}

// NewReply starts a reply with room for the size and the response header.
func NewReply(r *Request) *Reply {
	reply := replies.Get().(*Reply)
	reply.buf = append(reply.buf[:0], 0, 0, 0, 0)
	reply.buf = r.appendHeader(reply.buf)
	return reply
}

// silentReply answers nothing.
func silentReply() *Reply { return &Reply{silent: true} }

// dropReply closes the connection.
func dropReply() *Reply { return &Reply{dropped: true} }

// Append adds bytes to the body.
func (r *Reply) Append(b []byte) { r.buf = append(r.buf, b...) }

// place puts a file range after what has been written so far.
func (r *Reply) place(p FilePart) {
	r.files = append(r.files, placedFile{at: len(r.buf), part: p})
}

// Silent reports whether nothing is sent.
func (r *Reply) Silent() bool { return r.silent }

// Dropped reports whether the connection is closed instead of a reply.
func (r *Reply) Dropped() bool { return r.dropped }

// Plain reports whether the reply is bytes only.
func (r *Reply) Plain() bool { return len(r.files) == 0 }

// Seal writes the size into the reply and returns the bytes on the wire.
func (r *Reply) Seal() int64 {
	total := int64(len(r.buf))
	for _, f := range r.files {
		total += f.part.Length
	}
	invariant.Check(total-4 <= 1<<31-1, "reply of %d bytes", total)
	binary.BigEndian.PutUint32(r.buf, uint32(total-4))
	return total
}

// Bytes are all bytes of a plain reply.
func (r *Reply) Bytes() []byte { return r.buf }

// Each walks the reply in order: more for bytes that something follows, file for
// ranges, last for the bytes at the end.
func (r *Reply) Each(more func([]byte) error, file func(FilePart) error, last func([]byte) error) error {
	from := 0
	for _, f := range r.files {
		if f.at > from {
			if err := more(r.buf[from:f.at]); err != nil {
				return err
			}
			from = f.at
		}
		if err := file(f.part); err != nil {
			return err
		}
	}
	if from == len(r.buf) {
		return nil
	}
	return last(r.buf[from:])
}

// Release returns buffers and segment handles. The reply must not be used
// afterwards.
func (r *Reply) Release() {
	for _, f := range r.files {
		f.part.Source.Release()
	}
	clear(r.files)
	r.files = r.files[:0]
	if r.silent || r.dropped || cap(r.buf) > replyKeep {
		return
	}
	replies.Put(r)
}
