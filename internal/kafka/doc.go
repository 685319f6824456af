// Package kafka is the vocabulary of the product: one type for every number
// that crosses a package, and the error codes of the Kafka protocol.
//
// It is pure and imports nothing of ours. It knows no wire format and no rule;
// it only gives names. The words are the field's own: leader epoch, high
// watermark, log start offset, ISR, last stable offset (docs/GLOSSARY.md).
//
// Every range is half-open: [start, end). A name that ends in Last is
// inclusive and appears only where the wire demands it.
//
// File map:
//
//	ids.go     broker, topic, partition, cluster and directory identities
//	offset.go  offsets, epochs, sequences and producer numbers
//	errors.go  the protocol's error codes with their names and retriability
package kafka
