package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is what was built: the module's version, or the commit.
func (p Program) version() string {
	if p.Version != "" {
		return p.Version
	}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := build.Main.Version
	if text == "" {
		text = "(devel)"
	}
	for _, s := range build.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && text == "(devel)" {
			text = s.Value[:12]
		}
	}
	return text
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Show what this is", Example: "  holdfast version\n  holdfast version -O json", Args: words(0, 0), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: run(func(*cobra.Command, []string) error {
			v := struct {
				Version  string `json:"version"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{a.version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return a.print(listing{value: v, text: func(bool) error {
				_, err := fmt.Fprintf(a.Streams.Out, "holdfast %s (%s, %s)\n", v.Version, v.Go, v.Platform)
				return err
			}})
		})}
	a.outputFlag(cmd)
	return cmd
}
