package journal

import (
	"errors"
	"fmt"
	"path"

	"holdfast/internal/vfs"
)

// Save writes a file that holds just these entries, in the format of a ring, and
// moves it to o.Name: a crash leaves the old file or the new one. It is for
// entries that nobody can take over now and that must not block a ring.
func Save(o Options, entries []Entry) error {
	rounds := split(entries)
	final := o.Name
	o.Name, o.Size, o.tiny = final+".saving", ringStart+RoundMax, false
	for _, r := range rounds {
		o.Size += r.Bytes()
	}
	if err := o.FS.RemoveAll(o.Name); err != nil { // of a crash
		return fmt.Errorf("save journal entries: %w", err)
	}
	j := prepare(o)
	j.first = o.Size // all of it is prewritten
	err := j.create()
	for i := 0; i < len(rounds) && err == nil; i++ {
		_, err = j.Commit(rounds[i])
	}
	if j.file != nil {
		err = errors.Join(err, j.Close(false))
	}
	if err == nil {
		err = o.FS.Rename(o.Name, final)
	}
	if err == nil {
		err = o.FS.SyncDir(path.Dir(final))
	}
	if err != nil {
		return fmt.Errorf("save journal entries: %w", err)
	}
	return nil
}

// Load returns what Save wrote.
func Load(fsys vfs.FS, name string) ([]Entry, error) {
	j, r, err := Open(Options{FS: fsys, Name: name, MustExist: true})
	if err != nil {
		return nil, err
	}
	return r.Entries, j.Close(false)
}

// split distributes entries over as few rounds as they need.
func split(entries []Entry) []*Round {
	rounds := []*Round{{}}
	for i := range entries {
		last := rounds[len(rounds)-1]
		if !last.Fits(len(entries[i].Payload)) {
			last = &Round{}
			rounds = append(rounds, last)
		}
		last.Add(&entries[i], entries[i].Payload)
	}
	return rounds
}
