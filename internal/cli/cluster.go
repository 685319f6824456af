package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func (a *app) clusterCommand() *cobra.Command {
	info := &cobra.Command{Use: "info", Short: "Show the cluster's id and brokers", Args: words(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		Example: "  holdfast cluster info\n  holdfast cluster info -b broker-1:9092 -O json",
		RunE:    run(func(cmd *cobra.Command, _ []string) error { return a.ask(cmd, a.clusterInfo) })}
	a.outputFlag(info)
	a.clientFlags(info)
	return parent("cluster", "Ask about the cluster", nil, info, a.clusterHealthCommand())
}

type clusterInfo struct {
	Cluster         string          `json:"cluster_id"`
	Controller      int32           `json:"controller"`
	Brokers         []clusterBroker `json:"brokers"`
	Topics          int             `json:"topics"`
	Partitions      int             `json:"partitions"`
	Leaderless      int             `json:"leaderless_partitions"`
	UnderReplicated int             `json:"under_replicated_partitions"`
}

type clusterBroker struct {
	ID         int32  `json:"id"`
	Host       string `json:"host"`
	Port       int32  `json:"port"`
	Rack       string `json:"rack,omitempty"`
	Controller bool   `json:"controller"`
}

func (a *app) clusterInfo(ctx context.Context, adm *kadm.Client) error {
	m, err := adm.Metadata(ctx)
	if err != nil {
		return err
	}
	info := clusterInfo{Cluster: m.Cluster, Controller: m.Controller, Brokers: []clusterBroker{}}
	for _, b := range m.Brokers {
		row := clusterBroker{ID: b.NodeID, Host: b.Host, Port: b.Port, Controller: b.NodeID == m.Controller}
		if b.Rack != nil {
			row.Rack = *b.Rack
		}
		info.Brokers = append(info.Brokers, row)
	}
	for _, t := range m.Topics {
		info.Topics++
		for _, p := range t.Partitions {
			info.Partitions++
			if p.Leader < 0 {
				info.Leaderless++
			}
			if len(p.ISR) < len(p.Replicas) {
				info.UnderReplicated++
			}
		}
	}
	return a.print(listing{value: info, text: func(bool) error {
		fmt.Fprintf(a.Streams.Out, "Cluster:           %s\nTopics:            %d\nPartitions:        %d\nLeaderless:        %d\nUnder-replicated:  %d\n\n",
			info.Cluster, info.Topics, info.Partitions, info.Leaderless, info.UnderReplicated)
		var grid [][]any
		for _, b := range info.Brokers {
			mark := ""
			if b.Controller {
				mark = "controller"
			}
			grid = append(grid, []any{b.ID, b.Host, b.Port, b.Rack, mark})
		}
		return a.grid([]any{"BROKER", "HOST", "PORT", "RACK", ""}, grid)
	}})
}
