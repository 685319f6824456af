package datadir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"holdfast/internal/bin"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// The marker of the broker epoch says that the incarnation with that epoch stopped
// in order: everything that it had was closed and is durable. Registration carries
// the epoch, and only an incarnation that the controller remembers under it keeps
// its places in ISRs (KIP-966). It is a file of its own, so that a directory of a
// version without it reads as stopped in disorder, which is the safe answer.
const (
	markerName = "holdfast.epoch"
	markerMax  = 1 << 10 // bytes that are believed
)

// NoBrokerEpoch is the epoch of an incarnation that did not stop in order.
const NoBrokerEpoch kafka.BrokerEpoch = -1

// encodeMarker binds the epoch to this directory and this start of it: a marker
// that was copied from elsewhere, or left over, is none.
func encodeMarker(id Identity, epoch kafka.BrokerEpoch) []byte {
	b := fmt.Appendf(nil, "version=1\ndirectory.id=%s\nstarts=%d\nbroker.epoch=%d\n", id.DirectoryID, id.Starts, epoch)
	return fmt.Appendf(b, "checksum=%08x\n", bin.CRC32C(b))
}

// decodeMarker returns the epoch of a marker that the last start of the directory
// wrote, NoBrokerEpoch for anything else.
func decodeMarker(b []byte, id Identity) kafka.BrokerEpoch {
	last := id
	last.Starts--
	var epoch kafka.BrokerEpoch
	at := bytes.Index(b, []byte("broker.epoch="))
	if at < 0 {
		return NoBrokerEpoch
	}
	if _, err := fmt.Sscanf(string(b[at:]), "broker.epoch=%d\n", &epoch); err != nil || epoch < 0 {
		return NoBrokerEpoch
	}
	if !bytes.Equal(b, encodeMarker(last, epoch)) {
		return NoBrokerEpoch
	}
	return epoch
}

// takeMarker reads the marker and removes it, durably, before anything is loaded:
// whatever happens from here on is no stop in order.
func (d *Dir) takeMarker() error {
	d.previous, d.epoch = NoBrokerEpoch, NoBrokerEpoch
	name := path.Join(d.o.Dir, markerName)
	b, err := vfs.ReadFile(d.o.Env.FS, name, markerMax)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	epoch := decodeMarker(b, d.identity)
	if err := d.o.Env.FS.Remove(name); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	if err := d.o.Env.FS.SyncDir(d.o.Dir); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	if d.clean { // otherwise something was left open
		d.previous = epoch
	}
	return nil
}

// PreviousEpoch is the broker epoch of the incarnation that stopped in order last,
// NoBrokerEpoch when the last stop was none.
func (d *Dir) PreviousEpoch() kafka.BrokerEpoch { return d.previous }

// SetEpoch says under which broker epoch a stop in order is noted. It is called
// before Close, and only when every log of the broker was loaded whole and nothing
// of it failed; NoBrokerEpoch notes none.
func (d *Dir) SetEpoch(epoch kafka.BrokerEpoch) { d.epoch = epoch }

// storeMarker is the last thing that a stop in order writes.
func (d *Dir) storeMarker() error {
	if d.epoch == NoBrokerEpoch {
		return nil
	}
	return vfs.WriteFile(d.o.Env.FS, path.Join(d.o.Dir, markerName), encodeMarker(d.identity, d.epoch))
}
