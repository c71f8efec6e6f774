package metrics

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// documented are the pages, and the golden files that show all of their metrics.
var documented = []struct {
	path   string
	golden []string
}{
	{"/metrics", []string{"metrics.txt"}},
	{"/metrics/cadvisor", []string{"cadvisor-v1.txt", "cadvisor-v2.txt"}},
	{"/metrics/resource", []string{"resource-v1.txt", "resource-v2.txt"}},
	{"/metrics/probes", []string{"probes.txt"}},
	{"/metrics/kube-state", []string{"kube-state.txt"}},
}

// TestDocsAreCurrent holds docs/metrics-list.md to what is served; with -rewrite
// it writes it anew.
func TestDocsAreCurrent(t *testing.T) {
	var out strings.Builder
	out.WriteString("# Every metric\n\nMade by `make generate`. On every page are besides `podd_scrape_collector_success` and\n" +
		"`podd_scrape_collector_duration_seconds`; on `/metrics` also client_golang's `go_*` and `process_*`.\n")
	for _, page := range documented {
		fmt.Fprintf(&out, "\n## %s\n\n| metric | type | labels | what |\n|---|---|---|---|\n", page.path)
		known := map[string]*dto.MetricFamily{}
		for _, file := range page.golden {
			f, err := os.Open(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			parser := expfmt.NewTextParser(model.LegacyValidation)
			families, err := parser.TextToMetricFamilies(f)
			f.Close()
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(known, families)
		}
		for _, name := range slices.Sorted(maps.Keys(known)) {
			if family := known[name]; !strings.HasPrefix(name, "podd_scrape_") {
				fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(family.GetType().String()), labelsOf(family), strings.ReplaceAll(family.GetHelp(), "|", `\|`))
			}
		}
	}
	const file = "../docs/metrics-list.md"
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != out.String() {
		t.Errorf("%s is not what is served (%v): run make generate", file, err)
	}
}

func labelsOf(family *dto.MetricFamily) string {
	var names []string
	for _, l := range family.GetMetric()[0].GetLabel() {
		names = append(names, "`"+l.GetName()+"`")
	}
	return strings.Join(names, " ")
}
