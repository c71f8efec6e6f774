package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/podd-io/podd/pod"
)

// dataLink leads to the directory with the present content. Everything that a
// container sees at the volume's root is a symbolic link through it, so one
// rename changes all files at once, as a kubelet's volumes do:
//
//	..data -> ..5f1c...        the present content
//	..5f1c.../tls/ca.pem
//	tls -> ..data/tls
const dataLink = "..data"

// writePayload makes the files of a volume that is made from objects.
func writePayload(dir string, cfg pod.VolumeConfig) error {
	content := ".." + cfg.Hash
	if now, err := os.Readlink(filepath.Join(dir, dataLink)); err == nil && now == content {
		return linkRoots(dir, cfg.Files)
	}
	fresh := filepath.Join(dir, content)
	if err := os.RemoveAll(fresh); err != nil { // half-written by an interrupted try
		return err
	}
	if err := writeFiles(fresh, cfg); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := swing(dir, content); err != nil {
		return err
	}
	if err := linkRoots(dir, cfg.Files); err != nil {
		return err
	}
	return sweep(dir, content, cfg.Files)
}

func writeFiles(dir string, cfg pod.VolumeConfig) error {
	if err := makeDir(dir, 0o755); err != nil {
		return err
	}
	for name, file := range cfg.Files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, file.Data, 0o600); err != nil {
			return err
		}
		if err := os.Chmod(path, os.FileMode(file.Mode).Perm()); err != nil {
			return err
		}
	}
	return ownByGroup(dir, cfg.FSGroup)
}

// swing makes dataLink lead to the new content, at once.
func swing(dir, content string) error {
	tmp := filepath.Join(dir, dataLink+"_tmp")
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(content, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, dataLink))
}

func roots(files map[string]pod.File) map[string]bool {
	out := map[string]bool{}
	for name := range files {
		root, _, _ := strings.Cut(name, "/")
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
		if err := os.Symlink(target, link); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("show file %s: %w", root, err)
		}
	}
	return nil
}

// sweep removes what the present content does not have.
func sweep(dir, content string, files map[string]pod.File) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	keep := roots(files)
	keep[dataLink], keep[content] = true, true
	for _, e := range entries {
		if !keep[e.Name()] {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
