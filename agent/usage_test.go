package agent_test

import (
	"encoding/json"
	"testing"
	"time"

	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// TestStats: how busy things are is seen from two readings; only who is the
// first to ask waits for the second.
func TestStats(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		for _, wait := range []time.Duration{500 * time.Millisecond, 0} {
			r.pass(time.Second)
			began := time.Now()
			resp, err := r.life.node.Stats(t.Context(), &poddv1.StatsRequest{OnlyCpuAndMemory: true})
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != wait {
				t.Errorf("it took %v, want %v", took, wait)
			}
			var s stats.Summary
			if err := json.Unmarshal(resp.GetJson(), &s); err != nil {
				t.Fatal(err)
			}
			if s.Node.NodeName == "" || len(s.Pods) != 1 || s.Pods[0].PodRef.Name != "web" || len(s.Pods[0].Containers) != 1 {
				t.Fatalf("%s", resp.GetJson())
			}
			if c := s.Pods[0].Containers[0]; *c.CPU.UsageNanoCores != 500_000_000 || *c.Memory.WorkingSetBytes != 1<<20 {
				t.Errorf("%s", resp.GetJson())
			}
		}
	})
}
