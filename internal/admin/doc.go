// Package admin is the HTTP door for operators: Prometheus metrics, health and
// profiles. It listens on loopback unless it is told otherwise.
//
// What it is not: it changes nothing and computes nothing; it shows a View, the
// one query layer that metrics, health and later the console share. Nothing is
// counted on the hot path for its sake: counters are read when somebody looks.
//
//	GET /metrics        Prometheus text: our own names (holdfast_...) and the
//	                    names that dashboards for Strimzi and kafka_exporter read
//	GET /livez          200 while the process can answer at all
//	GET /readyz         200 when the broker serves; otherwise 503 and the reasons
//	GET /healthz        the same as /readyz with one line per check
//	GET /v1/status      this broker and the cluster as it sees it, in JSON
//	GET /v1/partitions  its replicas, and what leaders know of followers, in JSON
//	    /debug/pprof    profiles, for programs of this machine unless admin.profiles says otherwise
//
// File map
//
//	view.go     what there is to see
//	admin.go    the HTTP server
//	status.go   the View as JSON
//	metrics.go  the View as Prometheus metrics
package admin
