package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"holdfast/internal/kafka"
)

// Nonce is drawn anew for every connection by each side.
type Nonce [32]byte

// Proof is what only a holder of the secret can compute.
type Proof [sha256.Size]byte

// role is whose proof it is.
type role byte

const (
	roleInitiator role = 1
	roleResponder role = 2
)

// context is the first thing that is signed: what the bytes are for. A change of
// what is signed needs another one.
const context = "holdfast broker connection, version 1"

// transcript is what both sides know of one connection.
type transcript struct {
	initiator, responder Identity
	nonces               [2]Nonce // the initiator's, the responder's
	listener             string
}

// prove signs the transcript. Every part has a fixed length or its length before
// it, so that no two transcripts are the same bytes.
func (t transcript) prove(s Secret, r role) Proof {
	b := make([]byte, 0, 256)
	b = append(b, context...)
	b = append(b, 0, byte(r))
	b = append(b, t.nonces[0][:]...)
	b = append(b, t.nonces[1][:]...)
	b = t.initiator.append(b)
	b = t.responder.append(b)
	b = binary.BigEndian.AppendUint32(b, uint32(len(t.listener)))
	b = append(b, t.listener...)
	mac := hmac.New(sha256.New, s.key)
	mac.Write(b)
	return Proof(mac.Sum(nil))
}

// Identity is who a broker says it is.
type Identity struct {
	Broker kafka.BrokerID
	// Cluster is zero for a broker that belongs to none yet.
	Cluster kafka.ClusterID
}

func (i Identity) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(i.Broker))
	return append(b, i.Cluster[:]...)
}
