package sim

import (
	"context"
	"sync"
	"sync/atomic"
)

// background is the context of what does not wait in this world: nothing does.
func background() context.Context { return context.Background() }

// Campaign runs worlds from the seed of the options on, some side by side, and tells
// of each, one at a time. It ends when tell returns false. A world is no less
// repeatable for others beside it.
func Campaign(o Options, worlds uint64, workers int, tell func(Result) bool) {
	var (
		mu    sync.Mutex
		next  atomic.Uint64
		ended atomic.Bool
		group sync.WaitGroup
	)
	for range max(workers, 1) {
		group.Go(func() {
			for n := next.Add(1) - 1; n < worlds && !ended.Load(); n = next.Add(1) - 1 {
				mine := o
				mine.Seed += n
				r := Run(mine)
				mu.Lock()
				if !ended.Load() && !tell(r) {
					ended.Store(true)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
}
