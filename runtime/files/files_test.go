package files

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newRoot is a container's file system with a link that leads nowhere but into
// itself, beside a file that must not be reached.
func newRoot(t *testing.T) (r *Root, dir, outside string) {
	t.Helper()
	base := t.TempDir()
	dir, outside = filepath.Join(base, "root"), filepath.Join(base, "secret")
	for _, d := range []string{"etc", "data/sub", "var/run"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, outside, "secret")
	write(t, filepath.Join(dir, "data/file"), "content")
	write(t, filepath.Join(dir, "data/sub/deep"), "deep")
	for name, to := range map[string]string{
		"data/link": "file", "up": "../../../..", "abs": "/data", "data/out": "../../secret",
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	r = &Root{dir: f, Cwd: "/data"}
	t.Cleanup(r.Close)
	return r, dir, outside
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// list is an archive's entries by name, with their content or target.
func list(t *testing.T, archive io.Reader) map[string]string {
	t.Helper()
	got := map[string]string{}
	for in := tar.NewReader(archive); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = string(text) + h.Linkname
	}
}

func TestCopyOut(t *testing.T) {
	r, dir, _ := newRoot(t)
	if err := unix.Mkfifo(filepath.Join(dir, "data/sub/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := map[string]string{
		"data/": "", "data/file": "content", "data/link": "file", "data/out": "../../secret",
		"data/sub/": "", "data/sub/deep": "deep", "data/sub/fifo": "",
	}
	for path, want := range map[string]map[string]string{
		"/data":         data,
		"file":          {"file": "content"},
		"./sub/../file": {"file": "content"},
		"/abs":          {"abs": "/data"},
		"/abs/file":     {"file": "content"},
		"/up/data/file": {"file": "content"}, // above the root is the root
		"../data/link":  {"link": "file"},
	} {
		var out bytes.Buffer
		err := r.CopyOut(t.Context(), path, &out)
		if got := list(t, &out); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	for _, path := range []string{"/nosuch", "/up/../../secret", "/data/file/x"} {
		if err := r.CopyOut(t.Context(), path, io.Discard); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestCopyOutGoesOnlySoDeep(t *testing.T) {
	r, dir, _ := newRoot(t)
	if err := os.MkdirAll(filepath.Join(dir, "deep"+strings.Repeat("/d", maxDepth+1)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := r.CopyOut(t.Context(), "/deep", io.Discard); err == nil || !strings.Contains(err.Error(), "nested") {
		t.Errorf("%v", err)
	}
}

type entry struct {
	tar.Header
	text string
}

func archiveOf(t *testing.T, entries ...entry) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		e.Size = int64(len(e.text))
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

func file(name, text string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o4751, Uid: 12, Gid: 34, ModTime: time.Unix(1e9, 0)}, text}
}

func link(kind byte, name, to string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: kind, Linkname: to}}
}

func TestCopyIn(t *testing.T) {
	r, dir, outside := newRoot(t)
	err := r.CopyIn(t.Context(), ".", archiveOf(t,
		entry{Header: tar.Header{Name: "made/", Typeflag: tar.TypeDir, Mode: 0o700, Uid: 5, ModTime: time.Unix(1e9, 0)}},
		file("made/a", "a"), file("file", "new"), file("link", "in place of a link"), file("missing/too/b", "b"),
		file("out", "in place of a link that leads out"),
		link(tar.TypeSymlink, "made/l", "/etc/x"), link(tar.TypeLink, "hard", "made/a"),
		file("../../../escape", "stays in"), file("/abs", "too")), true)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"made/a": "a", "file": "new", "link": "in place of a link", "missing/too/b": "b", "hard": "a",
		"escape": "stays in", "abs": "too", "out": "in place of a link that leads out",
	} {
		if got := read(t, filepath.Join(dir, "data", name)); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := read(t, outside); got != "secret" {
		t.Errorf("the file outside: %q", got)
	}
	if to, err := os.Readlink(filepath.Join(dir, "data/made/l")); to != "/etc/x" || err != nil {
		t.Errorf("the link: %q, %v", to, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "data/made/a"), &st); err != nil || st.Mode&0o7777 != 0o4751 || st.Uid != 12 || st.Gid != 34 || st.Mtim.Sec != 1e9 {
		t.Errorf("%+v, %v", st, err)
	}
	if err := unix.Stat(filepath.Join(dir, "data/made"), &st); err != nil || st.Mode&0o7777 != 0o700 || st.Uid != 5 || st.Mtim.Sec != 1e9 {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestCopyInThroughLinks: a directory that is a link is followed, as the
// container would; what it leads to is below its own root.
func TestCopyInThroughLinks(t *testing.T) {
	r, dir, outside := newRoot(t)
	err := r.CopyIn(t.Context(), "/", archiveOf(t, file("abs/new", "1"), file("up/secret", "2"), link(tar.TypeSymlink, "l", "/"), file("l/etc/x", "3")), true)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"data/new": "1", "secret": "2", "etc/x": "3"} {
		if got := read(t, filepath.Join(dir, name)); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := read(t, outside); got != "secret" {
		t.Errorf("the file outside: %q", got)
	}
}

// TestCopyInWithoutOwners: as the container's user, without its special bits.
func TestCopyInWithoutOwners(t *testing.T) {
	for _, c := range []struct {
		preserve bool
		mode     uint32
	}{{true, 0o4751}, {false, 0o751}} {
		r, dir, _ := newRoot(t)
		r.Owner = Owner{1000, 2000}
		if err := r.CopyIn(t.Context(), "/", archiveOf(t, file("d/f", "x")), c.preserve); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"d", "d/f"} {
			var st unix.Stat_t
			if err := unix.Stat(filepath.Join(dir, name), &st); err != nil || st.Uid != 1000 || st.Gid != 2000 {
				t.Errorf("%s: %+v, %v", name, st, err)
			}
			if name == "d/f" && st.Mode&0o7777 != c.mode {
				t.Errorf("mode %o", st.Mode)
			}
		}
	}
}

// TestCopyInWhereSomethingIsMounted: it can't be replaced, and is written.
func TestCopyInWhereSomethingIsMounted(t *testing.T) {
	r, dir, _ := newRoot(t)
	at, source := filepath.Join(dir, "etc/hosts"), filepath.Join(t.TempDir(), "hosts")
	write(t, at, "")
	write(t, source, "a longer old text")
	if err := unix.Mount(source, at, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	if err := r.CopyIn(t.Context(), "/etc", archiveOf(t, file("hosts", "new")), true); err != nil {
		t.Fatal(err)
	}
	if got := read(t, source); got != "new" {
		t.Errorf("%q", got)
	}
}

func TestCopyInIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		to      string
		archive io.Reader
		says    string
	}{
		"no such directory":     {"/nosuch", archiveOf(t), "/nosuch: no such file"},
		"a file":                {"/data/file", archiveOf(t), "/data/file: not a directory"},
		"a device":              {"/", archiveOf(t, link(tar.TypeChar, "null", "")), "null: the archive has"},
		"over a directory":      {"/", archiveOf(t, file("data", "x")), "/data: is a directory"},
		"a directory on a file": {"/", archiveOf(t, link(tar.TypeDir, "data/file/", "")), "/data/file: "},
		"garbage":               {"/", strings.NewReader(strings.Repeat("garbage", 1000)), "read the archive"},
		"torn":                  {"/", io.LimitReader(archiveOf(t, file("torn", strings.Repeat("x", 2000))), 1000), "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, _ := newRoot(t)
			if err := r.CopyIn(t.Context(), c.to, c.archive, true); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestThereAndBack: what was copied out and in is the same.
func TestThereAndBack(t *testing.T) {
	r, dir, _ := newRoot(t)
	var out, again bytes.Buffer
	if err := r.CopyOut(t.Context(), "/data", &out); err != nil {
		t.Fatal(err)
	}
	first := bytes.Clone(out.Bytes())
	if err := r.CopyIn(t.Context(), "/var/run", &out, true); err != nil {
		t.Fatal(err)
	}
	r.Cwd = "/var/run"
	if err := r.CopyOut(t.Context(), "data", &again); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(first, again.Bytes()) {
		t.Errorf("%v and %v (in %s)", list(t, bytes.NewReader(first)), list(t, &again), dir)
	}
}
