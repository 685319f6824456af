package api

// UpdateFeatures, key 57, versions 0 to 2 (KIP-584).
//
//	1 validation only, kinds of updates; 2 one error for all
//
// Behaviours: each feature has one level here, the one in force. Asking for it
// is answered as done, anything else is INVALID_UPDATE_VERSION.

import (
	"fmt"

	"holdfast/internal/kafka"
	"holdfast/internal/meta"
	"holdfast/internal/wire"
)

// metadataVersion is the level of Kafka's feature metadata.version that tools
// are told: 25 is 4.0-IV3, which every Kafka 4 tool can name. The records of our
// metadata log are not Kafka's; their level is holdfast.version.
const metadataVersion = 25

// feature is one finalised feature: min to max is what this program can do.
type feature struct {
	name            string
	min, max, level int16
}

func (a *API) features() []feature {
	return []feature{
		{name: "holdfast.version", min: int16(meta.FeatureLevelMin), max: int16(meta.FeatureLevelMax), level: int16(a.o.Quorum.Image().FeatureLevel())},
		{name: "metadata.version", min: metadataVersion, max: metadataVersion, level: metadataVersion},
	}
}

func (a *API) updateFeatures(r *Request) (*Reply, Pending) {
	q := wire.NewUpdateFeaturesRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	out := wire.NewUpdateFeaturesResponse()
	refuse := func(code kafka.ErrorCode, why string) (*Reply, Pending) {
		out.ErrorCode, out.ErrorMessage = int16(code), &why
		return respond(r, &out), nil
	}
	if !a.authorize(r.Conn.Principal, opAlter, clusterResource()) {
		return refuse(kafka.ErrClusterAuthorizationFailed, "not authorised")
	}
	for i := range q.FeatureUpdates {
		if why := a.featureRefusal(&q.FeatureUpdates[i], r.Header.Version); why != "" {
			return refuse(kafka.ErrInvalidUpdateVersion, why)
		}
	}
	return respond(r, &out), nil
}

// featureRefusal is why an update cannot be done; empty when nothing is to do.
func (a *API) featureRefusal(u *wire.UpdateFeaturesRequestFeatureUpdate, version int16) string {
	const upgrade, unsafeDowngrade = 1, 3
	if version >= 1 && (u.UpgradeType < upgrade || u.UpgradeType > unsafeDowngrade) {
		return fmt.Sprintf("unknown kind of update %d", u.UpgradeType)
	}
	for _, f := range a.features() {
		switch {
		case f.name != u.Feature:
		case f.level == u.MaxVersionLevel:
			return ""
		default:
			return fmt.Sprintf("%s is at level %d, and this version knows the levels %d to %d", f.name, f.level, f.min, f.max)
		}
	}
	return "there is no feature " + clipName(u.Feature)
}

// clipName bounds what an answer repeats of a stranger's text.
func clipName(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
