package datadir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"holdfast/internal/bin"
	"holdfast/internal/invariant"
	"holdfast/internal/kafka"
	"holdfast/internal/vfs"
)

// formatVersion is the version of the directory's layout that this program
// writes. A directory with a larger one is refused.
const formatVersion = 1

// identityName is Kafka's name for the file, and most of its content is Kafka's.
const identityName = "meta.properties"

// identityMax bounds the file, in bytes.
const identityMax = 64 << 10

// Identity says whose directory this is. It is on disk from the first start.
type Identity struct {
	ClusterID   kafka.ClusterID // zero until it is decided, see Options.Undecided
	NodeID      kafka.BrokerID
	DirectoryID kafka.DirectoryID
	// Starts counts the starts of this directory, this one included. Registration
	// carries it: a clone or a restored snapshot shows by a counter that does not
	// grow.
	Starts uint64
	// Founded: the metadata log of this directory was complete once. From then on
	// a missing one is a loss, and never a reason to found another. A directory of
	// a version that did not keep this says false until its next start is through.
	Founded bool
	// Proposal is the cluster that this directory may be founded with: a text of
	// whoever founds, empty where there is none. It stays when the cluster is
	// founded.
	Proposal string
}

// ErrNewer: the directory was written by a newer version of this program.
var ErrNewer = errors.New("written by a newer version; start that version, or a newer one")

// IdentityError is a directory that is not the one the caller means.
type IdentityError struct{ Dir, Cause string }

// Error names the directory and the difference.
func (e *IdentityError) Error() string { return fmt.Sprintf("data directory %s: %s", e.Dir, e.Cause) }

func (id Identity) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "version=1\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n", id.ClusterID, id.NodeID, id.DirectoryID)
	fmt.Fprintf(&b, "holdfast.format=%d\nholdfast.starts=%d\nholdfast.founded=%t\n", formatVersion, id.Starts, id.Founded)
	if id.Proposal != "" {
		fmt.Fprintf(&b, "holdfast.proposal=%s\n", id.Proposal)
	}
	fmt.Fprintf(&b, "holdfast.checksum=%08x\n", bin.CRC32C(b.Bytes()))
	return b.Bytes()
}

// decodeIdentity reads what encode wrote. Any doubt is an error: an identity is
// never guessed.
func decodeIdentity(b []byte) (Identity, error) {
	at := bytes.LastIndex(b, []byte("holdfast.checksum="))
	if at < 0 {
		return Identity{}, errors.New("no checksum: not a directory of this program, or a damaged one")
	}
	values := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if _, twice := values[key]; !ok || twice {
			return Identity{}, fmt.Errorf("damaged line %.40q", line)
		}
		values[key] = value
	}
	// The version comes first: a newer program may compute the checksum another way.
	format, err := strconv.Atoi(values["holdfast.format"])
	if err != nil {
		return Identity{}, errors.New("no format version")
	}
	if format > formatVersion {
		return Identity{}, fmt.Errorf("format %d: %w", format, ErrNewer)
	}
	// Kafka's own version of the file.
	if v := values["version"]; v != "1" {
		return Identity{}, fmt.Errorf("version %.20q of the file: %w", v, ErrNewer)
	}
	if want := fmt.Sprintf("%08x", bin.CRC32C(b[:at])); values["holdfast.checksum"] != want {
		return Identity{}, errors.New("checksum does not match: the file is damaged")
	}
	cluster, err1 := kafka.ParseUUID(values["cluster.id"])
	directory, err2 := kafka.ParseUUID(values["directory.id"])
	node, err3 := strconv.ParseInt(values["node.id"], 10, 32)
	starts, err4 := strconv.ParseUint(values["holdfast.starts"], 10, 64)
	founded, err5 := false, error(nil)
	if text, ok := values["holdfast.founded"]; ok {
		founded, err5 = strconv.ParseBool(text)
	}
	return Identity{ClusterID: kafka.ClusterID(cluster), DirectoryID: kafka.DirectoryID(directory),
		NodeID: kafka.BrokerID(node), Starts: starts, Founded: founded, Proposal: values["holdfast.proposal"]}, errors.Join(err1, err2, err3, err4, err5)
}

// claim reads the identity, or founds one in an empty directory, counts this
// start and makes it durable.
func (d *Dir) claim() error {
	name := path.Join(d.o.Dir, identityName)
	b, err := vfs.ReadFile(d.o.Env.FS, name, identityMax)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := d.mustBeEmpty(); err != nil {
			return err
		}
		d.identity = d.found()
		d.fresh = true
	case err != nil:
		return fmt.Errorf("read %s: %w", name, err)
	default:
		if d.identity, err = decodeIdentity(b); err != nil {
			return fmt.Errorf("data directory %s: %s: %w", d.o.Dir, identityName, err)
		}
		if err := d.agree(); err != nil {
			return err
		}
		if d.identity.ClusterID.IsZero() && !d.o.Undecided {
			d.identity.ClusterID = d.newCluster()
		}
	}
	d.identity.Starts++
	return d.storeIdentity()
}

func (d *Dir) storeIdentity() error {
	name := path.Join(d.o.Dir, identityName)
	if err := vfs.WriteFile(d.o.Env.FS, name, d.identity.encode()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Propose notes, durably, with which cluster this directory may be founded, in one
// line. What is noted is never exchanged for something else.
func (d *Dir) Propose(proposal string) error {
	have := d.identity.Proposal
	invariant.Check(!d.identity.Founded && (have == "" || have == proposal) && !strings.ContainsAny(proposal, "\n\r"),
		"propose %q in a directory that holds %q, founded %v", proposal, have, d.identity.Founded)
	if have == proposal {
		return nil
	}
	d.identity.Proposal = proposal
	return d.storeIdentity()
}

// SetCluster notes, durably, the cluster of a directory that was opened Undecided.
func (d *Dir) SetCluster(id kafka.ClusterID) error {
	have := d.identity.ClusterID
	invariant.Check(!id.IsZero() && (have.IsZero() || have == id), "cluster %s in a directory of cluster %s", id, have)
	if have == id {
		return nil
	}
	d.identity.ClusterID = id
	return d.storeIdentity()
}

// MarkFounded notes, durably, that the metadata log of this directory is
// complete. It is called when that is durable and before anything is decided in
// it, by the one who opened the directory.
func (d *Dir) MarkFounded() error {
	if d.identity.Founded {
		return nil
	}
	d.identity.Founded = true
	return d.storeIdentity()
}

// mustBeEmpty refuses to found an identity over somebody's data.
func (d *Dir) mustBeEmpty() error {
	entries, err := d.o.Env.FS.ReadDir(d.o.Dir)
	if err != nil {
		return fmt.Errorf("read %s: %w", d.o.Dir, err)
	}
	for _, e := range entries {
		if e.Name == lockName || e.Name == "lost+found" || strings.HasPrefix(e.Name, identityName) {
			continue
		}
		return &IdentityError{Dir: d.o.Dir, Cause: fmt.Sprintf("has no %s but is not empty (%s): it is not a data directory of this program, or its identity is lost; nothing was changed", identityName, e.Name)}
	}
	return nil
}

func (d *Dir) found() Identity {
	id := Identity{NodeID: max(d.o.NodeID, 0)}
	if d.o.NodeID == kafka.NoBroker {
		id.NodeID = 1
	}
	if !d.o.Undecided {
		id.ClusterID = d.newCluster()
	}
	id.DirectoryID = kafka.DirectoryID(kafka.NewUUID(d.o.Env.Rand))
	return id
}

func (d *Dir) newCluster() kafka.ClusterID {
	if d.o.ClusterID.IsZero() {
		return kafka.ClusterID(kafka.NewUUID(d.o.Env.Rand))
	}
	return d.o.ClusterID
}

// agree compares what the caller asks for with what the disk says.
func (d *Dir) agree() error {
	if want := d.o.NodeID; want != kafka.NoBroker && want != d.identity.NodeID {
		return &IdentityError{Dir: d.o.Dir, Cause: fmt.Sprintf("belongs to node %d, not %d: start it with that node id, or use another directory", d.identity.NodeID, want)}
	}
	if want := d.o.ClusterID; !want.IsZero() && !d.identity.ClusterID.IsZero() && want != d.identity.ClusterID {
		return &IdentityError{Dir: d.o.Dir, Cause: fmt.Sprintf("belongs to cluster %s, not %s", d.identity.ClusterID, want)}
	}
	if d.identity.Proposal != "" && !d.identity.Founded && !d.o.Undecided {
		return &IdentityError{Dir: d.o.Dir, Cause: "holds the proposal of a cluster of several brokers: start it with --bootstrap and the addresses of all, as before"}
	}
	return nil
}
