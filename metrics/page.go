package metrics

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// page is what one path of the server shows. It is read when it is asked for,
// and at no other time.
type page struct {
	path  string
	parts []part
}

// part is one collector of a page: what is read together, and fails together.
type part struct {
	// name is its value of the label "collector", one of a kind over all pages.
	name string
	from prometheus.Gatherer
}

// registered is a part made of client_golang's collectors, with all of its
// checks.
func registered(name string, all ...prometheus.Collector) part {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(all...)
	return part{name, r}
}

// Gather implements prometheus.Gatherer: everything that could be read, by name,
// and what could not. The parts are read at the same time.
func (p page) Gather() ([]*dto.MetricFamily, error) {
	var wg sync.WaitGroup
	results := make([]result, len(p.parts))
	for i, part := range p.parts {
		wg.Go(func() { results[i] = part.read() })
	}
	wg.Wait()
	all := families(scrape, results)
	var failed []error
	for _, r := range results {
		all = append(all, r.families...)
		if r.err != nil {
			failed = append(failed, fmt.Errorf("collector %s: %w", r.name, r.err))
		}
	}
	slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all, errors.Join(failed...)
}

// result is what the reading of a part came to.
type result struct {
	name     string
	took     time.Duration
	families []*dto.MetricFamily
	err      error
}

func (p part) read() result {
	began := time.Now()
	families, err := p.from.Gather()
	return result{p.name, time.Since(began), families, err}
}

// scrape is what a page tells of its own reading.
var scrape = []metric[[]result]{
	{
		"podd_scrape_collector_duration_seconds", "How long the reading of a collector of this page took, this time.",
		gauge, []string{"collector"},
		func(results []result) []sample {
			return each(results, func(r result) float64 { return r.took.Seconds() })
		},
	},
	{
		"podd_scrape_collector_success", "Whether a collector of this page could be read, this time: 1, or 0 and podd's log says why.",
		gauge, []string{"collector"},
		func(results []result) []sample {
			return each(results, func(r result) float64 { return truth(r.err == nil) })
		},
	},
}

func each(results []result, value func(result) float64) []sample {
	samples := make([]sample, 0, len(results))
	for _, r := range results {
		samples = append(samples, sample{[]string{r.name}, value(r)})
	}
	return samples
}

// truth is 1 for what is so, 0 otherwise.
func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
