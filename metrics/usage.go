package metrics

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"go.uber.org/zap"

	"github.com/podd-io/podd/pod"
)

// usagePage is a page of what is used. It is read and written when it is asked
// for.
type usagePage struct {
	path string
	// name is its value of the label "collector".
	name string
	of   pod.UsageOf
	read func(context.Context, pod.UsageOf) (pod.Usage, error)
	// tell writes all of it; failed says that not all could be read.
	tell func(e *exposition, u pod.Usage, failed bool)
	log  *zap.Logger
	// turns bounds how many read at once.
	turns chan struct{}
}

// mostScrapes of one page at a time.
const mostScrapes = 10

// usagePages are cAdvisor's and the kubelet's own.
func usagePages(cfg Config) []*usagePage {
	return []*usagePage{
		{"/metrics/cadvisor", "cadvisor", pod.UsageAll, cfg.Usage, tellCadvisor, cfg.Log, make(chan struct{}, mostScrapes)},
		{"/metrics/resource", "resource", pod.UsageCore, cfg.Usage, tellResource, cfg.Log, make(chan struct{}, mostScrapes)},
	}
}

func (p *usagePage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	default:
		http.Error(w, "too many scrapes of this page are under way", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	var out io.Writer = w
	if packs(r) {
		w.Header().Set("Content-Encoding", "gzip")
		packed := gzip.NewWriter(w)
		defer func() { _ = packed.Close() }() // a client that left needs no end
		out = packed
	}
	p.write(r.Context(), out)
}

// packs tells whether an answer is to be compressed: on the host itself that
// costs more than it saves.
func packs(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsLoopback() {
		return false
	}
	return strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
}

// write tells what could be read, and in the end how that went.
func (p *usagePage) write(ctx context.Context, w io.Writer) {
	began := time.Now()
	u, err := p.read(ctx, p.of)
	read := result{name: p.name, took: time.Since(began), err: err}
	if err != nil && ctx.Err() == nil {
		p.log.Warn("not all of what is used could be read; the page lacks it", zap.String("page", p.path), zap.Error(err))
	}
	e := newExposition(w)
	p.tell(e, u, err != nil)
	for _, row := range scrape {
		e.metric(row.name, row.help, row.kind)
		for _, s := range row.values([]result{read}) {
			e.sample(s.value, "", label(row.labels[0], s.labels[0]))
		}
	}
	e.flush()
}

// seconds of a duration.
func seconds[D ~int64](d D) float64 { return float64(d) / float64(time.Second) }

// since1970 is a time as Prometheus tells it.
func since1970(t time.Time) float64 { return float64(t.UnixNano()) / float64(time.Second) }
