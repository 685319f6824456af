package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"holdfast/internal/kafka"
	"holdfast/tests/rig"
)

// links are the directed links between brokers. What is cut is written into one
// file for each broker, which the faulty build reads: the broker that dialled a
// connection loses what leaves it, what arrives on it, or both, in silence.
// Clients are never cut off.
//
//	cut 1 -> 2    1's connections to 2 lose what 1 writes;
//	              2's connections to 1 lose what 2 would read
type links struct {
	dir     string
	address map[kafka.BrokerID]string
	cut     map[[2]kafka.BrokerID]bool
}

func newLinks(dir string, members []rig.Member) *links {
	l := &links{dir: dir, address: map[kafka.BrokerID]string{}, cut: map[[2]kafka.BrokerID]bool{}}
	for _, m := range members {
		l.address[kafka.BrokerID(m.ID)] = m.Addr
	}
	return l
}

func (l *links) file(id kafka.BrokerID) string {
	return filepath.Join(l.dir, fmt.Sprintf("cuts-%d", id))
}

// write replaces the file of every broker.
func (l *links) write() error {
	for id := range l.address {
		var lines []string
		for pair := range l.cut {
			if pair[0] == id {
				lines = append(lines, "to "+l.address[pair[1]]+"\n")
			}
			if pair[1] == id {
				lines = append(lines, "from "+l.address[pair[0]]+"\n")
			}
		}
		sort.Strings(lines)
		if err := os.WriteFile(l.file(id)+".new", []byte(strings.Join(lines, "")), 0o600); err != nil {
			return err
		}
		if err := os.Rename(l.file(id)+".new", l.file(id)); err != nil {
			return err
		}
	}
	return nil
}

// Cut drops everything that one broker sends to another, in silence. The other
// direction stays.
func (c *Cluster) Cut(from, to kafka.BrokerID) error {
	c.links.cut[[2]kafka.BrokerID{from, to}] = true
	return c.links.write()
}

// Isolate cuts a broker off from all others, both ways.
func (c *Cluster) Isolate(id kafka.BrokerID) error {
	for _, other := range c.Others(id) {
		c.links.cut[[2]kafka.BrokerID{id, other.ID}] = true
		c.links.cut[[2]kafka.BrokerID{other.ID, id}] = true
	}
	return c.links.write()
}

// Heal mends every link.
func (c *Cluster) Heal() error {
	clear(c.links.cut)
	return c.links.write()
}
