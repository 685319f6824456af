package record

import "holdfast/internal/kafka"

// Recompress gives the batch that ValidateProduce accepted, with header h, the
// codec of a topic whose compression.type names one. A batch that already has
// the codec is returned as it is, whatever its level, as Kafka does; otherwise
// the result is a new slice with its own header. The new batch may be the
// larger one, so that r.MaxBytes is applied again. Errors are *Rejection.
func Recompress(b []byte, h Header, c Compression, r Rules) ([]byte, Header, error) {
	from := h.Attributes.Compression()
	if from == c.Codec {
		return b, h, nil
	}
	records := b[HeaderSize:]
	if from != None {
		var err error
		if records, err = Decompress(nil, from, records, r.maxDecompressed()); err != nil {
			return nil, Header{}, rejectRecords(err)
		}
	}
	out, err := Compress(make([]byte, HeaderSize, HeaderSize+len(records)), c, records)
	if err != nil {
		return nil, Header{}, reject(kafka.ErrUnsupportedCompressionType, "%v", err)
	}
	h.Attributes = h.Attributes&^attrCodecMask | Attributes(c.Codec)
	h = seal(out, h)
	if r.MaxBytes > 0 && h.Size() > r.MaxBytes {
		return nil, Header{}, reject(kafka.ErrMessageTooLarge,
			"The record batch has %d bytes with the topic's compression; max.message.bytes allows %d.", h.Size(), r.MaxBytes)
	}
	return out, h, nil
}
