package admin

import "strconv"

// groups gives the names of kafka_exporter: what it would have to ask for, and
// therefore shows late, is known here.
func (e emitter) groups(v *View) {
	e.gauge("holdfast_group_positions_hidden", "Committed positions above the number that is shown.", float64(v.GroupsHidden))
	for i := range v.Groups {
		g := &v.Groups[i]
		e.gauge("kafka_consumergroup_members", "Members of the group.", float64(g.Members), "consumergroup", g.Name)
		type sum struct{ offset, lag float64 }
		sums := map[string]*sum{}
		for _, p := range g.Positions {
			l := []string{"consumergroup", g.Name, "topic", p.Topic, "partition", strconv.Itoa(int(p.Index))}
			e.gauge("kafka_consumergroup_current_offset", "Committed position.", float64(p.Committed), l...)
			if sums[p.Topic] == nil {
				sums[p.Topic] = &sum{}
			}
			sums[p.Topic].offset += float64(p.Committed)
			if p.HighWatermark < 0 {
				continue // the partition is not hosted here: its broker knows
			}
			lag := float64(max(p.HighWatermark-p.Committed, 0))
			e.gauge("kafka_consumergroup_lag", "Records between the committed position and the high watermark.", lag, l...)
			sums[p.Topic].lag += lag
		}
		for topic, s := range sums {
			l := []string{"consumergroup", g.Name, "topic", topic}
			e.gauge("kafka_consumergroup_current_offset_sum", "Committed positions, summed over the topic.", s.offset, l...)
			e.gauge("kafka_consumergroup_lag_sum", "Lag, summed over the topic.", s.lag, l...)
		}
	}
}
