// Package api answers Kafka requests: one file per API key, each of which
// decodes, asks for authorisation, calls the rooms below and encodes the reply.
// It is the only place that answers in Kafka error codes.
//
// What it is not: it owns no connection (server does) and decides nothing about
// the cluster (controller does).
//
// A request is handled in two stages. Begin runs in request order on the
// connection's reader and must not wait; what it returns is a reply or a Pending.
// Finish runs on the connection's writer when the request is first in line, as
// often as it takes, and builds the reply when everything it waits for has
// happened. Pipelined produces therefore overlap their flushes.
//
// Invariants
//
//  1. A request's bytes are used during Begin only; whatever outlives it is
//     copied.
//  2. Unknown keys and versions close the connection, except ApiVersions, which
//     is answered in version 0 (KIP-511).
//  3. Replica ids of 0 and above and broker-internal keys are refused on a client
//     connection. A connection becomes a broker's by proof only (package auth),
//     and a broker speaks for itself only.
//
// File map
//
//	api.go            the API type, requests, dispatch
//	door.go           what a server calls: brokers prove themselves, clients pass
//	private.go        what brokers ask beside the API of clients
//	table.go          the table of APIs: key, versions, handler
//	reply.go          replies: bytes and file ranges
//	run.go            requests that wait for the controller or a disk
//	authorize.go      the one place where authorisation is asked
//	acks.go           acks.policy
//	configs.go        what changes of settings have in common
//	delegation_tokens.go  keys 38 to 41, refused
//	session.go        fetch sessions (KIP-227)
//	fetch_reply.go    replies of Fetch, encoded by hand
//	hints.go          who leads what somebody asked us for (KIP-951)
//	NN_name.go        one API each
package api
