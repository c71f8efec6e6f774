package summary_test

import (
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podd-io/podd/agent/summary"
	"github.com/podd-io/podd/pod"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/ anew")

// TestOf makes the Summary of what package stats reads of captured files.
func TestOf(t *testing.T) {
	time.Local = time.UTC // times are told in the local zone
	for _, version := range []string{"v1", "v2"} {
		text, err := os.ReadFile("../../runtime/stats/testdata/usage-" + version + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var u pod.Usage
		if err := json.Unmarshal(text, &u); err != nil {
			t.Fatal(err)
		}
		u.Pods[0].CPU.Cores, u.Pods[0].CPU.Window = 0.25, 10*time.Second
		at := metav1.NewTime(u.Node.Time.Add(-2 * time.Hour))
		u.Pods[0].Pod.Status.StartTime = &at
		u.Pods[0].Network = append([]pod.InterfaceUsage{{Name: "a0", ReceivedBytes: 1}}, u.Pods[0].Network...)
		for name, of := range map[string]pod.UsageOf{"all": pod.UsageAll, "core": pod.UsageCore} {
			got, err := json.MarshalIndent(summary.Of("edge", u, of), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			compare(t, "testdata/"+name+"-"+version+".json", string(got)+"\n")
		}
	}
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -rewrite writes it anew):\n%s", file, diff)
	}
}
