package layer_test

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podd-io/podd/runtime/layer"
)

// archive has an entry of every sort, some of them twice.
func archive(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(h tar.Header, content string) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	big := strings.Repeat("0123456789abcdef", 40_000)
	add(tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755}, "")
	add(tar.Header{Typeflag: tar.TypeDir, Name: "usr/", Mode: 0o755}, "")
	add(tar.Header{Typeflag: tar.TypeDir, Name: "usr/bin/", Mode: 0o755}, "")
	add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin", Linkname: "usr/bin"}, "")
	add(tar.Header{Typeflag: tar.TypeReg, Name: "bin/tool", Mode: 0o4755, Uid: 3, Gid: 4}, big)
	add(tar.Header{Typeflag: tar.TypeLink, Name: "usr/bin/same", Linkname: "usr/bin/tool", Mode: 0o4755, Uid: 3, Gid: 4}, "")
	add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/twice", Mode: 0o644}, "first")
	add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/twice", Mode: 0o600}, "the second")
	add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/empty", Mode: 0o644}, "")
	add(tar.Header{Typeflag: tar.TypeChar, Name: "dev/null", Mode: 0o666, Devmajor: 1, Devminor: 3}, "")
	add(tar.Header{Typeflag: tar.TypeFifo, Name: "run/fifo", Mode: 0o600}, "")
	add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/.wh.gone"}, "")
	add(tar.Header{Typeflag: tar.TypeDir, Name: "var/", Mode: 0o1777}, "")
	add(tar.Header{Typeflag: tar.TypeReg, Name: "var/.wh..wh..opq"}, "")
	add(tar.Header{Typeflag: tar.TypeReg, Name: "usr/bin/ping", Mode: 0o755, PAXRecords: map[string]string{
		"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	}}, "ping")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDamageIsFoundAndMended(t *testing.T) {
	t.Parallel()
	text := archive(t)
	for name, damage := range map[string]func(dir string) error{
		"bin: leads to":                    func(dir string) error { return relink(filepath.Join(dir, "bin"), "usr") },
		"bin/tool: has 0 bytes":            func(dir string) error { return os.Truncate(filepath.Join(dir, "usr/bin/tool"), 0) },
		"bin/tool: differs after":          func(dir string) error { return flip(filepath.Join(dir, "usr/bin/tool"), 600_000) },
		"usr/bin/same: has mode":           func(dir string) error { return os.Chmod(filepath.Join(dir, "usr/bin/tool"), 0o755) },
		"usr/bin/same: belongs to 0:4":     func(dir string) error { return rightsKept(filepath.Join(dir, "usr/bin/tool"), 0, 4) },
		"bin/tool: is missing":             func(dir string) error { return os.RemoveAll(filepath.Join(dir, "usr")) },
		"usr/bin/same: is no link":         func(dir string) error { return copied(filepath.Join(dir, "usr/bin/same")) },
		"etc/twice: has 5 bytes":           func(dir string) error { return os.WriteFile(filepath.Join(dir, "etc/twice"), []byte("first"), 0o600) },
		"etc/empty: is missing":            func(dir string) error { return os.Remove(filepath.Join(dir, "etc/empty")) },
		"etc/empty: is a directory":        func(dir string) error { return becomesDirectory(filepath.Join(dir, "etc/empty")) },
		"dev/null: is a file":              func(dir string) error { return becomesFile(filepath.Join(dir, "dev/null")) },
		"etc/.wh.gone: the mark":           func(dir string) error { return os.Remove(filepath.Join(dir, "etc/gone")) },
		"var/.wh..wh..opq: the mark":       func(dir string) error { return becomesDirectory(filepath.Join(dir, "var")) },
		"usr/bin/ping: has lost its":       func(dir string) error { return copied(filepath.Join(dir, "usr/bin/ping")) },
		"etc/empty: is missing, all of it": os.RemoveAll,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "fs")
			if err := layer.Rebuild(t.Context(), bytes.NewReader(text), dir, nil); err != nil {
				t.Fatal(err)
			}
			expect(t, text, dir, "")
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			want, _, _ := strings.Cut(name, ",")
			expect(t, text, dir, want)
			if err := layer.Rebuild(t.Context(), bytes.NewReader(text), dir, nil); err != nil {
				t.Fatal(err)
			}
			expect(t, text, dir, "")
			if left, _ := filepath.Glob(filepath.Dir(dir) + "/*"); len(left) != 1 {
				t.Errorf("there is %v", left)
			}
		})
	}
}

// expect finds a difference that begins so, or none at all.
func expect(t *testing.T, archive []byte, dir, beginning string) {
	t.Helper()
	got, err := layer.Compare(bytes.NewReader(archive), dir)
	if err != nil {
		t.Fatal(err)
	}
	if beginning == "" && len(got) == 0 {
		return
	}
	for _, line := range got {
		if beginning != "" && strings.HasPrefix(line, beginning) {
			return
		}
	}
	t.Errorf("found %q, want %q", got, beginning)
}

// TestBrokenArchive: an archive that ends early is not taken for the whole, and
// what was there stays.
func TestBrokenArchive(t *testing.T) {
	t.Parallel()
	text := archive(t)
	dir := filepath.Join(t.TempDir(), "fs")
	if err := layer.Rebuild(t.Context(), bytes.NewReader(text), dir, nil); err != nil {
		t.Fatal(err)
	}
	half := text[:len(text)/2]
	if _, err := layer.Compare(bytes.NewReader(half), dir); err == nil {
		t.Error("half an archive was compared")
	}
	if err := layer.Rebuild(t.Context(), bytes.NewReader(half), dir, nil); err == nil {
		t.Error("half an archive was unpacked")
	}
	expect(t, text, dir, "")
}

func relink(path, target string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.Symlink(target, path)
}

func flip(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte{0}, at); err != nil {
		return err
	}
	return f.Close()
}

// rightsKept changes the owner; the kernel takes setuid away then.
func rightsKept(path string, uid, gid int) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := os.Chown(path, uid, gid); err != nil {
		return err
	}
	return os.Chmod(path, info.Mode())
}

func copied(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o755)
}

func becomesDirectory(path string) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o777|os.ModeSticky)
}

func becomesFile(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.WriteFile(path, nil, 0o666)
}
