package volume_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/mountinfo"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime/volume"
)

const uid = "11111111-2222-3333-4444-555555555555"

// newVolumes works below a root of its own, and sees to it that nothing stays
// mounted there.
func newVolumes(t *testing.T) (*volume.Volumes, string) {
	t.Helper()
	root := t.TempDir()
	v := volume.New(root, zaptest.NewLogger(t))
	t.Cleanup(func() {
		if err := v.Remove(t.Context(), uid); err != nil {
			t.Error(err)
		}
		if left := mounts(t, root); len(left) > 0 {
			t.Errorf("still mounted: %q", left)
		}
	})
	return v, root
}

func mounts(t *testing.T, below string) []string {
	t.Helper()
	all, err := mountinfo.GetMounts(mountinfo.PrefixFilter(below))
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, m := range all {
		places = append(places, m.Mountpoint)
	}
	return places
}

func mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	if err := os.MkdirAll(target, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		t.Fatal(err)
	}
}

func setup(t *testing.T, v *volume.Volumes, cfg pod.VolumeConfig) {
	t.Helper()
	for range 2 { // twice is the same as once
		if err := v.Setup(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
}

func emptyDir(medium corev1.StorageMedium, size string) corev1.Volume {
	src := &corev1.EmptyDirVolumeSource{Medium: medium}
	if size != "" {
		q := resource.MustParse(size)
		src.SizeLimit = &q
	}
	return corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: src}}
}

// payload is a volume from objects; its hash is of the texts, good enough.
func payload(secret bool, files map[string]string) pod.VolumeConfig {
	cfg := pod.VolumeConfig{UID: uid, Volume: corev1.Volume{Name: "v"}, Files: map[string]pod.File{}}
	cfg.Volume.ConfigMap = &corev1.ConfigMapVolumeSource{}
	if secret {
		cfg.Volume.ConfigMap, cfg.Volume.Secret = nil, &corev1.SecretVolumeSource{}
	}
	for name, text := range files {
		cfg.Files[name] = pod.File{Data: []byte(text), Mode: 0o640}
	}
	cfg.Hash = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, fmt.Sprint(files))
	return cfg
}

func expectReady(t *testing.T, v *volume.Volumes, want map[string]string) {
	t.Helper()
	got, files, err := v.Observe(uid)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Observe = %v, %v; want %v", got, err, want)
	}
	if !files {
		t.Error("Observe sees no files")
	}
}

// look is a file as ls tells it.
func look(t *testing.T, path string) string {
	t.Helper()
	st, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%v %d", st.Mode(), st.Sys().(*syscall.Stat_t).Gid)
}

func expectLook(t *testing.T, path, want string) {
	t.Helper()
	if got := look(t, path); got != want {
		t.Errorf("%s is %q, want %q", filepath.Base(path), got, want)
	}
}

func TestEmptyDirs(t *testing.T) {
	group := int64(2345)
	for name, test := range map[string]struct {
		vol   corev1.Volume
		group *int64
		look  string
		fs    int64
	}{
		"on disk":                {emptyDir("", ""), nil, "drwxrwxrwx 0", 0},
		"on disk, with fsGroup":  {emptyDir("", "1Mi"), &group, "dgrwxrwxrwx 2345", 0},
		"in memory":              {emptyDir("Memory", ""), nil, "drwxrwxrwx 0", unix.TMPFS_MAGIC},
		"in memory with fsGroup": {emptyDir("Memory", "1Mi"), &group, "dgrwxrwxrwx 2345", unix.TMPFS_MAGIC},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := newVolumes(t)
			setup(t, v, pod.VolumeConfig{UID: uid, Volume: test.vol, FSGroup: test.group})
			path := v.Path(uid, test.vol)
			expectLook(t, path, test.look)
			expectReady(t, v, map[string]string{"v": ""})
			var st unix.Statfs_t
			if err := unix.Statfs(path, &st); err != nil {
				t.Fatal(err)
			}
			if test.fs != 0 && st.Type != test.fs {
				t.Errorf("the file system is of type %x", st.Type)
			}
			if size := int64(st.Blocks) * st.Bsize; test.fs != 0 && test.group != nil && size != 1<<20 {
				t.Errorf("it has %d bytes", size)
			}
		})
	}
}

func TestAnUnknownMediumIsRefused(t *testing.T) {
	v, _ := newVolumes(t)
	err := v.Setup(t.Context(), pod.VolumeConfig{UID: uid, Volume: emptyDir("Paper", "")})
	var f *pod.Failure
	if !errors.As(err, &f) || f.Kind != pod.Permanent ||
		f.Message != `unknown storage medium "Paper"` {
		t.Errorf("Setup = %v", err)
	}
	expectReady(t, v, map[string]string{})
}

func TestPayloadsChangeAsAWhole(t *testing.T) {
	for _, secret := range []bool{false, true} {
		v, _ := newVolumes(t)
		first := payload(secret, map[string]string{"a": "one", "sub/b": "two", "old": "x"})
		setup(t, v, first)
		dir := v.Path(uid, first.Volume)
		expectText(t, dir, "a", "one")
		expectText(t, dir, "sub/b", "two")
		expectLook(t, filepath.Join(dir, "..data", "a"), "-rw-r----- 0")
		expectReady(t, v, map[string]string{"v": first.Hash})
		if link, _ := os.Readlink(filepath.Join(dir, "sub")); link != "..data/sub" {
			t.Errorf("sub leads to %q", link)
		}
		if mounted := len(mounts(t, dir)) == 1; mounted != secret {
			t.Errorf("secret: %v, on a tmpfs: %v", secret, mounted)
		}

		second := payload(secret, map[string]string{"a": "three", "new": "y"})
		setup(t, v, second)
		expectText(t, dir, "a", "three")
		expectReady(t, v, map[string]string{"v": second.Hash})
		expectNames(t, dir, "..", "..data", "a", "new")

		setup(t, v, payload(secret, nil)) // of an optional object that is gone
		expectNames(t, dir, "..", "..data")
	}
}

// expectNames takes the name of the content's directory for "..".
func expectNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() && strings.HasPrefix(name, "..") {
			name = ".."
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("%s holds %q, want %q", dir, names, want)
	}
}

func expectText(t *testing.T, dir, name, want string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || string(text) != want {
		t.Errorf("%s holds %q (%v), want %q", name, text, err, want)
	}
}

func TestPayloadsAreReadableByTheGroup(t *testing.T) {
	v, _ := newVolumes(t)
	group := int64(777)
	cfg := payload(true, map[string]string{"key": "k", "sub/key": "k"})
	cfg.FSGroup = &group
	cfg.Files["key"] = pod.File{Data: []byte("k"), Mode: 0o400}
	setup(t, v, cfg)
	dir := v.Path(uid, cfg.Volume)
	expectLook(t, dir, "dgrwxrwxrwx 777")
	expectLook(t, filepath.Join(dir, "..data", "key"), "-r--r----- 777")
	expectLook(t, filepath.Join(dir, "..data", "sub"), "dgrwxr-xr-x 777")
	expectLook(t, filepath.Join(dir, "..data", "sub", "key"), "-rw-r----- 777")
}

func TestNoFileLeavesItsVolume(t *testing.T) {
	for _, name := range []string{"../up", "/abs", "..data", "a/../../up", ""} {
		v, root := newVolumes(t)
		err := v.Setup(t.Context(), payload(false, map[string]string{name: "x"}))
		var f *pod.Failure
		if !errors.As(err, &f) || f.Kind != pod.Permanent {
			t.Errorf("Setup with %q = %v", name, err)
		}
		if _, err := os.Lstat(filepath.Join(root, "pods", uid, "volumes", "up")); err == nil {
			t.Errorf("%q was written", name)
		}
	}
}

// TestAFullDisk: the old content stays, nothing half-written is to be seen,
// and with room again it goes on.
func TestAFullDisk(t *testing.T) {
	root := t.TempDir()
	mount(t, "tmpfs", root, "tmpfs", 0, "size=256k")
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	v := volume.New(root, zaptest.NewLogger(t))
	first := payload(false, map[string]string{"a": "one"})
	setup(t, v, first)
	dir := v.Path(uid, first.Volume)

	second := payload(false, map[string]string{"b": "two"})
	second.Files["big"] = pod.File{Data: make([]byte, 512<<10), Mode: 0o644}
	err := v.Setup(t.Context(), second)
	var f *pod.Failure
	if !errors.As(err, &f) || f.Kind != pod.Transient || !strings.Contains(f.Message, "no space left on device") {
		t.Errorf("Setup = %v", err)
	}
	expectReady(t, v, map[string]string{"v": first.Hash})
	expectNames(t, dir, "..", "..data", "a")
	expectText(t, dir, "a", "one")

	delete(second.Files, "big")
	setup(t, v, second)
	expectText(t, dir, "b", "two")
}

func TestHostPaths(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", at("sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i, dev := range []struct {
		name string
		mode uint32
	}{{"char", unix.S_IFCHR}, {"block", unix.S_IFBLK}, {"fifo", unix.S_IFIFO}} {
		if err := unix.Mknod(at(dev.name), dev.mode|0o600, int(unix.Mkdev(240, uint32(i)))); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		path string
		kind corev1.HostPathType
		want string // what the message ends with; empty for success
	}{
		{"made-1", "", ""},
		{"file", "", ""},
		{"fifo", "", ""},
		{"made-2/deep", "DirectoryOrCreate", ""},
		{"made-2", "DirectoryOrCreate", ""},
		{"made-2", "Directory", ""},
		{"made-3", "FileOrCreate", ""},
		{"file", "FileOrCreate", ""},
		{"file", "File", ""},
		{"sock", "Socket", ""},
		{"char", "CharDevice", ""},
		{"block", "BlockDevice", ""},
		{"absent/file", "FileOrCreate", "open " + at("absent/file") + ": no such file or directory"},
		{"absent", "Directory", "hostPath type check failed, " + at("absent") + " is not a directory, unable to determine its type: path \"" + at("absent") + "\" does not exist"},
		{"file", "Directory", at("file") + " is not a directory, it's a File"},
		{"file", "DirectoryOrCreate", at("file") + " is not a directory, it's a File"},
		{"made-2", "File", at("made-2") + " is not a file, it's a Directory"},
		{"made-2", "FileOrCreate", at("made-2") + " is not a file, it's a Directory"},
		{"file", "Socket", at("file") + " is not a socket file, it's a File"},
		{"block", "CharDevice", at("block") + " is not a character device, it's a BlockDevice"},
		{"char", "BlockDevice", at("char") + " is not a block device, it's a CharDevice"},
		{"file", "Rumour", "Rumour is an invalid volume type"},
	} {
		t.Run(fmt.Sprint(test.path, " as ", test.kind), func(t *testing.T) {
			v, _ := newVolumes(t)
			vol := corev1.Volume{Name: "v"}
			vol.HostPath = &corev1.HostPathVolumeSource{Path: at(test.path), Type: &test.kind}
			err := v.Setup(t.Context(), pod.VolumeConfig{UID: uid, Volume: vol})
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				expectReady(t, v, map[string]string{"v": ""})
				if got := v.Path(uid, vol); got != at(test.path) {
					t.Errorf("Path = %s", got)
				}
				return
			}
			if err == nil || !strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("Setup = %v, want ...%s", err, test.want)
			}
			expectReady(t, v, map[string]string{})
		})
	}
	expectText(t, dir, "file", "mine")
}

// TestAfterABoot: everything is set up again; what is on disk is kept, what
// was torn is mended.
func TestAfterABoot(t *testing.T) {
	v, root := newVolumes(t)
	disk, memory := emptyDir("", ""), emptyDir("Memory", "")
	disk.Name, memory.Name = "disk", "memory"
	cfgs := []pod.VolumeConfig{
		{UID: uid, Volume: disk}, {UID: uid, Volume: memory}, payload(false, map[string]string{"a": "one", "b": "two"}),
	}
	for _, cfg := range cfgs {
		setup(t, v, cfg)
	}
	kept := filepath.Join(v.Path(uid, disk), "kept")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	config := v.Path(uid, cfgs[2].Volume)
	if err := os.Truncate(filepath.Join(config, "a"), 0); err != nil {
		t.Fatal(err)
	}
	boot(t, filepath.Join(root, "pods", uid, "volumes"))

	expectReady(t, v, map[string]string{})
	for _, cfg := range cfgs {
		setup(t, v, cfg)
	}
	expectReady(t, v, map[string]string{"disk": "", "memory": "", "v": cfgs[2].Hash})
	expectText(t, config, "a", "one")
	expectNames(t, config, "..", "..data", "a", "b")
	expectLook(t, kept, "-rw------- 0")
	if n := len(mounts(t, v.Path(uid, memory))); n != 1 {
		t.Errorf("%d mounts", n)
	}
}

// boot makes what a boot leaves: no mounts, and marks of another boot.
func boot(t *testing.T, dir string) {
	t.Helper()
	for _, m := range mounts(t, dir) {
		if err := unix.Unmount(m, unix.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
	}
	marks, _ := filepath.Glob(filepath.Join(dir, "*.ready"))
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(marks) == 0 {
		t.Fatal(marks, err)
	}
	for i, mark := range marks {
		text, err := os.ReadFile(mark)
		if err != nil {
			t.Fatal(err)
		}
		other := strings.ReplaceAll(string(text), strings.TrimSpace(string(id)), "another")
		if i == 0 {
			other = "" // torn
		}
		if err := os.WriteFile(mark, []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALostTmpfsIsSeen(t *testing.T) {
	v, _ := newVolumes(t)
	vol := emptyDir("Memory", "")
	setup(t, v, pod.VolumeConfig{UID: uid, Volume: vol})
	if err := unix.Unmount(v.Path(uid, vol), 0); err != nil {
		t.Fatal(err)
	}
	expectReady(t, v, map[string]string{})
}

// TestRemoveTouchesNothingOfTheHost: bind mounts of a shared tree that has
// mounts in it, busy ones, and two on each other.
func TestRemoveTouchesNothingOfTheHost(t *testing.T) {
	v, root := newVolumes(t)
	setup(t, v, pod.VolumeConfig{UID: uid, Volume: emptyDir("Memory", "")})
	host := t.TempDir()
	mount(t, "tmpfs", host, "tmpfs", 0, "")
	if err := unix.Mount("", host, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	mount(t, "tmpfs", filepath.Join(host, "inner"), "tmpfs", 0, "")
	t.Cleanup(func() {
		if err := unix.Unmount(host, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	precious := filepath.Join(host, "inner", "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	place := filepath.Join(root, "pods", uid, "volume-subpaths", "v", "app", "0")
	mount(t, host, place, "", unix.MS_BIND|unix.MS_REC, "")
	mount(t, "tmpfs", place, "tmpfs", 0, "")            // on top of it
	busy, err := os.Open(v.Path(uid, emptyDir("", ""))) // an open file keeps it busy
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()

	for range 2 {
		if err := v.Remove(t.Context(), uid); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(precious); err != nil {
		t.Errorf("the host lost it: %v", err)
	}
	if volumes, files, err := v.Observe(uid); volumes != nil || files || err != nil {
		t.Errorf("Observe = %v, %v, %v", volumes, files, err)
	}
}

func TestRemoveBySymbolicLink(t *testing.T) {
	v, root := newVolumes(t)
	setup(t, v, pod.VolumeConfig{UID: uid, Volume: emptyDir("Memory", "")})
	link := filepath.Join(t.TempDir(), "root")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	if err := volume.New(link, zaptest.NewLogger(t)).Remove(t.Context(), uid); err != nil {
		t.Fatal(err)
	}
	if left := mounts(t, root); len(left) > 0 {
		t.Errorf("still mounted: %q", left)
	}
}

func TestRemoveOfNoUID(t *testing.T) {
	v, root := newVolumes(t)
	if err := os.MkdirAll(filepath.Join(root, "pods", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", ".", "..", "../..", "x/../..", "/"} {
		if err := v.Remove(t.Context(), types.UID(bad)); err == nil {
			t.Errorf("Remove(%q) succeeded", bad)
		}
	}
	if keys, err := v.Pods(); err != nil || len(keys) != 1 || keys[0].UID != "x" {
		t.Errorf("Pods = %v, %v", keys, err)
	}
}
