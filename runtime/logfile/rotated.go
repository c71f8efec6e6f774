package logfile

import (
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A log that grows beyond its limit is rotated. Beside 0.log there are then, as
// a kubelet has them but for the number that ends their names and grows:
//
//	0.log.20261123-184500-8        the last one, as it was written
//	0.log.20261123-184412-7.gz     older ones, compressed
//	0.log.20261123-184412-7.gz.tmp being compressed; worth nothing after a crash
const (
	gzSuffix  = ".gz"
	tmpSuffix = ".tmp"
	stampForm = "20060102-150405"
)

// rotated is one rotated log.
type rotated struct {
	path string
	// seq grows from one rotation to the next.
	seq        int
	compressed bool
}

// listRotated finds what was rotated of a log, oldest first. One that is there
// both ways, as after a crash, is taken as it was written.
func listRotated(path string) ([]rotated, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	bySeq := map[int]rotated{}
	for _, e := range entries {
		r, ok := parseRotated(path, e.Name())
		if ok && (!bySeq[r.seq].present() || !r.compressed) {
			bySeq[r.seq] = r
		}
	}
	all := make([]rotated, 0, len(bySeq))
	for _, r := range bySeq {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b rotated) int { return cmp.Compare(a.seq, b.seq) })
	return all, nil
}

func (r rotated) present() bool { return r.path != "" }

func parseRotated(path, name string) (rotated, bool) {
	rest, ok := strings.CutPrefix(name, filepath.Base(path)+".")
	if !ok {
		return rotated{}, false
	}
	r := rotated{path: filepath.Join(filepath.Dir(path), name)}
	rest, r.compressed = strings.CutSuffix(rest, gzSuffix)
	if len(rest) <= len(stampForm) || rest[len(stampForm)] != '-' {
		return rotated{}, false
	}
	var err error
	r.seq, err = strconv.Atoi(rest[len(stampForm)+1:])
	return r, err == nil && r.seq > 0
}

// rotatedName is what a log that is rotated now is called from then on.
func rotatedName(path string, seq int, now time.Time) string {
	return fmt.Sprintf("%s.%s-%d", path, now.UTC().Format(stampForm), seq)
}

func newest(all []rotated) int {
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1].seq
}

// is tells whether it is an open file by another name.
func (r rotated) is(f *os.File) bool {
	mine, err1 := os.Stat(r.path)
	its, err2 := f.Stat()
	return err1 == nil && err2 == nil && os.SameFile(mine, its)
}

// open opens it for reading its text.
func (r rotated) open() (io.ReadCloser, error) {
	f, err := os.Open(r.path)
	if err != nil || !r.compressed {
		return f, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", r.path, err)
	}
	return unzipped{z, f}, nil
}

type unzipped struct {
	*gzip.Reader
	file *os.File
}

func (u unzipped) Close() error { return errors.Join(u.Reader.Close(), u.file.Close()) }

// compress replaces a rotated log by its compressed form. One that is removed
// meanwhile is no error. A crash leaves one form or both.
func (r rotated) compress() error {
	tmp := r.path + gzSuffix + tmpSuffix
	err := writeCompressed(r.path, tmp)
	if err == nil {
		err = os.Rename(tmp, r.path+gzSuffix)
	}
	if err != nil {
		_ = removeIfThere(tmp)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("compress %s: %w", r.path, err)
	}
	return removeIfThere(r.path)
}

func writeCompressed(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err == nil {
		_, err = io.Copy(z, in)
	}
	if err == nil {
		err = z.Close()
	}
	if err == nil {
		err = out.Sync() // before the original goes
	}
	return errors.Join(err, out.Close())
}

// removeRotated removes the forms a rotated log has.
func (r rotated) remove() error {
	plain := strings.TrimSuffix(r.path, gzSuffix)
	return errors.Join(removeIfThere(plain), removeIfThere(plain+gzSuffix), removeIfThere(plain+gzSuffix+tmpSuffix))
}
