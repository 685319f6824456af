package datadir

import (
	"fmt"
	"strings"
	"testing"

	"holdfast/internal/bin"
	"holdfast/internal/kafka"
)

// TestIdentity_OfAVersionWithoutTheFoundedMark: the line is young. A directory
// without it is read, and has it from its next start on; nonsense is refused.
func TestIdentity_OfAVersionWithoutTheFoundedMark(t *testing.T) {
	id := Identity{ClusterID: kafka.ClusterID{1}, NodeID: 3, DirectoryID: kafka.DirectoryID{2}, Starts: 9, Founded: true}
	text, _, _ := strings.Cut(string(id.encode()), "holdfast.checksum=")
	sealed := func(s string) []byte {
		return fmt.Appendf([]byte(s), "holdfast.checksum=%08x\n", bin.CRC32C([]byte(s)))
	}
	old, err := decodeIdentity(sealed(strings.Replace(text, "holdfast.founded=true\n", "", 1)))
	want := id
	want.Founded = false
	if err != nil || old != want {
		t.Errorf("%+v, %v, want %+v", old, err, want)
	}
	if got, err := decodeIdentity(sealed(text)); err != nil || got != id {
		t.Errorf("%+v, %v, want %+v", got, err, id)
	}
	if got, err := decodeIdentity(sealed(strings.Replace(text, "founded=true", "founded=perhaps", 1))); err == nil {
		t.Errorf("nonsense was read as %+v", got)
	}
}
