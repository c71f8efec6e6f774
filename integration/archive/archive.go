// Package archive makes image archives from files, so that no registry is
// needed: for the demo and for tests.
//
// examples/mkimage and the tests import it.
package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// File is one file of an image; with Link it is a symbolic link.
type File struct {
	Data []byte
	Mode int64
	Link string
}

// Image is what an image holds and runs.
type Image struct {
	// Files by absolute path; directories are made as needed.
	Files      map[string]File
	Entrypoint []string
	Cmd        []string
	Env        []string
	User       string
	WorkingDir string
}

// Write writes a Docker archive of the image under all the names.
func (i Image) Write(w io.Writer, names ...string) error {
	img, err := i.Build()
	if err != nil {
		return err
	}
	refs := map[name.Reference]v1.Image{}
	for _, n := range names {
		ref, err := name.NewTag(n)
		if err != nil {
			return fmt.Errorf("image name %q: %w", n, err)
		}
		refs[ref] = img
	}
	return tarball.MultiRefWrite(refs, w)
}

// Build makes the image.
func (i Image) Build() (v1.Image, error) {
	layer, err := i.layer()
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{
		Entrypoint: i.Entrypoint, Cmd: i.Cmd, Env: i.Env, User: i.User, WorkingDir: i.WorkingDir,
	}
	return mutate.ConfigFile(img, file)
}

func (i Image) layer() (v1.Layer, error) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	made := map[string]bool{"/": true}
	for _, p := range slices.Sorted(maps.Keys(i.Files)) {
		if err := makeDirs(tw, made, path.Dir(p)); err != nil {
			return nil, err
		}
		if err := writeFile(tw, p, i.Files[p]); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(buf.Bytes())), nil
	})
}

func makeDirs(tw *tar.Writer, made map[string]bool, dir string) error {
	if made[dir] {
		return nil
	}
	if err := makeDirs(tw, made, path.Dir(dir)); err != nil {
		return err
	}
	made[dir] = true
	mode := int64(0o755)
	if dir == "/tmp" {
		mode = 0o1777
	}
	return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dir, "/") + "/", Mode: mode})
}

func writeFile(tw *tar.Writer, p string, f File) error {
	h := &tar.Header{Name: strings.TrimPrefix(p, "/"), Mode: f.Mode, Size: int64(len(f.Data)), Typeflag: tar.TypeReg}
	if f.Link != "" {
		h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, f.Link, 0
	}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err := tw.Write(f.Data)
	return err
}

// Program adds an executable from the host's file system.
func (i *Image) Program(at, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("add program: %w", err)
	}
	if i.Files == nil {
		i.Files = map[string]File{}
	}
	i.Files[at] = File{Data: data, Mode: 0o755}
	return nil
}

// Busybox is an image with a static busybox and a link for each of its
// applets, and the users root, nobody and app (1000).
func Busybox(program string) (Image, error) {
	var i Image
	if err := i.Program("/bin/busybox", program); err != nil {
		return i, err
	}
	list, err := exec.Command(program, "--list").Output()
	if err != nil {
		return i, fmt.Errorf("list busybox's applets: %w", err)
	}
	for applet := range strings.FieldsSeq(string(list)) {
		if applet != "busybox" {
			i.Files["/bin/"+applet] = File{Link: "/bin/busybox", Mode: 0o777}
		}
	}
	text := func(s string) File { return File{Data: []byte(s), Mode: 0o644} }
	i.Files["/etc/passwd"] = text("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
	i.Files["/etc/group"] = text("root:x:0:\napp:x:1000:\nstaff:x:50:app\nnogroup:x:65534:\n")
	i.Files["/tmp/.keep"] = text("")
	i.Files["/root/.keep"] = text("")
	i.Files["/home/app/.keep"] = text("")
	i.Cmd = []string{"sh"}
	return i, nil
}
