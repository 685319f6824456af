// Package wire is the Kafka protocol: one Go structure for every message of the
// keys 0 to 94, with a decoder and an encoder for every version. The keys from
// 30000 on are not Kafka's: brokers speak them among themselves.
//
// It is pure. It is NOT a connection, a version policy or a session: which
// versions are advertised, who may send what and what an answer says is decided
// in package api. Record batches are opaque bytes here (package record).
//
// The code in gen_*.go is written by internal/wire/gen from the files in schema:
//
//	go run ./internal/wire/gen          write
//	go run ./internal/wire/gen -check   compare
//
// # Schema
//
// One file per API, members of a structure indented below it.
//
//	api NAME KEY versions 0-MAX flexible N+ [name KAFKANAME]
//	api NAME KEY versions 0-MAX rigid       no version has tagged fields
//	limits cap BYTES factor N               instead of the computed limits
//	request                                 the members of NAMERequest follow
//	response                                the members of NAMEResponse follow
//	struct NAME                             a structure used in several places
//	enum NAME int8                          "Value: number" lines follow
//
// A member is "Name: type" with optional attributes:
//
//	bool int8 int16 int32 int64 uint16 float64 uuid string bytes
//	struct          a nested structure, its Go type is parent + Name
//	[]Element       an array of structures, Go type parent + Element
//	[]int32         an array of values
//	&Name           a shared structure or an enum; []&Name an array of it
//	?type           null is legal; ?3:type since version 3
//	= value         the default when the field is absent
//	@3+  @0-12      the field is on the wire in these versions only
//	#0              a tagged field
//
// # Invariants
//
//  1. Decode consumes the whole body or fails; it never panics.
//  2. Decode starts from the defaults. Known tagged fields are decoded, unknown
//     ones are skipped. Tags must ascend.
//  3. Decode allocates at most DecodeFactor bytes per byte of the body plus
//     BudgetSlack, counted before each allocation. For every request but Produce
//     the frame cap times the factor is at most 64 MiB. The computed factors
//     admit every valid body; the declared ones (Produce and some group
//     requests) refuse bodies made of very many nearly empty elements.
//  4. Byte fields are sub-slices of the body, strings are copies: the body's
//     buffer may be used again once no byte field is in use.
//  5. Append needs no memory beyond dst, and writes a tagged field only when it
//     differs from its default.
//  6. Fields of a version that does not have them are ignored by Append and hold
//     their defaults after Decode.
//
// A Fetch response with many megabytes of records is not built with Append: api
// writes the fields between the records itself with package bin and sends the
// records from their files. Append remains the description of that layout, and
// tests compare the two.
//
// Names of types and fields are those that Go clients of Kafka know
// (ProduceRequestTopicPartition). Members of a Go structure are ordered by
// alignment, not as on the wire, to save memory.
//
// File map:
//
//	message.go   interfaces, table of APIs, limits
//	codec.go     what generated code calls
//	header.go    request and response headers
//	errors.go    DecodeError, VersionError
//	gen_table.go keys, table, constructors (generated)
//	gen_enums.go named numbers (generated)
//	gen_NN_*.go  one API each (generated)
//
// KIPs: 482 (flexible versions), 511 (ApiVersions header), 516 (topic ids).
package wire
