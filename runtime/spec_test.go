package runtime

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podd-io/podd/pod"
)

func ptr[T any](v T) *T { return &v }

// base is containerd's own spec, which the options change.
func base() *oci.Spec {
	return &oci.Spec{
		Root: &specs.Root{},
		Process: &specs.Process{
			NoNewPrivileges: true,
			Capabilities:    &specs.LinuxCapabilities{Bounding: []string{"CAP_CHOWN", "CAP_KILL"}, Effective: []string{"CAP_CHOWN", "CAP_KILL"}, Permitted: []string{"CAP_CHOWN", "CAP_KILL"}},
		},
		Linux: &specs.Linux{
			MaskedPaths: []string{"/proc/kcore"}, ReadonlyPaths: []string{"/proc/sys"},
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
				{Type: specs.MountNamespace}, {Type: specs.NetworkNamespace},
			},
		},
	}
}

func applied(t *testing.T, opts ...oci.SpecOpts) *oci.Spec {
	t.Helper()
	s := base()
	for _, o := range opts {
		if err := o(t.Context(), nil, &containers.Container{}, s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestProcessArgs(t *testing.T) {
	image := ocispec.ImageConfig{Entrypoint: []string{"/entry"}, Cmd: []string{"cmd"}}
	for _, c := range []struct {
		command, args []string
		image         ocispec.ImageConfig
		want          string
	}{
		{nil, nil, image, "/entry cmd"},
		{nil, []string{"arg"}, image, "/entry arg"},
		{[]string{"run"}, nil, image, "run"},
		{[]string{"run"}, []string{"arg"}, image, "run arg"},
		{nil, nil, ocispec.ImageConfig{Cmd: []string{"sh"}}, "sh"},
		{nil, []string{"arg"}, ocispec.ImageConfig{}, "arg"},
	} {
		got, err := processArgs(pod.ContainerConfig{Command: c.command, Args: c.args}, c.image)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q %q: %q, %v", c.command, c.args, got, err)
		}
	}
	cfg := pod.ContainerConfig{Container: &corev1.Container{Name: "app", Image: "img"}}
	if got, err := processArgs(cfg, ocispec.ImageConfig{}); err == nil {
		t.Errorf("nothing to run: %q", got)
	}
}

func TestEnvironment(t *testing.T) {
	cfg := pod.ContainerConfig{
		Pod: &corev1.Pod{}, Container: &corev1.Container{TTY: true}, Hostname: "web", Domain: "sub.default.svc",
		Env: []string{"A=pod", "B=b=c", "A=again", "EMPTY="},
	}
	image := ocispec.ImageConfig{Env: []string{"PATH=/bin", "A=image", "HOSTNAME=image"}}
	s := applied(t, environment(cfg, image))
	want := []string{"PATH=/bin", "TERM=xterm", "A=again", "HOSTNAME=web", "B=b=c", "EMPTY="}
	if diff := cmp.Diff(want, s.Process.Env); diff != "" {
		t.Error(diff)
	}
	cfg.Pod.Spec.SetHostnameAsFQDN = ptr(true)
	if env := applied(t, environment(cfg, image)).Process.Env; !slices.Contains(env, "HOSTNAME=web.sub.default.svc") {
		t.Errorf("%q", env)
	}
}

func TestWorkingDir(t *testing.T) {
	for _, c := range []struct{ pod, image, want string }{{"", "", "/"}, {"", "/img", "/img"}, {"/own", "/img", "/own"}} {
		cfg := pod.ContainerConfig{Container: &corev1.Container{WorkingDir: c.pod}}
		if got := workingDir(cfg, ocispec.ImageConfig{WorkingDir: c.image}); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestUserOf(t *testing.T) {
	for _, c := range []struct {
		user, group *int64
		image       string
		whole, name string
	}{
		{nil, nil, "", "0", "0"},
		{nil, nil, "app", "app", "app"},
		{nil, nil, "app:staff", "app:staff", "app"},
		{nil, nil, ":5", "0:5", "0"},
		{nil, ptr[int64](7), "", "0:7", "0"},
		{nil, ptr[int64](7), "app:staff", "app:7", "app"},
		{ptr[int64](1000), nil, "app:staff", "1000", "1000"},
		{ptr[int64](1000), ptr[int64](7), "", "1000:7", "1000"},
		{ptr[int64](0), nil, "app", "0", "0"},
	} {
		whole, name := userOf(corev1.SecurityContext{RunAsUser: c.user, RunAsGroup: c.group}, c.image)
		if whole != c.whole || name != c.name {
			t.Errorf("%v %v %q: %q %q, want %q %q", c.user, c.group, c.image, whole, name, c.whole, c.name)
		}
	}
}

func TestUserLabel(t *testing.T) {
	for _, u := range []specs.User{{}, {UID: 1000, GID: 7}, {UID: 1, GID: 2, AdditionalGids: []uint32{3, 4}}} {
		got := parseUser(formatUser(u))
		if got == nil || got.UID != int64(u.UID) || got.GID != int64(u.GID) || len(got.SupplementalGroups) != len(u.AdditionalGids) {
			t.Errorf("%+v became %+v", u, got)
		}
	}
	for _, label := range []string{"", "1000", "a:b:c", "1:b:", "1:2:3:4"} {
		if got := parseUser(label); got != nil {
			t.Errorf("%q became %+v", label, got)
		}
	}
}

// TestEffective: the container's own values win.
func TestEffective(t *testing.T) {
	p := &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{
		RunAsUser: ptr[int64](1), RunAsGroup: ptr[int64](2),
		SeccompProfile:  &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined},
		AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined},
	}}}
	got := effective(p, &corev1.Container{SecurityContext: &corev1.SecurityContext{RunAsUser: ptr[int64](0), Privileged: ptr(true)}})
	if *got.RunAsUser != 0 || *got.RunAsGroup != 2 || got.SeccompProfile == nil || got.AppArmorProfile == nil || !*got.Privileged {
		t.Errorf("%+v", got)
	}
	if got := effective(&corev1.Pod{}, &corev1.Container{}); !cmp.Equal(got, corev1.SecurityContext{}) {
		t.Errorf("%+v", got)
	}
}

func TestCapabilities(t *testing.T) {
	for name, c := range map[string]struct {
		add, drop []corev1.Capability
		want      []string
	}{
		"none":       {nil, nil, []string{"CAP_CHOWN", "CAP_KILL"}},
		"add":        {[]corev1.Capability{"NET_ADMIN"}, nil, []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN"}},
		"drop":       {nil, []corev1.Capability{"kill"}, []string{"CAP_CHOWN"}},
		"drop all":   {nil, []corev1.Capability{"ALL"}, nil},
		"all but":    {[]corev1.Capability{"CAP_SYS_TIME"}, []corev1.Capability{"all"}, []string{"CAP_SYS_TIME"}},
		"drop added": {[]corev1.Capability{"NET_ADMIN"}, []corev1.Capability{"NET_ADMIN", "KILL"}, []string{"CAP_CHOWN"}},
	} {
		s := applied(t, capabilities(&corev1.Capabilities{Add: c.add, Drop: c.drop})...)
		for _, set := range [][]string{s.Process.Capabilities.Bounding, s.Process.Capabilities.Effective, s.Process.Capabilities.Permitted} {
			if !slices.Equal(set, c.want) {
				t.Errorf("%s: %v, want %v", name, set, c.want)
			}
		}
	}
	if got := applied(t, capabilities(&corev1.Capabilities{Add: []corev1.Capability{"ALL"}, Drop: []corev1.Capability{"SYS_TIME"}})...); len(got.Process.Capabilities.Bounding) < 5 ||
		slices.Contains(got.Process.Capabilities.Bounding, "CAP_SYS_TIME") {
		t.Errorf("all but one: %v", got.Process.Capabilities.Bounding)
	}
}

func TestSecurity(t *testing.T) {
	c := &Client{log: zap.NewNop()}
	secured := func(sc corev1.SecurityContext, byDefault bool) *oci.Spec {
		t.Helper()
		opts, err := c.securityOpts(pod.ContainerConfig{SeccompDefault: byDefault}, sc)
		if err != nil {
			t.Fatal(err)
		}
		return applied(t, opts...)
	}
	plain := secured(corev1.SecurityContext{}, true)
	if plain.Linux.Seccomp == nil || plain.Process.NoNewPrivileges || plain.Root.Readonly || len(plain.Linux.MaskedPaths) == 0 {
		t.Errorf("by default: %+v %+v", plain.Process, plain.Linux)
	}
	if s := secured(corev1.SecurityContext{}, false); s.Linux.Seccomp != nil {
		t.Error("a profile where the node asks for none")
	}
	unconfined := corev1.SecurityContext{
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}, ProcMount: ptr(corev1.UnmaskedProcMount),
		ReadOnlyRootFilesystem: ptr(true), AllowPrivilegeEscalation: ptr(false),
	}
	if s := secured(unconfined, true); s.Linux.Seccomp != nil || len(s.Linux.MaskedPaths)+len(s.Linux.ReadonlyPaths) > 0 || !s.Root.Readonly || !s.Process.NoNewPrivileges {
		t.Errorf("as asked for: %+v %+v", s.Process, s.Linux)
	}
	asked := corev1.SecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	if s := secured(asked, false); s.Linux.Seccomp == nil {
		t.Error("no profile although one is asked for")
	}
	var failure *pod.Failure
	_, err := c.securityOpts(pod.ContainerConfig{}, corev1.SecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost}})
	if !errors.As(err, &failure) || failure.Reason != "CreateContainerConfigError" {
		t.Errorf("a local profile without a name: %v", err)
	}
}

// TestPrivilegedStaysAlone: making one container's mounts writable leaves the
// next one's as they are.
func TestPrivilegedStaysAlone(t *testing.T) {
	mode := func(opts ...oci.SpecOpts) string {
		s := applied(t, append([]oci.SpecOpts{withMounts(nil)}, opts...)...)
		return s.Mounts[0].Options[len(s.Mounts[0].Options)-1]
	}
	if got := mode(oci.WithWriteableCgroupfs); got != "rw" {
		t.Errorf("a privileged container's cgroups are %s", got)
	}
	if got := mode(); got != "ro" {
		t.Errorf("the next container's cgroups are %s", got)
	}
}

func TestJoin(t *testing.T) {
	for name, c := range map[string]struct {
		spec corev1.PodSpec
		want map[specs.LinuxNamespaceType]string // "" is an own one; what is not there is the host's
	}{
		"plain": {corev1.PodSpec{}, map[specs.LinuxNamespaceType]string{
			"pid": "", "mount": "", "ipc": "/proc/5/ns/ipc", "uts": "/proc/5/ns/uts", "network": "/proc/5/ns/net"}},
		"shared pid": {corev1.PodSpec{ShareProcessNamespace: ptr(true)}, map[specs.LinuxNamespaceType]string{
			"pid": "/proc/5/ns/pid", "mount": "", "ipc": "/proc/5/ns/ipc", "uts": "/proc/5/ns/uts", "network": "/proc/5/ns/net"}},
		"host": {corev1.PodSpec{HostNetwork: true, HostIPC: true, HostPID: true}, map[specs.LinuxNamespaceType]string{"mount": ""}},
	} {
		got := map[specs.LinuxNamespaceType]string{}
		for _, ns := range applied(t, join(c.spec, 5)).Linux.Namespaces {
			got[ns.Type] = ns.Path
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestResources(t *testing.T) {
	list := func(cpu, mem string) corev1.ResourceList {
		out := corev1.ResourceList{}
		if cpu != "" {
			out[corev1.ResourceCPU] = resource.MustParse(cpu)
		}
		if mem != "" {
			out[corev1.ResourceMemory] = resource.MustParse(mem)
		}
		return out
	}
	for _, c := range []struct {
		requests, limits corev1.ResourceList
		shares           uint64
		quota, memory    int64 // 0 is none
	}{
		{nil, nil, 2, 0, 0},
		{list("250m", "64Mi"), nil, 256, 0, 0},
		{list("1m", ""), list("5m", "1Gi"), 2, 1000, 1 << 30},
		{nil, list("2", ""), 2048, 200_000, 0},
		{list("0", ""), list("1500m", ""), 2, 150_000, 0},
	} {
		req := corev1.ResourceRequirements{Requests: c.requests, Limits: c.limits}
		cpu, mem := linuxCPU(req), linuxMemory(req, true)
		if *cpu.Shares != c.shares || (c.quota == 0) != (cpu.Quota == nil) || c.quota != 0 && (*cpu.Quota != c.quota || *cpu.Period != 100_000) {
			t.Errorf("%+v: %+v", c, cpu)
		}
		if (c.memory == 0) != (mem == nil) || mem != nil && (*mem.Limit != c.memory || *mem.Swap != c.memory) {
			t.Errorf("%+v: %+v", c, mem)
		}
		if mem := linuxMemory(req, false); mem != nil && mem.Swap != nil {
			t.Errorf("%+v: a limit of swap that the kernel can't keep", c)
		}
	}
	if got := unified(true); got["memory.swap.max"] != "0" || got["memory.oom.group"] != "1" {
		t.Error(got)
	}
}

func TestOrderMounts(t *testing.T) {
	in := []specs.Mount{
		{Destination: "/proc"}, {Destination: "/dev"}, {Destination: "/dev/shm", Source: "own"}, {Destination: "/data/deep/er"},
		{Destination: "/data/"}, {Destination: "/dev/shm", Source: "the pod's"}, {Destination: "/"}, {Destination: "/data/deep"},
	}
	var got []string
	for _, m := range orderMounts(in) {
		got = append(got, m.Destination+m.Source)
	}
	want := []string{"/", "/data/", "/dev", "/proc", "/data/deep", "/dev/shmthe pod's", "/data/deep/er"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRootPropagation(t *testing.T) {
	mounts := func(modes ...string) (out []specs.Mount) {
		for _, m := range modes {
			out = append(out, specs.Mount{Options: []string{"rbind", m}})
		}
		return out
	}
	for want, in := range map[string][]specs.Mount{
		"": mounts("rprivate"), "rslave": mounts("rprivate", "rslave"), "rshared": mounts("rslave", "rshared", "rslave"),
	} {
		if got := rootPropagation(in); got != want {
			t.Errorf("%v: %q", in, got)
		}
	}
}

func TestAccessMode(t *testing.T) {
	mode := func(m corev1.RecursiveReadOnlyMode) *corev1.RecursiveReadOnlyMode { return &m }
	for _, c := range []struct {
		mount corev1.VolumeMount
		want  string
	}{
		{corev1.VolumeMount{}, "rw"},
		{corev1.VolumeMount{ReadOnly: true}, "ro"},
		{corev1.VolumeMount{ReadOnly: true, RecursiveReadOnly: mode(corev1.RecursiveReadOnlyDisabled)}, "ro"},
		{corev1.VolumeMount{ReadOnly: true, RecursiveReadOnly: mode(corev1.RecursiveReadOnlyEnabled)}, "rro"},
		{corev1.VolumeMount{ReadOnly: true, RecursiveReadOnly: mode(corev1.RecursiveReadOnlyIfPossible)}, "rro"},
	} {
		if got, err := accessMode(c.mount); err != nil || got != c.want {
			t.Errorf("%+v: %q, %v", c.mount, got, err)
		}
	}
}

func TestSubPath(t *testing.T) {
	env := []string{"NAME=web", "EVIL=../..", "ABS=/etc"}
	for _, c := range []struct{ path, expr, want, fails string }{
		{"", "", "", ""},
		{"a/b", "", "a/b", ""},
		{"", "logs/$(NAME)", "logs/web", ""},
		{"", "$$(NAME)", "$(NAME)", ""},
		{"", "$(NOSUCH)", "", `missing value for "NOSUCH"`},
		{"", "a/$(EVIL)", "", "must not contain '..'"},
		{"", "$(ABS)", "", "must not be an absolute path"},
	} {
		got, err := subPath(corev1.VolumeMount{SubPath: c.path, SubPathExpr: c.expr}, env)
		if c.fails == "" && (err != nil || got != c.want) || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
			t.Errorf("%q %q: %q, %v", c.path, c.expr, got, err)
		}
	}
}

func TestHosts(t *testing.T) {
	cfg := pod.ContainerConfig{
		Pod:      &corev1.Pod{Spec: corev1.PodSpec{HostAliases: []corev1.HostAlias{{IP: "192.0.2.9", Hostnames: []string{"db", "cache"}}}}},
		Hostname: "web", Domain: "sub.default.svc.cluster.local", PodIPs: []string{"192.0.2.7", "2001:db8::7"},
	}
	got, err := hostsText(cfg)
	want := "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
		"fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n" +
		"192.0.2.7\tweb.sub.default.svc.cluster.local\tweb\n2001:db8::7\tweb.sub.default.svc.cluster.local\tweb\n" +
		"\n# Entries added by HostAliases.\n192.0.2.9\tdb\tcache\n"
	if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
		t.Error(err, diff)
	}
	cfg.Domain, cfg.Pod.Spec.HostAliases = "", nil
	if got, err := hostsText(cfg); err != nil || !strings.HasSuffix(string(got), "ip6-allrouters\n192.0.2.7\tweb\n2001:db8::7\tweb\n") {
		t.Errorf("%s, %v", got, err)
	}
	cfg.Pod.Spec.HostNetwork = true
	if got, err := hostsText(cfg); err != nil || !strings.HasPrefix(string(got), "# Kubernetes-managed hosts file (host network).\n") || !strings.Contains(string(got), "localhost") {
		t.Errorf("%s, %v", got, err)
	}
}

// TestTrimRuntime: what runc and crun say through shim and containerd.
func TestTrimRuntime(t *testing.T) {
	for msg, want := range map[string]string{
		`failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "foo": executable file not found in $PATH: unknown`: `exec: "foo": executable file not found in $PATH`,
		"failed to create shim task: OCI runtime create failed: crun: executable file `foo` not found in $PATH: No such file or directory: unknown":                                                           "executable file `foo` not found in $PATH: No such file or directory",
		"rpc error: code = Unknown desc = failed to create shim task: something else":                                                                                                                         "something else",
		"plain": "plain",
	} {
		if got := trimRuntime(msg); got != want {
			t.Errorf("%s\nbecame %s", msg, got)
		}
	}
}

func TestKindOf(t *testing.T) {
	if got := kindOf(context.DeadlineExceeded); got != pod.Transient {
		t.Error(got)
	}
	known := &pod.Failure{Kind: pod.Permanent, Message: "known"}
	if got := Failure(known, "Other"); !errors.Is(got, known) {
		t.Errorf("it became %v", got)
	}
	if Failure(nil, "Reason") != nil {
		t.Error("no error became one")
	}
}
