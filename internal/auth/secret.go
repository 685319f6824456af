package auth

import (
	"encoding/hex"
	"errors"
	"strings"
)

// SecretBytes is the length of a secret that Holdfast draws, and the least of one
// that it accepts.
const SecretBytes = 32

// secretBytesMax bounds a secret that an operator has written.
const secretBytesMax = 1024

// Secret is what the brokers of a cluster share. The zero Secret is none.
type Secret struct{ key []byte }

// ErrSecret says that a text is no secret.
var ErrSecret = errors.New("a broker secret is 64 or more hexadecimal digits")

// NewSecret draws a secret.
func NewSecret(r interface{ Read([]byte) }) Secret {
	key := make([]byte, SecretBytes)
	r.Read(key)
	return Secret{key}
}

// ParseSecret reads the text that Text writes; space around it does not count. The
// error never shows the text.
func ParseSecret(text string) (Secret, error) {
	text = strings.TrimSpace(text)
	if len(text) > 2*secretBytesMax {
		return Secret{}, ErrSecret
	}
	key, err := hex.DecodeString(text)
	if err != nil || len(key) < SecretBytes {
		return Secret{}, ErrSecret
	}
	return Secret{key}, nil
}

// Text is the secret as its file holds it, with a newline at the end.
func (s Secret) Text() string { return hex.EncodeToString(s.key) + "\n" }

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return len(s.key) == 0 }

// String hides the secret, so that no log shows it.
func (s Secret) String() string { return "(broker secret)" }

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }
