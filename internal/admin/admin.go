package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the HTTP server: it serves a handful of operators, not the world.
const (
	headerTimeout   = 5 * time.Second
	idleTimeout     = 2 * time.Minute
	headerBytesMax  = 16 << 10
	scrapesInFlight = 4
)

// Server is the HTTP door of one broker.
type Server struct {
	http     *http.Server
	log      *slog.Logger
	profiles Profiles
	done     chan struct{}
}

// Profiles says who gets profiles, which show what a program holds in memory and
// cost it time.
type Profiles string

// The audiences. Anything else is nobody.
const (
	ProfilesLoopback Profiles = "loopback" // programs of this machine
	ProfilesAll      Profiles = "all"
)

// admits reports whether a request from an address is answered.
func (p Profiles) admits(remote string) bool {
	if p == ProfilesAll {
		return true
	}
	from, err := netip.ParseAddrPort(remote)
	return p == ProfilesLoopback && err == nil && from.Addr().Unmap().IsLoopback()
}

// New makes a server that shows what look returns. look must be cheap enough to
// be called on every scrape and safe for concurrent use.
func New(look func() View, profiles Profiles, log *slog.Logger) *Server {
	s := &Server{log: log, profiles: profiles, done: make(chan struct{})}
	s.http = &http.Server{
		Handler:           s.routes(look),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytesMax,
	}
	return s
}

func (s *Server) routes(look func() View) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		&collector{look: look},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapesInFlight}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { ready(w, look(), false) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { ready(w, look(), true) })
	mux.HandleFunc("GET /v1/status", status(look))
	mux.HandleFunc("GET /v1/partitions", partitions(look))
	mux.HandleFunc("/debug/pprof/", s.profile(pprof.Index))
	mux.HandleFunc("/debug/pprof/cmdline", s.profile(pprof.Cmdline))
	mux.HandleFunc("/debug/pprof/profile", s.profile(pprof.Profile))
	mux.HandleFunc("/debug/pprof/symbol", s.profile(pprof.Symbol))
	mux.HandleFunc("/debug/pprof/trace", s.profile(pprof.Trace))
	return mux
}

// profile answers those who may have profiles.
func (s *Server) profile(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.profiles.admits(r.RemoteAddr) {
			http.Error(w, "profiles are for programs of this machine; admin.profiles=all opens them", http.StatusForbidden)
			return
		}
		answer(w, r)
	}
}

// ready answers 200 or 503 and says why not.
func ready(w http.ResponseWriter, v View, verbose bool) {
	if !v.Ready() {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	for _, c := range v.Checks {
		switch {
		case !c.OK:
			fmt.Fprintf(w, "[-] %s: %s\n", c.Name, c.Reason)
		case c.Reason != "":
			fmt.Fprintf(w, "[!] %s: %s\n", c.Name, c.Reason)
		case verbose:
			fmt.Fprintf(w, "[+] %s\n", c.Name)
		}
	}
	if v.Ready() {
		fmt.Fprintln(w, "ok")
	}
}

// Serve answers on l until Stop. It returns at once.
func (s *Server) Serve(l net.Listener) {
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); err != nil && err != http.ErrServerClosed {
			s.log.Error("admin listener ended", "error", err)
		}
	}()
}

// Stop lets requests finish until ctx ends, then closes everything.
func (s *Server) Stop(ctx context.Context) {
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	<-s.done
}
