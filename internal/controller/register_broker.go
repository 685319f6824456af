package controller

import (
	"slices"

	"holdfast/internal/config"
	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

func (c RegisterBroker) decide(d *decision) (Reply, error) {
	if err := c.validate(); err != nil {
		return Reply{}, err
	}
	old := d.image.Broker(c.ID)
	if err := c.checkIdentity(d.image, old); err != nil {
		return Reply{}, err
	}
	level, err := c.level(d.image)
	if err != nil {
		return Reply{}, err
	}
	next := &meta.Broker{ID: c.ID, Epoch: meta.EpochOfEntry, Incarnation: c.Incarnation, Starts: c.Starts,
		Directories: slices.Clone(c.Directories), Endpoints: slices.Clone(c.Endpoints), Rack: c.Rack}
	if level >= meta.LevelReplication {
		next.Features = c.Features
	}
	if level > d.image.FeatureLevel() {
		d.emit(&meta.FeatureLevelRecord{Level: level})
	}
	if old != nil && old.Incarnation == c.Incarnation {
		// The answer to an earlier registration was lost, or an address changed: the
		// same incarnation keeps its epoch and its leaderships.
		next.Epoch, next.Fenced, next.ShuttingDown = old.Epoch, old.Fenced, old.ShuttingDown
		if !sameRegistration(old, next) {
			d.putBroker(next)
		}
		return Reply{BrokerEpoch: old.Epoch}, nil
	}
	next.Fenced = !isOnlyBroker(d.image, c.ID)
	d.putBroker(next)
	d.restartPartitions(next, old != nil && c.PreviousEpoch == old.Epoch)
	return Reply{BrokerEpoch: meta.EpochOfEntry}, nil
}

// level is the feature level once the broker is registered: the newest that
// every registered broker knows. It never falls.
func (c RegisterBroker) level(image *meta.Image) (meta.FeatureLevel, error) {
	newest := min(max(c.Features, meta.FeatureLevelMin), meta.FeatureLevelMax)
	if newest < image.FeatureLevel() {
		return 0, refuse(kafka.ErrUnsupportedVersion, "broker %d knows the feature levels up to %d, and the cluster is at %d: it needs a newer version",
			c.ID, newest, image.FeatureLevel())
	}
	for _, b := range image.Brokers() {
		if b.ID != c.ID {
			newest = min(newest, b.FeatureLevel())
		}
	}
	return max(newest, image.FeatureLevel()), nil
}

func isOnlyBroker(image *meta.Image, id kafka.BrokerID) bool {
	for _, b := range image.Brokers() {
		if b.ID != id {
			return false
		}
	}
	return true
}

func (c RegisterBroker) validate() error {
	const code = kafka.ErrInvalidRegistration
	switch {
	case c.ID < 0:
		return refuse(code, "broker id %d is negative", c.ID)
	case c.Incarnation.IsZero() || c.Starts == 0:
		return refuse(code, "broker %d registers without an incarnation or start counter", c.ID)
	case len(c.Directories) == 0 || len(c.Directories) > 100:
		return refuse(code, "broker %d registers with %d data directories", c.ID, len(c.Directories))
	case len(c.Endpoints) == 0 || len(c.Endpoints) > 100:
		return refuse(code, "broker %d registers with %d listeners", c.ID, len(c.Endpoints))
	case len(c.Rack) > RegistrationTextMax:
		return refuse(code, "broker %d registers with a rack of %d bytes, at most %d", c.ID, len(c.Rack), RegistrationTextMax)
	}
	for n, id := range c.Directories {
		if id.IsZero() || slices.Contains(c.Directories[:n], id) {
			return refuse(code, "broker %d registers the directory %s", c.ID, id)
		}
	}
	for n, e := range c.Endpoints {
		same := func(x meta.Endpoint) bool { return x.Listener == e.Listener }
		if len(e.Listener) > RegistrationTextMax || len(e.Host) > RegistrationTextMax {
			return refuse(code, "broker %d registers a listener whose name or host has more than %d bytes", c.ID, RegistrationTextMax)
		}
		if e.Listener == "" || e.Host == "" || e.Port < 1 || e.Port > 65535 || slices.ContainsFunc(c.Endpoints[:n], same) {
			return refuse(code, "broker %d registers the listener %q at %q port %d", c.ID, clip(e.Listener), clip(e.Host), e.Port)
		}
	}
	return nil
}

// checkIdentity refuses copies. A directory belongs to one broker, and each of
// its starts has a larger number than the one before, made durable before it
// registers: a number that does not grow comes from a clone or from a restored
// snapshot of the directory, which may lack records that this broker once
// acknowledged.
func (c RegisterBroker) checkIdentity(image *meta.Image, old *meta.Broker) error {
	const code = kafka.ErrDuplicateBrokerRegistration
	for _, other := range image.Brokers() {
		if other.ID == c.ID {
			continue
		}
		for _, id := range c.Directories {
			if other.HasDirectory(id) {
				return refuse(code, "the data directory %s belongs to broker %d, not to broker %d", id, other.ID, c.ID)
			}
		}
	}
	if old == nil {
		return nil
	}
	if old.Incarnation == c.Incarnation {
		if old.Starts != c.Starts || !slices.Equal(old.Directories, c.Directories) {
			return refuse(code, "an incarnation of broker %d changes its data directories or its start counter without a restart", c.ID)
		}
		return nil
	}
	if !slices.ContainsFunc(c.Directories, old.HasDirectory) {
		// Taking it would mark as lost what a live broker holds.
		if !old.Fenced && !isOnlyBroker(image, c.ID) {
			return refuse(code, "broker %d is live with another data directory: two brokers have this id, or its directory was replaced and its session has not ended yet", c.ID)
		}
		return nil
	}
	if c.Starts <= old.Starts {
		return refuse(code, "start %d of broker %d's data directory is registered already and this is start %d: the directory is a copy, or was restored from one",
			old.Starts, c.ID, c.Starts)
	}
	return nil
}

func sameRegistration(a, b *meta.Broker) bool {
	return a.Rack == b.Rack && slices.Equal(a.Endpoints, b.Endpoints) && a.Features == b.Features
}

// restartPartitions gives every partition what the new incarnation means for it.
// Clean: the last one closed everything in order.
func (d *decision) restartPartitions(b *meta.Broker, clean bool) {
	for _, t := range d.image.Topics() {
		settings, err := d.topicSettings(t)
		for _, p := range t.Partitions {
			x := d.transition(t, p)
			if err == nil { // otherwise min ISR stays as it was
				x.applySettings(settings)
			}
			if p.HasReplica(b.ID) {
				x.restart(b, clean || err == nil && settings.Durability != config.DurabilityPageCache)
			}
			x.settle()
		}
	}
}

// restart is what the new incarnation means for its replica. A replica whose
// directory is gone is empty. One whose records the last incarnation had left to
// the page cache may have lost the newest of them, unless it stopped in order
// (R10); with a single replica there is nobody who has more. Where records are
// durable before they count, an unclean stop loses none that counts: the
// replica keeps its place in the ELR (docs/decisions/0004-unclean-stop.md).
//
// In every case the leader has to see the progress of the new incarnation before
// it counts on it: what it knows of the old one may still be under way (KIP-903).
func (x *transition) restart(b *meta.Broker, kept bool) {
	known := x.next.Directories[slices.Index(x.next.Replicas, b.ID)]
	switch {
	case !known.IsZero() && !b.HasDirectory(known):
		x.lose(b.ID)
	case !kept && len(x.next.Replicas) > 1:
		x.lose(b.ID)
	case b.Fenced:
		x.leave(b.ID)
	default:
		x.renew = x.next.Leader == b.ID
	}
}
