package record

// Recompress returns the one whole batch in b with its records compressed by c,
// for a topic whose compression.type names a codec. A batch that already has
// the codec is returned as it is, whatever its level, as Kafka does; otherwise
// the result is a new slice. b was validated before. The new batch may be
// larger than b: the caller applies max.message.bytes again. At most limit
// bytes are decompressed; zero means MaxDecompressedDefault.
func Recompress(b []byte, c Compression, limit int) ([]byte, Header, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return nil, Header{}, err
	}
	if len(b) != h.Size() {
		return nil, Header{}, corrupt(h.BaseOffset, ErrTruncated, "%d bytes of %d", len(b), h.Size())
	}
	from := h.Attributes.Compression()
	if from == c.Codec {
		return b, h, nil
	}
	records := b[HeaderSize:]
	if from != None {
		records, err = Decompress(nil, from, records, orDefault(limit))
		if err != nil {
			return nil, Header{}, &CorruptionError{Base: h.BaseOffset, Cause: err}
		}
	}
	out, err := Compress(make([]byte, HeaderSize, HeaderSize+len(records)), c, records)
	if err != nil {
		return nil, Header{}, err
	}
	h.Attributes = h.Attributes&^attrCodecMask | Attributes(c.Codec)
	seal(out, h)
	h, err = ParseHeader(out)
	return out, h, err
}
