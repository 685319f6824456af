package api

// ApiVersions, key 18, versions 0 to 4.
//
//	3  flexible; the client's software name and version (KIP-511); features
//	4  feature levels of 0 allowed
//
// Behaviours: an unsupported version is answered in version 0 with the list, so
// that the client can choose again. The list is the same for everybody, and so are
// the features (57_update_features.go).

import (
	"holdfast/internal/kafka"
	"holdfast/internal/wire"
)

func (a *API) apiVersions(r *Request) (*Reply, Pending) {
	q := wire.NewApiVersionsRequest()
	if err := q.Decode(r.body, r.Header.Version); err != nil {
		return a.malformed(r, err), nil
	}
	if r.Header.Version >= 3 {
		if !softwareName(q.ClientSoftwareName) || !softwareName(q.ClientSoftwareVersion) {
			a.fail(r)
			return respond(r, &wire.ApiVersionsResponse{ErrorCode: int16(kafka.ErrInvalidRequest)}), nil
		}
		r.Conn.Software.Store(&Software{Name: q.ClientSoftwareName, Version: q.ClientSoftwareVersion})
	}
	return respond(r, a.versions(kafka.ErrNone)), nil
}

// softwareName is KIP-511's rule for names and versions: letters, digits, dots
// and dashes, beginning and ending with a letter or digit. It keeps strangers
// from writing into our logs and metrics.
func softwareName(s string) bool {
	alnum := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }
	if s == "" || len(s) > 256 || !alnum(s[0]) || !alnum(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alnum(c) && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

func (a *API) versions(code kafka.ErrorCode) *wire.ApiVersionsResponse {
	out := wire.NewApiVersionsResponse()
	out.ErrorCode = int16(code)
	for _, h := range a.served {
		out.ApiKeys = append(out.ApiKeys, wire.ApiVersionsResponseApiKey{ApiKey: int16(h.key), MinVersion: h.advertised, MaxVersion: h.max})
	}
	for _, f := range a.features() {
		out.SupportedFeatures = append(out.SupportedFeatures, wire.ApiVersionsResponseSupportedFeature{Name: f.name, MinVersion: f.min, MaxVersion: f.max})
		out.FinalizedFeatures = append(out.FinalizedFeatures, wire.ApiVersionsResponseFinalizedFeature{Name: f.name, MinVersionLevel: f.level, MaxVersionLevel: f.level})
	}
	out.FinalizedFeaturesEpoch = int64(a.o.Quorum.Image().Offset())
	return &out
}

// unsupportedApiVersions answers in version 0 whatever was asked (KIP-511).
func (a *API) unsupportedApiVersions(r *Request) *Reply {
	a.fail(r)
	r.Header.Version = 0
	return respond(r, a.versions(kafka.ErrUnsupportedVersion))
}
