package cli

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"holdfast/internal/clock"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

const (
	// watchEvery is the pause between two looks of --watch.
	watchEvery = time.Second
	// watchAnswerMax bounds one look: a broker that is paused must not stop the watch.
	watchAnswerMax = 10 * time.Second
	// home puts the cursor of a terminal into its first corner and clears the rest.
	home = "\x1b[H\x1b[2J"
)

// watch asks again and again until a signal, which is no failure. A terminal is
// drawn anew each time; elsewhere one answer follows the other. What fails once is
// told, and asked again.
func (a *app) watch(cmd *cobra.Command, f func(ctx context.Context, adm *kadm.Client) error) error {
	ctx, cancel := a.interruptible(cmd.Context())
	defer cancel()
	adm, c, err := a.admin(ctx)
	if err != nil {
		return err
	}
	defer adm.Close()
	out := a.Streams.Out
	defer func() { a.Streams.Out = out }()
	for ctx.Err() == nil {
		var page bytes.Buffer
		a.Streams.Out = &page
		one, stop := context.WithTimeout(ctx, watchAnswerMax)
		err := f(one, adm)
		stop()
		if ctx.Err() != nil {
			return nil
		}
		if a.Streams.OutTTY {
			fmt.Fprint(out, home)
		}
		if err != nil {
			a.talk("%s: %v; asking again", a.Streams.Clock.Now().Format("15:04:05"), explain(c.brokers, err))
		}
		if _, err := out.Write(page.Bytes()); err != nil {
			return err
		}
		_ = clock.Wait(ctx, a.Streams.Clock, watchEvery, nil) // the loop looks at ctx
	}
	return nil
}
