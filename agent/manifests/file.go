package manifests

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/api/manifest"
)

// file is one manifest as it was read.
type file struct {
	path string
	// sum tells one content from another.
	sum   [sha256.Size]byte
	wants []agent.Want
	// busy means that somebody is writing it: what is there may be half of it.
	busy bool
	// err is why it can't be used.
	err error
}

// isManifest tells by its name whether a file is read: dotfiles and editors'
// backups are not.
func isManifest(name string) bool {
	return !strings.HasPrefix(name, ".") && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name))
}

// readDir reads all manifests of a directory, ordered by name. One that does
// not exist is empty, as it is for a kubelet.
func readDir(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		if !isManifest(e.Name()) {
			continue
		}
		f := readFile(filepath.Join(dir, e.Name()))
		if !errors.Is(f.err, os.ErrNotExist) { // it went just now; a link that leads nowhere is as good as none
			files = append(files, f)
		}
	}
	return files, nil
}

func readFile(path string) file {
	f := file{path: path}
	in, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO must not hold us up
	if err != nil {
		f.err = err
		return f
	}
	defer in.Close()
	st, err := in.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("read %s: it is not a file", path)
	}
	if err != nil {
		f.err = err
		return f
	}
	if f.busy = beingWritten(in); f.busy {
		return f
	}
	text, err := io.ReadAll(io.LimitReader(in, manifest.MaxBytes+1))
	if err != nil {
		f.err = fmt.Errorf("read %s: %w", path, err)
		return f
	}
	if now, err := in.Stat(); err != nil || now.Size() != st.Size() || !now.ModTime().Equal(st.ModTime()) {
		f.busy = true
		return f
	}
	f.sum = sha256.Sum256(text)
	f.wants, f.err = wants(path, text)
	return f
}

// beingWritten tells whether somebody has the file open for writing: the kernel
// gives a read lease only while nobody does (fcntl(2), F_SETLEASE). Where there
// are no leases, a file is taken as it is.
func beingWritten(f *os.File) bool {
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		return errors.Is(err, unix.EAGAIN)
	}
	_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK) // closing would do, too
	return false
}

// wants are the objects of a manifest.
func wants(path string, text []byte) ([]agent.Want, error) {
	docs, err := manifest.Read(bytes.NewReader(text), path)
	if err != nil {
		return nil, err
	}
	out := make([]agent.Want, 0, len(docs))
	for _, d := range docs {
		w := agent.Want{Kind: d.Object.Kind, JSON: d.Object.Json}
		if metaOf(w).Name == "" { // a generated one would be another one each time
			return nil, fmt.Errorf("%s: metadata.name: a manifest's objects need names", d)
		}
		if w.Kind == agent.KindPod {
			if w.JSON, err = withUID(path, w.JSON); err != nil {
				return nil, fmt.Errorf("%s: %w", d, err)
			}
		}
		out = append(out, w)
	}
	return out, nil
}

// space is that of the uids of manifests' pods.
var space = uuid.MustParse("7fd6d34c-8f0a-4e15-9e0f-5f5b3c8a8a55")

// withUID gives a pod that has none a uid that follows from its file's path and
// its own content, so that an edit makes another pod of it, and podd's restart
// does not.
func withUID(path string, text []byte) ([]byte, error) {
	var p map[string]any
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, err
	}
	meta, ok := p["metadata"].(map[string]any)
	if !ok || meta["uid"] != nil {
		return text, nil
	}
	meta["uid"] = uuid.NewHash(sha256.New(), space, append([]byte(path+"\x00"), text...), 5).String()
	return json.Marshal(p)
}
