package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func at(seconds int64) metav1.Time { return metav1.NewTime(time.Unix(1_700_000_000+seconds, 0)) }

func list(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
}

// running is a pod with a sidecar and an init container, ready.
func running(name string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-of-" + name), CreationTimestamp: at(0)},
		Spec: corev1.PodSpec{
			NodeName: "box", RestartPolicy: corev1.RestartPolicyAlways, PriorityClassName: "high", ServiceAccountName: "default",
			RuntimeClassName: new("crun"),
			InitContainers:   []corev1.Container{{Name: "wait", Image: "busybox"}, {Name: "proxy", Image: "envoy", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}},
			Containers: []corev1.Container{{
				Name: "web", Image: "nginx:1", Resources: corev1.ResourceRequirements{Requests: list("250m", "64Mi"), Limits: list("1", "128Mi")},
			}},
			Volumes: []corev1.Volume{
				{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "files"}}},
				{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}},
			},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, QOSClass: corev1.PodQOSBurstable, HostIP: "192.0.2.1", PodIP: "10.88.0.2",
			PodIPs: []corev1.PodIP{{IP: "10.88.0.2"}, {IP: "fd00::2"}}, StartTime: new(at(1)),
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: "web", Ready: true, RestartCount: 2, Image: "docker.io/library/nginx:1", ImageID: "sha256:1", ContainerID: "containerd://1",
				State:                corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(4)}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled", FinishedAt: at(3)}},
			}},
			InitContainerStatuses: []corev1.ContainerStatus{
				{Name: "wait", Ready: true, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: at(1), FinishedAt: at(2)}}},
				{Name: "proxy", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(2)}}},
			},
		},
	}
	for i, c := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue, LastTransitionTime: at(int64(i))})
	}
	return p
}

// world is a snapshot with something of everything.
func world() Snapshot {
	looping := podIn(corev1.PodRunning, "looping")
	looping.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "a", RestartCount: 5, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
	}}
	looping.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady"}}
	refused := podIn(corev1.PodFailed, "refused")
	refused.Status.Reason = "OutOfcpu"
	refused.OwnerReferences = []metav1.OwnerReference{{Kind: "Job", Name: "night", Controller: new(true)}, {Kind: "Thing", Name: "t"}}
	done := podIn(corev1.PodSucceeded, "done")
	done.DeletionTimestamp = new(at(9))
	done.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "a", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: at(1), FinishedAt: at(8)}},
	}}
	evicted := podIn(corev1.PodFailed, "evicted")
	evicted.Status.Reason = "Evicted"
	return Snapshot{
		Pods: []*corev1.Pod{running("web"), looping, refused, done, evicted, podIn("", "new")},
		Node: &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "box", CreationTimestamp: at(0)},
			Spec:       corev1.NodeSpec{Unschedulable: true, Taints: []corev1.Taint{{Key: "edge", Value: "yes", Effect: corev1.TaintEffectNoSchedule}}},
			Status: corev1.NodeStatus{
				Capacity: list("4", "8Gi"), Allocatable: corev1.ResourceList{
					corev1.ResourceCPU: resource.MustParse("3500m"), corev1.ResourcePods: resource.MustParse("110"), "nvidia.com/gpu": resource.MustParse("1"),
					corev1.ResourceEphemeralStorage: resource.MustParse("10Gi"), "hugepages-2Mi": resource.MustParse("4Mi"),
				},
				Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}, {Type: corev1.NodeHostName, Address: "box"}},
				Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}, {Type: corev1.NodeDiskPressure, Status: corev1.ConditionUnknown}},
				NodeInfo:   corev1.NodeSystemInfo{KernelVersion: "6.1", OSImage: "Debian 12", ContainerRuntimeVersion: "containerd://2", KubeletVersion: "v1.37.2", SystemUUID: "u"},
			},
		},
		Namespaces: []*corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "default", CreationTimestamp: at(0)}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}}},
		ConfigMaps: []*corev1.ConfigMap{{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "settings", CreationTimestamp: at(0)}}},
		Secrets:    []*corev1.Secret{{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "key", CreationTimestamp: at(0)}, Type: corev1.SecretTypeOpaque}},
		Claims: []*corev1.PersistentVolumeClaim{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "files", CreationTimestamp: at(0)},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, VolumeMode: new(corev1.PersistentVolumeFilesystem), StorageClassName: new("local"),
				Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			},
			Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
		}},
	}
}

func TestKubeState(t *testing.T) {
	page := table[Snapshot]{kubeState(), func() (Snapshot, error) { return world(), nil }}
	golden(t, "testdata/kube-state.txt", page)
	problems, err := testutil.GatherAndLint(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestSeriesOfKubeStateAreBounded: they grow with the pods and containers, and
// by no more than so many for each, whatever happened to them.
func TestSeriesOfKubeStateAreBounded(t *testing.T) {
	count := func(pods int) (n int) {
		var s Snapshot
		for i := range pods {
			s.Pods = append(s.Pods, running(fmt.Sprintf("web-%d", i)))
		}
		for _, family := range families(kubeState(), s) {
			n += len(family.GetMetric())
		}
		return n
	}
	if one, all := count(1), count(300); all != 300*one || one > 90 {
		t.Errorf("%d series for one pod of three containers, %d for 300", one, all)
	}
}

// TestNoSeriesButInfoTellsAnID: a container's, or an image's, is new with every
// start.
func TestNoSeriesButInfoTellsAnID(t *testing.T) {
	for _, row := range kubeState() {
		for _, label := range row.labels {
			if (strings.HasSuffix(label, "_id") && label != "provider_id") && !strings.HasSuffix(row.name, "_info") {
				t.Errorf("%s has the label %s", row.name, label)
			}
		}
	}
}
