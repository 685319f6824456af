package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (a *app) apiCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "api", Aliases: []string{"api-versions"}, Short: "Show which requests the broker takes, in which versions", Args: words(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Show which requests of Kafka's protocol each broker takes, in which versions, beside
the highest version that this program speaks. USED is the version that the two use
with each other; "-" where they have none in common.`,
		Example: "  holdfast api\n  holdfast api -b kafka-1:9092 -O json",
		RunE:    run(func(cmd *cobra.Command, _ []string) error { return a.ask(cmd, a.listAPIs) })}
	a.outputFlag(cmd)
	a.clientFlags(cmd)
	return cmd
}

// listedAPI is one request of one broker.
type listedAPI struct {
	Broker int32  `json:"broker"`
	Key    int16  `json:"key"`
	Name   string `json:"name"`
	Min    int16  `json:"min"`
	Max    int16  `json:"max"`
	Client int16  `json:"client_max"` // -1: this program does not know the request
	Used   int16  `json:"used"`       // -1: no version in common
}

func (a *app) listAPIs(ctx context.Context, adm *kadm.Client) error {
	brokers, err := adm.ApiVersions(ctx)
	if err != nil {
		return err
	}
	list := []listedAPI{}
	var rows []any
	for _, b := range brokers.Sorted() {
		if b.Err != nil {
			return fmt.Errorf("broker %d: %w", b.NodeID, b.Err)
		}
		b.EachKeySorted(func(key, least, most int16) {
			row := listedAPI{Broker: b.NodeID, Key: key, Name: kmsg.NameForKey(key), Min: least, Max: most, Client: -1, Used: -1}
			if r := kmsg.RequestForKey(key); r != nil {
				row.Client = r.MaxVersion()
			}
			if used := min(row.Client, most); used >= least {
				row.Used = used
			}
			list, rows = append(list, row), append(rows, row)
		})
	}
	return a.print(listing{value: list, rows: rows, text: func(bool) error {
		var grid [][]any
		for _, r := range list {
			grid = append(grid, []any{r.Broker, r.Key, r.Name, r.Min, r.Max, orDash(r.Client), orDash(r.Used)})
		}
		return a.grid([]any{"BROKER", "KEY", "REQUEST", "MIN", "MAX", "CLIENT", "USED"}, grid)
	}})
}

func orDash(n int16) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
