package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Actions counts the actions that were carried out, by kind. It is safe for use
// by many goroutines.
type Actions struct {
	durations *prometheus.HistogramVec
	errors    *prometheus.CounterVec
}

// NewActions makes counters at zero.
func NewActions() *Actions {
	return &Actions{
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "podd_action_duration_seconds",
			Help: "How long actions took, failed ones included.",
			// An unwiring takes milliseconds, a pull minutes.
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}, []string{"kind"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "podd_action_errors_total",
			Help: "How many actions failed.",
		}, []string{"kind"}),
	}
}

// Done counts one action of a kind.
func (a *Actions) Done(kind string, took time.Duration, failed bool) {
	a.durations.WithLabelValues(kind).Observe(took.Seconds())
	errors := a.errors.WithLabelValues(kind) // there from the first action on, at 0
	if failed {
		errors.Inc()
	}
}

// Describe implements prometheus.Collector.
func (a *Actions) Describe(out chan<- *prometheus.Desc) {
	a.durations.Describe(out)
	a.errors.Describe(out)
}

// Collect implements prometheus.Collector.
func (a *Actions) Collect(out chan<- prometheus.Metric) {
	a.durations.Collect(out)
	a.errors.Collect(out)
}
