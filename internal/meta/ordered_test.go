package meta

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestOrdered_IsASortedMap compares with a plain map, and checks that older maps
// stay what they were.
func TestOrdered_IsASortedMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOrdered[int, int](cmp.Compare[int])
		want := map[int]int{}
		type past struct {
			o    ordered[int, int]
			want map[int]int
		}
		var pasts []past
		for n := range rapid.IntRange(0, 600).Draw(t, "steps") {
			if n%40 == 39 {
				o = o.with(manyChanges(t, want, n))
			}
			key := rapid.IntRange(0, 300).Draw(t, "key")
			if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
				o = o.delete(key)
				delete(want, key)
			} else {
				o = o.set(key, n)
				want[key] = n
			}
			if n%100 == 0 {
				pasts = append(pasts, past{o, maps.Clone(want)})
			}
		}
		for _, p := range append(pasts, past{o, want}) {
			if err := p.o.check(p.want); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// manyChanges draws changes of different keys, in any order, and makes them in want.
func manyChanges(t *rapid.T, want map[int]int, value int) (out []change[int, int]) {
	for key := range rapid.MapOfN(rapid.IntRange(-50, 350), rapid.Bool(), 0, 60).Draw(t, "many") {
		gone := (key+value)%3 == 0
		out = append(out, change[int, int]{entry[int, int]{key, value}, gone})
		if gone {
			delete(want, key)
		} else {
			want[key] = value
		}
	}
	return out
}

func (o ordered[K, V]) check(want map[int]int) error {
	var keys []int
	for _, c := range o.chunks {
		if len(c) == 0 || len(c) > chunkMax {
			return fmt.Errorf("a chunk of %d", len(c))
		}
		for _, e := range c {
			keys = append(keys, any(e.key).(int))
		}
	}
	if o.size != len(want) || !slices.Equal(keys, slices.Sorted(maps.Keys(want))) {
		return fmt.Errorf("keys %v of %d, want %v", keys, o.size, slices.Sorted(maps.Keys(want)))
	}
	for k, v := range want {
		if got, ok := o.get(any(k).(K)); !ok || any(got).(int) != v {
			return fmt.Errorf("key %d: %v %v, want %d", k, got, ok, v)
		}
	}
	return nil
}
