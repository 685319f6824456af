package record

import "fmt"

// Codec is how the records of a batch are compressed. Its number is the one in
// the batch's attributes.
type Codec uint8

// The codecs of the format.
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

// Valid reports whether c is a codec of the format.
func (c Codec) Valid() bool { return c <= Zstd }

// String is the codec's name in topic configs.
func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec-%d", uint8(c))
}

// ParseCodec reads a codec's name; "uncompressed" is None, as in topic configs.
func ParseCodec(name string) (Codec, error) {
	for c := None; c <= Zstd; c++ {
		if c.String() == name {
			return c, nil
		}
	}
	if name == "uncompressed" {
		return None, nil
	}
	return None, fmt.Errorf("parse codec %q: unknown", name)
}
