package metrics

import (
	"cmp"
	"slices"

	dto "github.com/prometheus/client_model/go"
)

// table is what is computed from one reading of something when it is asked for.
type table[T any] struct {
	rows []metric[T]
	read func() (T, error)
}

// metric is one row: everything there is to know about a metric that is
// computed when it is asked for.
type metric[T any] struct {
	name, help string
	kind       dto.MetricType
	labels     []string
	// values are what the metric is now, one sample per set of label values.
	values func(T) []sample
}

// The kinds of metric that can be computed from what there is.
const (
	gauge   = dto.MetricType_GAUGE
	counter = dto.MetricType_COUNTER
)

// sample is a value with its label values, in the order of the row's labels.
type sample struct {
	labels []string
	value  float64
}

// Gather implements prometheus.Gatherer. All of one scrape is of one reading,
// and what was read is told even if not all could be. It does not check that
// series differ, as a registry does: that is what golden files are for, and
// costs more than all the rest.
func (t table[T]) Gather() ([]*dto.MetricFamily, error) {
	from, err := t.read()
	return families(t.rows, from), err
}

// families leaves out metrics without samples.
func families[T any](rows []metric[T], from T) []*dto.MetricFamily {
	all := make([]*dto.MetricFamily, 0, len(rows))
	for i := range rows {
		row := &rows[i]
		samples := row.values(from)
		if len(samples) == 0 {
			continue
		}
		family := &dto.MetricFamily{Name: &row.name, Help: &row.help, Type: &row.kind, Metric: make([]*dto.Metric, 0, len(samples))}
		for _, s := range samples {
			family.Metric = append(family.Metric, valued(row.kind, pairs(row.labels, s.labels), s.value))
		}
		all = append(all, family)
	}
	return all
}

// pairs are labels in the order of their names, as every format wants them.
func pairs(names, values []string) []*dto.LabelPair {
	out := make([]*dto.LabelPair, 0, len(names))
	for i, name := range names {
		out = append(out, &dto.LabelPair{Name: &name, Value: &values[i]})
	}
	slices.SortFunc(out, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return out
}

func valued(kind dto.MetricType, labels []*dto.LabelPair, value float64) *dto.Metric {
	if kind == counter {
		return &dto.Metric{Label: labels, Counter: &dto.Counter{Value: &value}}
	}
	return &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: &value}}
}
