package runtime

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

const cgroupUID = types.UID("11111111-2222-3333-4444-555555555555")

func TestWhereCgroupsAre(t *testing.T) {
	type places struct{ pod, container, sandbox, containerSpec, sandboxSpec string }
	for root, want := range map[CgroupRoot]places{
		"/podd": {
			pod:       "/podd/pod11111111-2222-3333-4444-555555555555",
			container: "/podd/pod11111111-2222-3333-4444-555555555555/id", sandbox: "/podd/pod11111111-2222-3333-4444-555555555555/id",
			containerSpec: "/podd/pod11111111-2222-3333-4444-555555555555/id", sandboxSpec: "/podd/pod11111111-2222-3333-4444-555555555555/id",
		},
		"podd.slice": {
			pod:           "/podd.slice/podd-pod11111111_2222_3333_4444_555555555555.slice",
			container:     "/podd.slice/podd-pod11111111_2222_3333_4444_555555555555.slice/podd-pod11111111_2222_3333_4444_555555555555-id.slice",
			sandbox:       "/podd.slice/podd-pod11111111_2222_3333_4444_555555555555.slice/podd-id.scope",
			containerSpec: "podd-pod11111111_2222_3333_4444_555555555555-id.slice:podd:id",
			sandboxSpec:   "podd-pod11111111_2222_3333_4444_555555555555.slice:podd:id",
		},
		"a-b.slice": {
			pod:           "/a.slice/a-b.slice/a-b-pod11111111_2222_3333_4444_555555555555.slice",
			container:     "/a.slice/a-b.slice/a-b-pod11111111_2222_3333_4444_555555555555.slice/a-b-pod11111111_2222_3333_4444_555555555555-id.slice",
			sandbox:       "/a.slice/a-b.slice/a-b-pod11111111_2222_3333_4444_555555555555.slice/a-b-id.scope",
			containerSpec: "a-b-pod11111111_2222_3333_4444_555555555555-id.slice:a-b:id",
			sandboxSpec:   "a-b-pod11111111_2222_3333_4444_555555555555.slice:a-b:id",
		},
	} {
		got := places{
			root.Pod(cgroupUID), root.Container(cgroupUID, "id"), root.Sandbox(cgroupUID, "id"),
			root.ContainerSpec(cgroupUID, "id"), root.SandboxSpec(cgroupUID, "id"),
		}
		if got != want {
			t.Errorf("%s:\n%+v\nwant\n%+v", root, got, want)
		}
	}
}

// TestUIDsOfCgroups: whatever a uid may be, its cgroup leads back to it.
func TestUIDsOfCgroups(t *testing.T) {
	for _, root := range []CgroupRoot{"/podd", "podd.slice", "a-b.slice"} {
		for _, uid := range []types.UID{cgroupUID, "a", "a_b-c", "a--b", `A.slice`, "x_", "0123456789abcdef0123456789abcdef"} {
			if got, ok := root.UID(root.podName(uid)); got != uid || !ok {
				t.Errorf("%s: %s is the pod %q, %v; want %q", root, root.podName(uid), got, ok, uid)
			}
		}
	}
	for root, names := range map[CgroupRoot][]string{
		"/podd":      {"pod", "other", ""},
		"podd.slice": {"podd-pod.slice", "podd-other.slice", "podd-podx.scope", "podx", "podd-podx", ""},
	} {
		for _, name := range names {
			if uid, ok := root.UID(name); ok {
				t.Errorf("%s: %q is the pod %q", root, name, uid)
			}
		}
	}
}

func TestScopesHaveNoTaskLimit(t *testing.T) {
	if s := applied(t, CgroupRoot("/podd").noTaskLimit()); s.Linux.Resources != nil {
		t.Errorf("without systemd: %+v", s.Linux.Resources)
	}
	if s := applied(t, CgroupRoot("podd.slice").noTaskLimit()); s.Linux.Resources == nil || *s.Linux.Resources.Pids.Limit != -1 {
		t.Errorf("%+v", s.Linux.Resources)
	}
}

func TestScopesAreDescribed(t *testing.T) {
	if got := CgroupRoot("/podd").Annotations("x"); got != nil {
		t.Errorf("without systemd: %v", got)
	}
	got := CgroupRoot("podd.slice").Annotations("Container main of pod default/web")
	if got["org.systemd.property.Description"] != "'Container main of pod default/web'" || got["org.systemd.property.CollectMode"] != "'inactive-or-failed'" {
		t.Errorf("%v", got)
	}
}
