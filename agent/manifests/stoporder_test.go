package manifests

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/store"
	"github.com/podd-io/podd/pod"
)

func TestRemovedInStopOrder(t *testing.T) {
	one := func(kind, name string, obj agent.Object) *agent.Entry {
		return &agent.Entry{Key: store.Key{Kind: kind, Namespace: "default", Name: name}, Object: obj}
	}
	named := func(name, after string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name,
			Annotations: map[string]string{pod.StartAfterAnnotation: after}}}
	}
	got := ""
	for _, e := range inStopOrder([]*agent.Entry{
		one(agent.KindConfigMap, "cfg", &corev1.ConfigMap{}), one(agent.KindPod, "db", named("db", "")), one(agent.KindPod, "web", named("web", "pod/db=Ready")),
	}) {
		got += e.Key.Name + " "
	}
	if got != "web db cfg " {
		t.Error(got)
	}
}
