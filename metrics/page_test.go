package metrics

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestAPartThatFailsHidesNothing: what could be read is told, that of the part
// that failed as well, and which one it was.
func TestAPartThatFailsHidesNothing(t *testing.T) {
	up := []metric[float64]{{"up", "It is.", gauge, nil, func(v float64) []sample { return []sample{{nil, v}} }}}
	half := []metric[float64]{
		{"half", "As much as could be read.", counter, []string{"z", "a"}, func(v float64) []sample { return []sample{{[]string{"1", "2"}, v}} }},
		{"none", "Nothing.", gauge, nil, func(float64) []sample { return nil }},
	}
	p := page{"/x", []part{
		{"broken", table[float64]{half, func() (float64, error) { return 0.5, errors.New("no such cgroup") }}},
		{"sound", table[float64]{up, func() (float64, error) { return 1, nil }}},
	}}
	families, err := p.Gather()
	if err == nil || err.Error() != "collector broken: no such cgroup" {
		t.Errorf("error %v", err)
	}
	success := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "podd_scrape_collector_success" {
				success[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	if len(families) != 4 || success["broken"] != 0 || success["sound"] != 1 || len(success) != 2 {
		t.Errorf("%d families, success %v: %v", len(families), success, families)
	}
	p.parts[0].from = table[float64]{half, func() (float64, error) { return 0.5, nil }}
	const want = `# HELP half As much as could be read.
# TYPE half counter
half{a="2",z="1"} 0.5
# HELP podd_scrape_collector_success Whether a collector of this page could be read, this time: 1, or 0 and podd's log says why.
# TYPE podd_scrape_collector_success gauge
podd_scrape_collector_success{collector="broken"} 1
podd_scrape_collector_success{collector="sound"} 1
# HELP up It is.
# TYPE up gauge
up 1
`
	if err := testutil.GatherAndCompare(p, strings.NewReader(want), "half", "none", "up", "podd_scrape_collector_success"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(p, "podd_scrape_collector_success", "podd_scrape_collector_duration_seconds")
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

// TestEveryCollectorHasANameOfItsOwn, over all pages, and every page a path.
func TestEveryCollectorHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range pages(Config{Snapshot: func() Snapshot { return Snapshot{} }, Meter: NewMeter(), Images: NewImages(), Store: NewStore()}) {
		names := []string{p.path}
		for _, part := range p.parts {
			names = append(names, part.name)
		}
		for _, name := range names {
			if seen[name] {
				t.Errorf("%q is there twice", name)
			}
			seen[name] = true
		}
	}
}
