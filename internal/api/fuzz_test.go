package api_test

import (
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzRequest throws any key, version and body at a broker. Goal: it neither
// panics nor stops answering others, and unless the bytes are a produce request
// nothing is stored.
func FuzzRequest(f *testing.F) {
	l := startLive(f)
	f.Cleanup(func() { l.t = f; l.stop() })
	watch := l.dial()
	watch.createTopic("t", 1)
	watch.createTopic("barrier", 1)
	for _, row := range rows(watch) {
		for v := row.MinVersion; v <= row.MaxVersion; v++ {
			f.Add(row.ApiKey, v, frame(empty(row.ApiKey, v), 1)[18:])
		}
	}
	f.Add(int16(0), int16(9), frame(produceTo(9, -1, "t", one("v")), 1)[18:])
	f.Add(int16(1), int16(12), frame(fetchFrom(0, nil), 1)[18:])
	end := watch.end("t")
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		l.t, watch.t = t, t
		if key == int16(kmsg.DeleteTopics) {
			return // may be right, and then "t" is gone
		}
		b := binary.BigEndian.AppendUint32(nil, uint32(8+6+len(body)))
		b = binary.BigEndian.AppendUint16(b, uint16(key))
		b = binary.BigEndian.AppendUint16(b, uint16(version))
		b = binary.BigEndian.AppendUint32(b, 1)
		b = append(append(b, 0, 4, 't', 'e', 's', 't'), body...)
		c := l.dial()
		_, _ = c.c.Write(b)
		_ = c.c.(interface{ CloseWrite() error }).CloseWrite()
		_, _, _ = c.read() // an answer, or the end
		_ = c.c.Close()
		if key == int16(kmsg.Produce) {
			// What it stored without an answer is committed before this is.
			ask[*kmsg.ProduceResponse](watch, produceTo(9, -1, "barrier", one("v")))
		}
		now := watch.end("t")
		if now != end && key != int16(kmsg.Produce) {
			t.Errorf("key %d version %d moved the log end from %d to %d", key, version, end, now)
		}
		end = now
	})
}
