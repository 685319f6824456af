package meta

import (
	"iter"
	"slices"
	"sort"
)

// chunkMax is the largest chunk of an ordered map. A change copies one chunk and
// the list of chunks: with 10,000 entries about 64 and 250 elements.
const chunkMax = 64

// ordered is a sorted map that never changes: set and delete return another one
// and share what they did not touch. It is a list of sorted chunks, none empty.
// The zero value without compare is not usable.
type ordered[K, V any] struct {
	compare func(a, b K) int
	chunks  [][]entry[K, V]
	size    int
}

type entry[K, V any] struct {
	key   K
	value V
}

func newOrdered[K, V any](compare func(a, b K) int) ordered[K, V] {
	return ordered[K, V]{compare: compare}
}

// find returns the chunk that holds key, or would hold it, and the place in it.
func (o ordered[K, V]) find(key K) (chunk, at int, found bool) {
	// The last chunk whose first key is at or below key.
	chunk = sort.Search(len(o.chunks), func(i int) bool { return o.compare(o.chunks[i][0].key, key) > 0 }) - 1
	if chunk < 0 {
		return 0, 0, false
	}
	at, found = slices.BinarySearchFunc(o.chunks[chunk], key, func(e entry[K, V], k K) int { return o.compare(e.key, k) })
	return chunk, at, found
}

func (o ordered[K, V]) get(key K) (v V, ok bool) {
	chunk, at, found := o.find(key)
	if !found {
		return v, false
	}
	return o.chunks[chunk][at].value, true
}

func (o ordered[K, V]) set(key K, value V) ordered[K, V] {
	chunk, at, found := o.find(key)
	e := entry[K, V]{key, value}
	if len(o.chunks) == 0 {
		return ordered[K, V]{o.compare, [][]entry[K, V]{{e}}, 1}
	}
	old := o.chunks[chunk]
	if found {
		c := slices.Clone(old)
		c[at] = e
		chunks := slices.Clone(o.chunks)
		chunks[chunk] = c
		return ordered[K, V]{o.compare, chunks, o.size}
	}
	c := make([]entry[K, V], 0, len(old)+1)
	c = append(append(append(c, old[:at]...), e), old[at:]...)
	chunks := make([][]entry[K, V], 0, len(o.chunks)+1)
	chunks = append(chunks, o.chunks[:chunk]...)
	if len(c) > chunkMax {
		half := len(c) / 2
		chunks = append(chunks, c[:half:half], c[half:])
	} else {
		chunks = append(chunks, c)
	}
	chunks = append(chunks, o.chunks[chunk+1:]...)
	return ordered[K, V]{o.compare, chunks, o.size + 1}
}

func (o ordered[K, V]) delete(key K) ordered[K, V] {
	chunk, at, found := o.find(key)
	if !found {
		return o
	}
	chunks := make([][]entry[K, V], 0, len(o.chunks))
	chunks = append(chunks, o.chunks[:chunk]...)
	if len(o.chunks[chunk]) > 1 {
		chunks = append(chunks, slices.Delete(slices.Clone(o.chunks[chunk]), at, at+1))
	}
	chunks = append(chunks, o.chunks[chunk+1:]...)
	return ordered[K, V]{o.compare, chunks, o.size - 1}
}

// change sets a key, or deletes it where gone is true.
type change[K, V any] struct {
	entry[K, V]
	gone bool
}

// chunkFill is how full a merge leaves the chunks, so that a few more keys do not
// split every one of them.
const chunkFill = chunkMax * 3 / 4

// with returns the map after the changes, each to another key. It sorts changes.
// A few are made one by one; many, as when a snapshot is loaded or a broker with
// thousands of partitions restarts, in one pass over everything: one by one they
// would copy the list of chunks each time.
func (o ordered[K, V]) with(changes []change[K, V]) ordered[K, V] {
	if len(changes) <= 1+len(o.chunks)/8 {
		for _, c := range changes {
			if c.gone {
				o = o.delete(c.key)
			} else {
				o = o.set(c.key, c.value)
			}
		}
		return o
	}
	slices.SortFunc(changes, func(a, b change[K, V]) int { return o.compare(a.key, b.key) })
	out := ordered[K, V]{compare: o.compare}
	for _, chunk := range o.chunks {
		for _, e := range chunk {
			for len(changes) > 0 && o.compare(changes[0].key, e.key) < 0 {
				out.pushChange(changes[0])
				changes = changes[1:]
			}
			if len(changes) > 0 && o.compare(changes[0].key, e.key) == 0 {
				out.pushChange(changes[0])
				changes = changes[1:]
				continue
			}
			out.push(e)
		}
	}
	for _, c := range changes {
		out.pushChange(c)
	}
	return out
}

func (o *ordered[K, V]) pushChange(c change[K, V]) {
	if !c.gone {
		o.push(c.entry)
	}
}

// push adds the largest key to a map that nobody else has yet.
func (o *ordered[K, V]) push(e entry[K, V]) {
	last := len(o.chunks) - 1
	if last < 0 || len(o.chunks[last]) == chunkFill {
		o.chunks = append(o.chunks, make([]entry[K, V], 0, chunkFill))
		last++
	}
	o.chunks[last] = append(o.chunks[last], e)
	o.size++
}

// values goes over the values in the order of their keys.
func (o ordered[K, V]) values() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, c := range o.chunks {
			for _, e := range c {
				if !yield(e.value) {
					return
				}
			}
		}
	}
}
