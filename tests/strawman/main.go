//go:build rig

// Command strawman is a substitute broker with which the rigs prove
// themselves: honest without -fault, a liar with one. It is franz-go's fake
// broker on a directory, and has no other use.
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"log"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/twmb/franz-go/pkg/kfake"
)

// tornTail is how many bytes of each log an unwritten acknowledgement costs.
const tornTail = 4096

func main() {
	dir := flag.String("dir", "", "data directory")
	addr := flag.String("addr", "", "host:port to listen on")
	fault := flag.String("fault", "", "ack-before-write, no-fsync or no-producer-table")
	flag.Parse()
	if err := serve(*dir, *addr, *fault); err != nil {
		log.Fatal(err)
	}
}

func serve(dir, addr, fault string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.Ports(n), kfake.DataDir(dir)}
	switch fault {
	case "":
		opts = append(opts, kfake.SyncWrites())
	case "no-fsync":
	case "no-producer-table":
		opts = append(opts, kfake.SyncWrites())
		os.Remove(filepath.Join(dir, "pids.log"))
	case "ack-before-write":
		if err := tear(dir); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown fault %q", fault)
	}
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		return err
	}
	fmt.Println("ready", c.ListenAddrs())
	select {}
}

// tear cuts the end of every log, as if the process had died between its
// acknowledgements and the writes.
func tear(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".dat" {
			return nil
		}
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, max(0, st.Size()-tornTail))
	})
}
