package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
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
	http *http.Server
	log  *slog.Logger
	done chan struct{}
}

// New makes a server that shows what look returns. look must be cheap enough to
// be called on every scrape and safe for concurrent use.
func New(look func() View, log *slog.Logger) *Server {
	s := &Server{log: log, done: make(chan struct{})}
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
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
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
