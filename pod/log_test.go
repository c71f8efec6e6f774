package pod_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

func TestLogLimits(t *testing.T) {
	for _, c := range []struct {
		size, files string
		want        pod.LogLimits
		says        string
	}{
		{want: pod.LogLimits{}},
		{size: "1Mi", files: "3", want: pod.LogLimits{MaxSize: 1 << 20, MaxFiles: 3}},
		{size: "web=100Mi, init=64Ki", want: pod.LogLimits{MaxSize: 100 << 20}},
		{size: "init=64Ki", files: "web=1", want: pod.LogLimits{MaxFiles: 1}},
		{size: "1Ki", says: "podd.io/log-max-size: 1Ki is less than 64Ki"},
		{size: "much", says: `podd.io/log-max-size: "much" is not a quantity`},
		{files: "0", says: `podd.io/log-max-files: "0" is not a number from 1 to 1000`},
		{files: "web=x", says: `podd.io/log-max-files: "x" is not a number`},
		{size: "nobody=1Mi", says: `podd.io/log-max-size: the pod has no container "nobody"`},
		{size: "web=", says: `"web=" is not of the form container=value`},
		{size: "web=1Mi,1Mi", says: `"1Mi" is not of the form container=value`},
	} {
		p := &corev1.Pod{}
		p.Spec.Containers = []corev1.Container{{Name: "web"}}
		p.Spec.InitContainers = []corev1.Container{{Name: "init"}}
		p.Annotations = map[string]string{pod.LogMaxSizeAnnotation: c.size, pod.LogMaxFilesAnnotation: c.files}
		got, err := pod.LogLimitsOf(p, "web")
		if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q %q: %+v, %v", c.size, c.files, got, err)
		}
	}
}
