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
	next := &meta.Broker{ID: c.ID, Epoch: meta.EpochOfEntry, Incarnation: c.Incarnation, Starts: c.Starts,
		Directories: slices.Clone(c.Directories), Endpoints: slices.Clone(c.Endpoints), Rack: c.Rack}
	if old != nil && old.Incarnation == c.Incarnation {
		// The answer to an earlier registration was lost, or an address changed: the
		// same incarnation keeps its epoch and its leaderships.
		next.Epoch, next.Fenced = old.Epoch, old.Fenced
		if !sameRegistration(old, next) {
			d.emit(next)
		}
		return Reply{BrokerEpoch: old.Epoch}, nil
	}
	d.emit(next)
	d.restartPartitions(next)
	return Reply{BrokerEpoch: meta.EpochOfEntry}, nil
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
		return nil
	}
	if c.Starts <= old.Starts {
		return refuse(code, "start %d of broker %d's data directory is registered already and this is start %d: the directory is a copy, or was restored from one",
			old.Starts, c.ID, c.Starts)
	}
	return nil
}

func sameRegistration(a, b *meta.Broker) bool {
	return a.Rack == b.Rack && slices.Equal(a.Endpoints, b.Endpoints)
}

// restartPartitions gives every partition what the new incarnation means for it.
func (d *decision) restartPartitions(b *meta.Broker) {
	defaults, defaultsErr := config.ResolveTopic(d.settings(), nil)
	for _, t := range d.image.Topics() {
		settings, err := defaults, defaultsErr
		if _, own := t.Configs[minISRKey]; own { // nothing else of the settings counts
			settings, err = config.ResolveTopic(d.settings(), t.Configs)
		}
		for _, p := range t.Partitions {
			change := changeOf(p.PartitionRecord)
			if err == nil { // otherwise min ISR stays as it was
				withMinISR(change, p.PartitionRecord, settings)
			}
			d.restartReplica(change, p.PartitionRecord, b)
			if change.Fields != 0 {
				d.emit(change)
			}
		}
	}
}

func (d *decision) restartReplica(change *meta.PartitionChange, p *meta.PartitionRecord, b *meta.Broker) {
	at := slices.Index(p.Replicas, b.ID)
	if at < 0 {
		return
	}
	if known := p.Directories[at]; !known.IsZero() && !b.HasDirectory(known) {
		d.loseReplica(change, p, b.ID)
		return
	}
	leads := p.Leader == b.ID
	idle := p.Leader == kafka.NoBroker && p.InSync(b.ID)
	if leads || idle {
		change.Fields |= meta.SetLeader
		change.Leader, change.LeaderEpoch = b.ID, p.LeaderEpoch+1
	}
}

// loseReplica marks a replica whose directory is gone. In the same record it
// leaves ISR and ELR, and where it led, somebody else of the ISR leads.
func (d *decision) loseReplica(change *meta.PartitionChange, p *meta.PartitionRecord, id kafka.BrokerID) {
	if slices.Contains(p.Lost, id) {
		return
	}
	change.Fields |= meta.SetLost
	change.Lost = append(slices.Clone(p.Lost), id)
	isr := without(p.ISR, id)
	if len(isr) != len(p.ISR) {
		change.Fields |= meta.SetISR
		change.ISR = isr
	}
	if elr := without(p.ELR, id); change.Fields&meta.SetELR == 0 && len(elr) != len(p.ELR) {
		change.Fields |= meta.SetELR
		change.ELR = elr
	}
	if p.Leader == id {
		change.Fields |= meta.SetLeader
		change.Leader, change.LeaderEpoch = d.electable(p, isr), p.LeaderEpoch+1
	}
}

// electable returns the first replica that is in the ISR and not fenced.
func (d *decision) electable(p *meta.PartitionRecord, isr []kafka.BrokerID) kafka.BrokerID {
	for _, id := range p.Replicas {
		if b := d.image.Broker(id); slices.Contains(isr, id) && b != nil && !b.Fenced {
			return id
		}
	}
	return kafka.NoBroker
}

func without(ids []kafka.BrokerID, id kafka.BrokerID) []kafka.BrokerID {
	return slices.DeleteFunc(slices.Clone(ids), func(x kafka.BrokerID) bool { return x == id })
}
