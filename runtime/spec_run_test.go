package runtime_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podd-io/podd/pod"
)

func itoa(i int) string { return strconv.Itoa(i) }

func memory(limit string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)}
}

// TestSeenFromInside asks processes what they were given.
func TestSeenFromInside(t *testing.T) {
	w := newWorld(t)
	w.pod.Spec.HostAliases = []corev1.HostAlias{{IP: "192.0.2.9", Hostnames: []string{"db", "cache"}}}
	w.pod.Spec.SecurityContext = &corev1.PodSecurityContext{
		RunAsUser: ptr[int64](1000), FSGroup: ptr[int64](2000), SupplementalGroups: []int64{3000},
	}
	w.sandbox()

	w.says(script("id -u; id -g; id -G; hostname; cat /etc/hostname /etc/resolv.conf; tail -n 4 /etc/hosts"),
		"1000", "1000", "1000 50 2000 3000", "web", "web", "nameserver 192.0.2.1",
		"192.0.2.7\tweb", "", "# Entries added by HostAliases.", "192.0.2.9\tdb\tcache")

	w.env = []string{"A=1", "HOME=/tmp"}
	w.says(script("echo $A $HOME $HOSTNAME $PATH"), "1 /tmp web /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")

	w.says(corev1.Container{Command: []string{"sh", "-c", "pwd"}, WorkingDir: "/made/for/it"}, "/made/for/it")

	w.says(script("grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; grep -c '/proc/sys proc ro' /proc/mounts; mkdir /sys/fs/cgroup/cpu/x 2>&1"),
		"NoNewPrivs:\t0", "Seccomp:\t2", "1", "mkdir: can't create directory '/sys/fs/cgroup/cpu/x': Read-only file system")

	strict := script("grep -E 'NoNewPrivs|Seccomp:|CapBnd' /proc/self/status; touch /x 2>&1; touch /dev/shm/x && echo shm")
	strict.SecurityContext = &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr(false), ReadOnlyRootFilesystem: ptr(true),
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"NET_BIND_SERVICE"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined},
	}
	w.says(strict, "CapBnd:\t0000000000000400", "NoNewPrivs:\t1", "Seccomp:\t0", "touch: /x: Read-only file system", "shm")
}

// TestLocalhostProfile: a seccomp profile of the node's own.
func TestLocalhostProfile(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	profile := `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}`
	if err := os.MkdirAll(w.Path("lib", "seccomp"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.Path("lib", "seccomp", "nodirs.json"), []byte(profile), 0o644); err != nil {
		t.Fatal(err)
	}
	ctr := script("touch /a && echo touched; mkdir /b 2>&1")
	ctr.SecurityContext = &corev1.SecurityContext{SeccompProfile: &corev1.SeccompProfile{
		Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: ptr("nodirs.json"),
	}}
	w.says(ctr, "touched", "mkdir: can't create directory '/b': Operation not permitted")
}

// TestPrivileged: devices, capabilities, no filter, nothing masked, and a
// container may gain privileges.
func TestPrivileged(t *testing.T) {
	w := newWorld(t)
	ctr := script("grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; test -e /dev/kmsg && echo kmsg; " +
		"mkdir /m && mount -t tmpfs none /m && echo mounted; grep -c ' /sys sysfs rw' /proc/mounts; mkdir /sys/fs/cgroup/cpu/x && rmdir /sys/fs/cgroup/cpu/x && echo cgroup; " +
		"grep -c ' /proc/' /proc/mounts")
	ctr.SecurityContext = &corev1.SecurityContext{Privileged: ptr(true)}
	w.pod.Spec.Containers = []corev1.Container{ctr}
	w.sandbox()
	w.says(ctr, "NoNewPrivs:\t0", "Seccomp:\t0", "kmsg", "mounted", "1", "cgroup", "0")
	w.says(script("mkdir /sys/fs/cgroup/cpu/x 2>&1; grep -c ' /sys sysfs ro' /proc/mounts"),
		"mkdir: can't create directory '/sys/fs/cgroup/cpu/x': Read-only file system", "1")
}

// TestLimits reads them where the kernel has them.
func TestLimits(t *testing.T) {
	w := newWorld(t)
	w.sandbox()
	ctr := script("cd /sys/fs/cgroup; cat cpu/cpu.shares cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us memory/memory.limit_in_bytes; cat /proc/self/oom_score_adj")
	ctr.Resources = corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
	}
	w.change = func(cfg *pod.ContainerConfig) { cfg.OOMScoreAdj = 968 }
	w.says(ctr, "256", "150000", "100000", "67108864", "968")
}

// TestVolumes: read and written, read-only, below a volume, and mounted in any
// order.
func TestVolumes(t *testing.T) {
	w := newWorld(t)
	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "file"), []byte("from the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.pod.Spec.Volumes = []corev1.Volume{
		{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: host}}},
	}
	w.pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr[int64](1000)}
	w.sandbox()
	ctr := script("cat /data/host/file; touch /data/host/x 2>&1; echo hi > /data/a && echo written; echo sub > /sub/b; cat /data/deep/er/b; cat /one; stat -c %a /sub")
	ctr.VolumeMounts = []corev1.VolumeMount{
		{Name: "host", MountPath: "/data/host", ReadOnly: true}, // before the one it is in
		{Name: "data", MountPath: "data"},                       // Kubernetes takes it from the root
		{Name: "data", MountPath: "/sub", SubPathExpr: "$(WHERE)/er"},
		{Name: "host", MountPath: "/one", SubPath: "file"},
	}
	w.env = []string{"WHERE=deep"}
	w.says(ctr, "from the host", "touch: /data/host/x: Read-only file system", "written", "sub", "from the host", "777")

	missing := w.config(ctr)
	missing.Env = nil
	if err := w.Client.Create(t.Context(), missing); err == nil || !strings.Contains(err.Error(), `missing value for "WHERE"`) {
		t.Errorf("created without the variable of a subPathExpr: %v", err)
	}
}

// TestSubPathStaysInside: a link that a container left in a volume leads
// nowhere else.
func TestSubPathStaysInside(t *testing.T) {
	w := newWorld(t)
	w.pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	w.sandbox()
	dir := w.Volumes.Path(w.pod.UID, w.pod.Spec.Volumes[0])
	secret := t.TempDir()
	for link, target := range map[string]string{"abs": secret, "up": "../../../../../../../.." + secret, "etc": "/etc"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
		ctr := script("ls -A /sub")
		ctr.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/sub", SubPath: link}}
		cfg := w.config(ctr)
		err := w.Client.Create(t.Context(), cfg)
		if err == nil { // inside the volume the link's target is an empty directory
			if err := w.Client.Remove(t.Context(), cfg.ID); err != nil {
				t.Fatal(err)
			}
		}
		var inside unix.Stat_t
		var outside unix.Stat_t
		place := w.Path("lib", "pods", string(w.pod.UID), "volume-subpaths", "data", "app", "0")
		if unix.Stat(place, &inside) == nil && unix.Stat(target, &outside) == nil && inside.Ino == outside.Ino && inside.Dev == outside.Dev {
			t.Errorf("%s led out of the volume", link)
		}
	}
}

// TestPropagation: a mount that the host makes later is seen with
// HostToContainer only.
func TestPropagation(t *testing.T) {
	w := newWorld(t)
	shared := t.TempDir()
	if err := unix.Mount("tmpfs", shared, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(shared, unix.MNT_DETACH)
	if err := unix.Mount("", shared, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(shared, "later"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.pod.Spec.Volumes = []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: shared}}}}
	w.sandbox()
	ctr := script("until test -e /private/go; do sleep 0.02; done; ls /slave/later; ls /private/later")
	ctr.VolumeMounts = []corev1.VolumeMount{
		{Name: "host", MountPath: "/slave", MountPropagation: ptr(corev1.MountPropagationHostToContainer)},
		{Name: "host", MountPath: "/private"},
	}
	cfg := w.start(ctr)
	later := filepath.Join(shared, "later")
	if err := unix.Mount("tmpfs", later, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(later, unix.MNT_DETACH)
	for _, name := range []string{filepath.Join(later, "new"), filepath.Join(shared, "go")} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.ended(cfg.ID)
	if out := w.output(cfg); out != "new\n" {
		t.Errorf("it saw %q", out)
	}
}
