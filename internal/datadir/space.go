package datadir

import (
	"fmt"
	"time"
)

// The reserve: a hundredth of the file system within these bounds, and never
// more than an eighth of it.
const (
	reserveMin = 32 << 20
	reserveMax = 1 << 30
	spaceEvery = time.Second
)

// reserve is the free space that is kept, in bytes.
func (d *Dir) reserve() int64 {
	if d.o.ReserveBytes > 0 {
		return d.o.ReserveBytes
	}
	total := d.total.Load()
	return max(1, min(max(total/100, reserveMin), reserveMax, total/8))
}

// look asks how much space is free. Writes are refused below the reserve and
// accepted again when a quarter more than the reserve is free, so that the state
// does not flutter.
func (d *Dir) look() error {
	free, total, err := d.o.Env.FS.Space(d.o.Dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", d.o.Dir, err)
	}
	d.free.Store(free)
	d.total.Store(total)
	reserve := d.reserve()
	switch was := d.full.Load(); {
	case !was && free < reserve:
		d.full.Store(true)
		d.o.Log.Warn("disk is nearly full: writes are refused with a retriable error, reads go on", "dir", d.o.Dir, "free_bytes", free, "reserve_bytes", reserve)
	case was && free >= reserve+reserve/4:
		d.full.Store(false)
		d.o.Log.Info("disk has space again: writes are accepted", "dir", d.o.Dir, "free_bytes", free)
	}
	return nil
}

// lookSoon asks for a look at the free space: something found the disk full.
func (d *Dir) lookSoon() {
	select {
	case d.doubt <- struct{}{}:
	default:
	}
}

// Full reports whether free space is below the reserve.
func (d *Dir) Full() bool { return d.full.Load() }

// Space returns the free bytes and the size of the file system, as seen last.
func (d *Dir) Space() (free, total int64) { return d.free.Load(), d.total.Load() }
