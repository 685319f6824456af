package sim

import "context"

// background is the context of what does not wait in this world: nothing does.
func background() context.Context { return context.Background() }
