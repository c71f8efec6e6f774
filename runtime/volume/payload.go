package volume

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/podd-io/podd/pod"
)

// dataLink leads to the directory with the present content, which is named
// after its hash. Everything that a container sees at the volume's root is a
// symbolic link through it, so one rename changes all files at once, as in a
// kubelet's volumes:
//
//	..data -> ..5f1c...        the present content
//	..5f1c.../tls/ca.pem
//	tls -> ..data/tls
const dataLink = "..data"

// writePayload makes the files of a volume that is made from objects. Until
// all new ones are there the old ones stay.
func writePayload(dir string, cfg pod.VolumeConfig) error {
	for name := range cfg.Files {
		if !filepath.IsLocal(name) || strings.HasPrefix(name, "..") {
			return permanent("%q is no path of a file in a volume", name)
		}
	}
	content := ".." + cfg.Hash
	now, err := os.Readlink(filepath.Join(dir, dataLink))
	if err == nil && strings.TrimSuffix(now, otherTry) == content {
		if same(filepath.Join(dir, now), cfg.Files) {
			return show(dir, now, cfg)
		}
		if now == content { // what is shown is not touched
			content += otherTry
		}
	}
	fresh := filepath.Join(dir, content)
	if err := os.RemoveAll(fresh); err != nil { // half-written by an interrupted try
		return err
	}
	err = writeFiles(fresh, cfg)
	if err == nil {
		err = swing(dir, content)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	return show(dir, content, cfg)
}

// otherTry names content that takes the place of the same one, torn.
const otherTry = "_"

// same compares the content that is there, which a power failure may have
// torn.
func same(dir string, files map[string]pod.File) bool {
	for name, file := range files {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(data, file.Data) {
			return false
		}
	}
	return true
}

func writeFiles(dir string, cfg pod.VolumeConfig) error {
	if err := makeDir(dir, 0o755); err != nil {
		return err
	}
	for name, file := range cfg.Files {
		if err := makeDir(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			return err
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, file.Data, 0o600); err != nil {
			return err
		}
		if err := os.Chmod(path, os.FileMode(file.Mode).Perm()); err != nil {
			return err
		}
	}
	return ownByGroup(dir, cfg.FSGroup, readOnly)
}

// swing makes dataLink lead to the new content, at once.
func swing(dir, content string) error {
	fresh := filepath.Join(dir, dataLink+"_tmp")
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(content, fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, filepath.Join(dir, dataLink)); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	return nil
}

// show links what the present content has at the volume's root, and removes
// all else there.
func show(dir, content string, cfg pod.VolumeConfig) error {
	if err := linkRoots(dir, cfg.Files); err != nil {
		return err
	}
	if err := sweep(dir, content, cfg.Files); err != nil {
		return err
	}
	return ownByGroup(dir, cfg.FSGroup, readOnly)
}

// roots are the first elements of the files' paths.
func roots(files map[string]pod.File) map[string]bool {
	out := map[string]bool{}
	for name := range files {
		root, _, _ := strings.Cut(filepath.Clean(name), "/")
		out[root] = true
	}
	return out
}

func linkRoots(dir string, files map[string]pod.File) error {
	for root := range roots(files) {
		link, target := filepath.Join(dir, root), filepath.Join(dataLink, root)
		if now, err := os.Readlink(link); err == nil && now == target {
			continue
		}
		if err := os.RemoveAll(link); err != nil {
			return fmt.Errorf("show file %s: %w", root, err)
		}
		if err := os.Symlink(target, link); err != nil {
			return fmt.Errorf("show file %s: %w", root, err)
		}
	}
	return nil
}

func sweep(dir, content string, files map[string]pod.File) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	keep := roots(files)
	keep[dataLink], keep[content] = true, true
	for _, e := range entries {
		if keep[e.Name()] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
