package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/podd-io/podd/pod"
)

// Config says what to serve.
type Config struct {
	Build Build
	// Started is when podd started.
	Started time.Time
	// Snapshot is asked once per part and scrape, from any goroutine.
	Snapshot func() Snapshot
	// Usage reads what is used now, once per scrape, from any goroutine. What
	// could be read comes with the error.
	Usage  func(context.Context, pod.UsageOf) (pod.Usage, error)
	Meter  *Meter
	Images *Images
	Store  *Store
	// StorePath is where the store's file is to be.
	StorePath string
	// Ready tells why podd is not ready to work, nil when it is.
	Ready func() error
	Log   *zap.Logger
}

// Server serves the pages of metrics, /healthz and /readyz.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Listen takes the address, so that a taken one is known before anything else
// is done. The caller runs the server or closes it.
func Listen(address string, cfg Config) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve metrics on %s: %w", address, err)
	}
	return &Server{
		listener: listener,
		http: &http.Server{
			Handler:           handler(cfg),
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       2 * time.Minute,
			ErrorLog:          zap.NewStdLog(cfg.Log),
		},
	}, nil
}

// Address is where it listens.
func (s *Server) Address() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends. Requests under way are finished, within bounds.
func (s *Server) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		ended <- s.http.Shutdown(bound)
	})
	err := s.http.Serve(s.listener)
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics on %s: %w", s.listener.Addr(), err)
	}
	if err := <-ended; err != nil {
		return s.http.Close()
	}
	return nil
}

// Close gives up a server that was not run.
func (s *Server) Close() error { return s.listener.Close() }

// pages are all there are. Each is a list of parts; a part is a table over what
// it reads, or client_golang's collectors.
func pages(cfg Config) []page {
	snapshot := func() (Snapshot, error) { return cfg.Snapshot(), nil }
	return []page{
		{"/metrics", append([]part{
			{"podd", table[Snapshot]{podd(cfg.Build, cfg.Started), snapshot}},
			{"kubelet-now", table[Snapshot]{kubeletNow(), snapshot}},
			{"disk", table[disk]{onDisk(), func() (disk, error) { return readDisk(cfg.StorePath) }}},
			registered("store", cfg.Store.duration, cfg.Store.errors),
			registered("images", cfg.Images),
			registered("go", collectors.NewGoCollector()),
			registered("process", collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
		}, cfg.Meter.parts()...)},
		{"/metrics/probes", []part{
			registered("prober", cfg.Meter.probes.results, cfg.Meter.probes.duration),
		}},
		{"/metrics/kube-state", []part{
			{"kube-state", table[Snapshot]{kubeState(), snapshot}},
		}},
	}
}

func handler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	for _, p := range pages(cfg) {
		mux.Handle("GET "+p.path, promhttp.HandlerFor(p, promhttp.HandlerOpts{
			ErrorLog:            zap.NewStdLog(cfg.Log),
			ErrorHandling:       promhttp.ContinueOnError, // what can't be read does not hide the others
			MaxRequestsInFlight: 10,
		}))
	}
	for _, p := range usagePages(cfg) {
		mux.Handle("GET "+p.path, p)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, cfg.Ready()) })
	return mux
}

// answer writes "ok", or 503 with the reason.
func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	body := "ok"
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		body = err.Error() + "\n"
	}
	_, _ = io.WriteString(w, body) // a client that left needs no answer
}
