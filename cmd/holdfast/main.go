// Command holdfast is the broker, its tools and its console in one binary.
package main

import (
	"os"

	"holdfast/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
