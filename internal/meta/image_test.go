package meta_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
)

// TestImage_SnapshotAndTailAreTheWholeLog: at every entry of a random history, the
// image as records, through bytes, gives an equal image, and the rest of the
// history goes on from it to the same end. Old images stay what they were.
func TestImage_SnapshotAndTailAreTheWholeLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{t: t, image: meta.Empty()}
		var images []*meta.Image
		var pictures []string
		var log [][]meta.Record
		for n := range rapid.IntRange(1, 25).Draw(t, "entries") {
			records := h.entry()
			log = append(log, records)
			h.image, _ = mustApply(t, h.image, kafka.Offset(n), records...)
			images, pictures = append(images, h.image), append(pictures, h.image.String())
		}
		at := rapid.IntRange(0, len(log)-1).Draw(t, "snapshot")
		for n, i := range images {
			if i.String() != pictures[n] {
				t.Fatalf("image %d changed:\n%s\nwas\n%s", n, i, pictures[n])
			}
		}
		encoded := meta.AppendRecords(nil, images[at].Records())
		records, err := meta.DecodeRecords(encoded)
		if err != nil {
			t.Fatalf("decode: %v", err)
		}
		again, _ := mustApply(t, meta.Empty(), kafka.Offset(at), records...)
		if !bytes.Equal(meta.AppendRecords(nil, again.Records()), encoded) {
			t.Fatalf("snapshot of the snapshot differs")
		}
		for n := at + 1; n < len(log); n++ {
			decoded, err := meta.DecodeRecords(meta.AppendRecords(nil, log[n]))
			if err != nil {
				t.Fatalf("decode entry %d: %v", n, err)
			}
			again, _ = mustApply(t, again, kafka.Offset(n), decoded...)
		}
		if again.String() != h.image.String() || again.PartitionCount() != h.image.PartitionCount() || again.TopicCount() != h.image.TopicCount() {
			t.Fatalf("snapshot and tail:\n%s\nwhole log:\n%s", again, h.image)
		}
		checkDifference(t, images[at], h.image)
	})
}

// checkDifference: the delta of two images names exactly what differs.
func checkDifference(t *rapid.T, from, to *meta.Image) {
	d := meta.Difference(from, to)
	for _, tp := range everyPartition(from, to) {
		x, okX := from.Partition(tp)
		y, okY := to.Partition(tp)
		differ := okX != okY || okX && x.String() != y.String()
		if named := slices.Contains(d.Partitions(), tp); named != differ {
			t.Fatalf("%s: differs %v, named %v", tp, differ, named)
		}
	}
}

func everyPartition(images ...*meta.Image) (out []kafka.TopicIDPartition) {
	for _, i := range images {
		for _, t := range i.Topics() {
			for _, p := range t.Partitions {
				out = append(out, kafka.TopicIDPartition{TopicID: t.ID, Partition: p.Index})
			}
		}
	}
	return out
}

// TestDelta_LocalChanges follows one partition from its creation to its end, as
// two brokers and a stranger see it.
func TestDelta_LocalChanges(t *testing.T) {
	i := baseImage(t)
	tp := []kafka.TopicIDPartition{{TopicID: topicID(1)}}
	change := func(fields meta.PartitionFields, p meta.PartitionRecord) *meta.PartitionChange {
		p.TopicID = topicID(1)
		return &meta.PartitionChange{Fields: fields, PartitionRecord: p}
	}
	steps := []struct {
		name    string
		records []meta.Record
		want    map[kafka.BrokerID]meta.LocalChanges
	}{
		{"created", []meta.Record{&meta.TopicRecord{ID: topicID(1), Name: "a"}, newPartition(topicID(1), 0)},
			map[kafka.BrokerID]meta.LocalChanges{1: {Create: tp, Lead: tp}, 2: {Create: tp, Follow: tp}, 3: {}}},
		{"setting", []meta.Record{&meta.Config{Resource: meta.TopicResource("a"), Key: "k", Value: ptr("v")}},
			map[kafka.BrokerID]meta.LocalChanges{1: {}, 2: {}}},
		{"isr shrinks", []meta.Record{change(meta.SetISR, meta.PartitionRecord{PartitionEpoch: 1, ISR: []kafka.BrokerID{1}})},
			map[kafka.BrokerID]meta.LocalChanges{1: {Lead: tp}, 2: {Follow: tp}}},
		{"moves", []meta.Record{change(meta.SetISR|meta.SetLeader|meta.SetReplicas|meta.SetDirectories, meta.PartitionRecord{PartitionEpoch: 2, ISR: []kafka.BrokerID{2},
			Leader: 2, LeaderEpoch: 1, Replicas: []kafka.BrokerID{2, 3}, Directories: []kafka.DirectoryID{{2}, {3}}})},
			map[kafka.BrokerID]meta.LocalChanges{1: {Delete: tp}, 2: {Lead: tp}, 3: {Create: tp, Follow: tp}}},
		{"goes offline", []meta.Record{change(meta.SetLeader, meta.PartitionRecord{PartitionEpoch: 3, Leader: kafka.NoBroker, LeaderEpoch: 2})},
			map[kafka.BrokerID]meta.LocalChanges{1: {}, 2: {Follow: tp}, 3: {Follow: tp}}},
		{"removed", []meta.Record{&meta.RemoveTopic{ID: topicID(1)}},
			map[kafka.BrokerID]meta.LocalChanges{1: {}, 2: {Delete: tp}, 3: {Delete: tp}}},
	}
	for n, s := range steps {
		var d meta.Delta
		i, d = mustApply(t, i, kafka.Offset(n+1), s.records...)
		for broker, want := range s.want {
			if got := d.LocalChanges(broker); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s, broker %d: got %v, want %v", s.name, broker, got, want)
			}
		}
		if !slices.Equal(d.TopicIDs(), []kafka.TopicID{topicID(1)}) {
			t.Errorf("%s: topics %v", s.name, d.TopicIDs())
		}
	}
}

// TestApply_Refusals: records that cannot follow the image are damage, and the
// image stays as it was.
func TestApply_Refusals(t *testing.T) {
	i, _ := mustApply(t, baseImage(t), 5, &meta.TopicRecord{ID: topicID(1), Name: "a"}, newPartition(topicID(1), 0), &meta.ProducerIDs{Next: 1000})
	partition := func(change func(*meta.PartitionRecord)) meta.Record {
		p := newPartition(topicID(1), 1)
		change(p)
		return p
	}
	update := func(fields meta.PartitionFields, change func(*meta.PartitionRecord)) meta.Record {
		c := &meta.PartitionChange{Fields: fields}
		c.TopicID, c.PartitionEpoch = topicID(1), 1
		change(&c.PartitionRecord)
		return c
	}
	cases := map[string][]meta.Record{
		"second cluster":         {&meta.Cluster{ID: kafka.ClusterID{8}, FeatureLevel: 1}},
		"level falls":            {&meta.FeatureLevelRecord{Level: 0}},
		"negative broker":        {newBroker(-1, 1)},
		"broker epoch falls":     {&meta.Broker{ID: 1, Epoch: -5}},
		"no broker epoch":        {&meta.Broker{ID: 3, Epoch: -5}},
		"broker epoch to come":   {&meta.Broker{ID: 3, Epoch: 7}},
		"topic twice":            {&meta.TopicRecord{ID: topicID(2), Name: "a"}, newPartition(topicID(2), 0)},
		"topic id twice":         {&meta.TopicRecord{ID: topicID(1), Name: "b"}},
		"id of removed topic":    {&meta.RemoveTopic{ID: topicID(1)}, &meta.TopicRecord{ID: topicID(1), Name: "b"}},
		"topic without name":     {&meta.TopicRecord{ID: topicID(2)}},
		"topic without parts":    {&meta.TopicRecord{ID: topicID(2), Name: "b"}},
		"unknown topic":          {newPartition(topicID(2), 0)},
		"gap":                    {partition(func(p *meta.PartitionRecord) { p.Index = 2 })},
		"no replicas":            {partition(func(p *meta.PartitionRecord) { p.Replicas = nil })},
		"replica twice":          {partition(func(p *meta.PartitionRecord) { p.Replicas = []kafka.BrokerID{1, 1} })},
		"directories":            {partition(func(p *meta.PartitionRecord) { p.Directories = nil })},
		"isr outside":            {partition(func(p *meta.PartitionRecord) { p.ISR = []kafka.BrokerID{1, 3} })},
		"elr in isr":             {partition(func(p *meta.PartitionRecord) { p.ELR = []kafka.BrokerID{2} })},
		"lost in isr":            {partition(func(p *meta.PartitionRecord) { p.Lost = []kafka.BrokerID{2} })},
		"leader outside isr":     {partition(func(p *meta.PartitionRecord) { p.ISR = []kafka.BrokerID{2} })},
		"lowest above min isr":   {partition(func(p *meta.PartitionRecord) { p.LowestMinISR = 3 })},
		"change of nothing":      {update(0, func(p *meta.PartitionRecord) { p.Index = 7 })},
		"partition epoch stands": {update(0, func(p *meta.PartitionRecord) { p.PartitionEpoch = 0 })},
		"partition epoch jumps":  {update(0, func(p *meta.PartitionRecord) { p.PartitionEpoch = 2 })},
		"leader without epoch":   {update(meta.SetLeader, func(p *meta.PartitionRecord) { p.Leader = 2 })},
		"leader leaves isr":      {update(meta.SetISR, func(p *meta.PartitionRecord) { p.ISR = []kafka.BrokerID{2} })},
		"remove unknown":         {&meta.RemoveTopic{ID: topicID(2)}},
		"setting of nothing":     {&meta.Config{Resource: meta.TopicResource("b"), Key: "k"}},
		"setting without name":   {&meta.Config{Resource: meta.ClusterResource()}},
		"producer ids stand":     {&meta.ProducerIDs{Next: 1000}},
	}
	before := i.String()
	for name, records := range cases {
		_, _, err := i.Apply(6, records)
		var damage *meta.CorruptionError
		if !errors.As(err, &damage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := i.Apply(5, nil); err == nil {
		t.Error("an offset was applied twice")
	}
	if _, _, err := meta.Empty().Apply(0, []meta.Record{&meta.Cluster{ID: kafka.ClusterID{1}, FeatureLevel: 9}}); !strings.Contains(fmt.Sprint(err), "newer version") {
		t.Errorf("newer feature level: %v", err)
	}
	if _, _, err := meta.Empty().Apply(0, []meta.Record{newBroker(1, 1)}); err == nil {
		t.Error("a broker before the cluster")
	}
	if i.String() != before {
		t.Error("the image changed")
	}
}

// TestImage_Lookups: what api and broker ask for.
func TestImage_Lookups(t *testing.T) {
	i := baseImage(t)
	for n := range 300 {
		i, _ = mustApply(t, i, kafka.Offset(n+1), &meta.TopicRecord{ID: topicID(n + 1), Name: fmt.Sprintf("t%03d", (n*7)%300)}, newPartition(topicID(n+1), 0))
	}
	topics := i.Topics()
	if !slices.IsSortedFunc(topics, func(a, b *meta.Topic) int { return strings.Compare(a.Name, b.Name) }) || len(topics) != 300 {
		t.Errorf("%d topics", len(topics))
	}
	for _, x := range topics {
		if i.TopicByID(x.ID) != x || i.TopicByName(x.Name) != x {
			t.Errorf("topic %s is not found", x.Name)
		}
	}
	if i.TopicByName("none") != nil || i.TopicByID(topicID(999)) != nil || i.Broker(9) != nil || i.TopicConfig("none") != nil {
		t.Error("found what is not there")
	}
	if b := i.Broker(2); b.Epoch != 0 || !b.HasDirectory(kafka.DirectoryID{2}) {
		t.Errorf("broker %+v", b)
	}
	if e, ok := i.Broker(1).Endpoint("PLAINTEXT"); !ok || e.Port != 9092 {
		t.Errorf("endpoint %v", e)
	}
	if _, ok := i.Broker(1).Endpoint("SSL"); ok {
		t.Error("endpoint of no listener")
	}
	if got := fmt.Sprint(meta.TopicResource("a"), meta.BrokerResource(1), meta.ClusterResource()); got != "topic/a broker/1 cluster" {
		t.Error(got)
	}
}

func bigImage(t testing.TB, topics, partitions int) *meta.Image {
	i, _ := mustApply(t, meta.Empty(), 0, &meta.Cluster{ID: kafka.ClusterID{7}, FeatureLevel: 1}, newBroker(1, 1), newBroker(2, 1))
	for n := range topics {
		records := []meta.Record{&meta.TopicRecord{ID: topicID(n + 1), Name: fmt.Sprintf("topic-%05d", n)}}
		for p := range partitions {
			records = append(records, newPartition(topicID(n+1), p))
		}
		i, _ = mustApply(t, i, kafka.Offset(n+1), records...)
	}
	return i
}

func benchmarkApply(b *testing.B, i *meta.Image) {
	c := &meta.PartitionChange{Fields: meta.SetISR}
	c.TopicID, c.PartitionEpoch, c.ISR = topicID(7), 1, []kafka.BrokerID{1}
	if i.TopicByID(topicID(7)) == nil {
		c.TopicID = topicID(1)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := i.Apply(i.Offset()+1, []meta.Record{c}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkApply_OneChange is one ISR change among 10,000 partitions.
func BenchmarkApply_OneChange(b *testing.B) {
	b.Run("1667x6", func(b *testing.B) { benchmarkApply(b, bigImage(b, 1667, 6)) })
	b.Run("10000x1", func(b *testing.B) { benchmarkApply(b, bigImage(b, 10000, 1)) })
	b.Run("1x10000", func(b *testing.B) { benchmarkApply(b, bigImage(b, 1, 10000)) })
}

// BenchmarkImage_Snapshot encodes and decodes 10,000 partitions.
func BenchmarkImage_Snapshot(b *testing.B) {
	i := bigImage(b, 1667, 6)
	b.ReportAllocs()
	for b.Loop() {
		records, err := meta.DecodeRecords(meta.AppendRecords(nil, i.Records()))
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := meta.Empty().Apply(i.Offset(), records); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkImage_Load applies a snapshot of many topics as one entry, as a start
// does.
func BenchmarkImage_Load(b *testing.B) {
	for _, topics := range []int{1000, 10000, 60000} {
		records := bigImage(b, topics, 1).Records()
		b.Run(fmt.Sprint(topics), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := meta.Empty().Apply(1<<20, records); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestApply_Levels: what an older program could not read is refused below its
// feature level, whoever decided it.
func TestApply_Levels(t *testing.T) {
	i, _ := mustApply(t, baseImage(t), 1, &meta.TopicRecord{ID: topicID(1), Name: "a"}, newPartition(topicID(1), 0))
	reassigned := func() *meta.PartitionChange {
		c := &meta.PartitionChange{Fields: meta.SetReassignment}
		c.TopicID, c.PartitionEpoch, c.Removing = topicID(1), 1, []kafka.BrokerID{2}
		return c
	}
	shutting := newBroker(1, 1)
	shutting.ShuttingDown = true
	for name, r := range map[string]meta.Record{"reassignment": reassigned(), "shutdown": shutting, "removal": &meta.RemoveBroker{ID: 1}} {
		var damage *meta.CorruptionError
		if _, _, err := i.Apply(2, []meta.Record{r}); !errors.As(err, &damage) || !strings.Contains(err.Error(), "feature level 1") {
			t.Errorf("%s at level 1: %v", name, err)
		}
		if _, _, err := i.Apply(2, []meta.Record{&meta.FeatureLevelRecord{Level: 2}, r}); err != nil {
			t.Errorf("%s at level 2: %v", name, err)
		}
	}
	i, _ = mustApply(t, i, 2, &meta.FeatureLevelRecord{Level: 2})
	for name, edit := range map[string]func(*meta.PartitionChange){
		"adds a stranger":     func(c *meta.PartitionChange) { c.Adding = []kafka.BrokerID{3} },
		"adds and removes":    func(c *meta.PartitionChange) { c.Adding = c.Removing },
		"removes every one":   func(c *meta.PartitionChange) { c.Removing = []kafka.BrokerID{1, 2} },
		"removes one twice":   func(c *meta.PartitionChange) { c.Removing = []kafka.BrokerID{2, 2} },
		"removes a stranger":  func(c *meta.PartitionChange) { c.Removing = []kafka.BrokerID{7} },
		"adds a negative one": func(c *meta.PartitionChange) { c.Adding = []kafka.BrokerID{-1} },
	} {
		c := reassigned()
		edit(c)
		if _, _, err := i.Apply(3, []meta.Record{c}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, _, err := i.Apply(3, []meta.Record{&meta.RemoveBroker{ID: 9}}); err == nil {
		t.Error("a broker that is not there was removed")
	}
}

// TestDelta_Brokers: registrations that changed or ended, by entry and between
// images.
func TestDelta_Brokers(t *testing.T) {
	from, _ := mustApply(t, baseImage(t), 1, &meta.FeatureLevelRecord{Level: 2})
	knows := newBroker(1, 1)
	knows.Epoch, knows.Features = from.Broker(1).Epoch, 2
	to, delta := mustApply(t, from, 2, knows, &meta.RemoveBroker{ID: 2}, newBroker(3, 1))
	want := []kafka.BrokerID{1, 2, 3}
	if !slices.Equal(delta.Brokers(), want) {
		t.Errorf("entry: %v", delta.Brokers())
	}
	if got := meta.Difference(from, to).Brokers(); !slices.Equal(got, want) {
		t.Errorf("difference: %v", got)
	}
	if to.Broker(2) != nil || to.Broker(1).FeatureLevel() != 2 || to.Broker(3).FeatureLevel() != 1 {
		t.Errorf("%s", to)
	}
}
