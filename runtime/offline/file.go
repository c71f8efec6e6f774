package offline

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// file is an archive in the directory.
type file struct {
	name    string
	size    int64
	changed time.Time
}

// version differs when the file does.
func (f file) version() string { return fmt.Sprintf("%d.%d", f.size, f.changed.UnixNano()) }

// readDir lists the archives of a directory by name: tar files, plain or
// compressed, and links to such. Hidden files are none.
func readDir(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		if !isArchive(e.Name()) {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it went meanwhile, or is a link to nothing
		}
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			files = append(files, file{name: e.Name(), size: info.Size(), changed: info.ModTime()})
		}
	}
	return files, nil
}

func isArchive(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	for _, suffix := range []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
