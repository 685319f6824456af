// Package auth is the mutual proof by which a client connection becomes a broker
// connection: both sides know one secret, and neither ever sends it.
//
// It is pure: messages in, messages out; who calls it brings the nonces. It is NOT
// encryption, and it does not protect what is said afterwards: a relay that passes
// the proof on could change every later byte. Where the network is not the
// machine's own, the channel has to be protected in another way
// (docs/decisions/0005-broker-connections.md).
//
//	initiator                                   responder
//	Hello{broker, cluster, nonce}        ->
//	                                     <-     Challenge{broker, cluster, listener, nonce}
//	Proof (role initiator)               ->     verified first
//	verified                             <-     Proof (role responder)
//
// Invariants
//
//  1. A proof covers the role, both nonces, both broker ids, both cluster ids and
//     the name of the listener: none of it can be exchanged for another.
//  2. The initiator proves itself first. Nobody makes the responder compute
//     anything that is of use on another connection.
//  3. A broker refuses its own id and its own nonce on the other side.
//  4. Broker ids and cluster ids are claims until the proof has been verified.
//
// File map
//
//	handshake.go  the two machines
//	proof.go      what is signed
//	secret.go     the secret and its text form
package auth
