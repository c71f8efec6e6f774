package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// Extensions are those of the files that Files takes from a directory.
func Extensions() []string { return []string{".json", ".yaml", ".yml"} }

// Files tells which manifests path stands for: itself, or the files in it, by
// name, that have one of the Extensions; with recursive those further down too.
func Files(path string, recursive bool) ([]string, error) {
	var files []string
	err := filepath.WalkDir(path, func(p string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p == path && !entry.IsDir():
			files = append(files, p)
		case entry.IsDir() && p != path && !recursive:
			return fs.SkipDir
		case !entry.IsDir() && slices.Contains(Extensions(), filepath.Ext(p)):
			files = append(files, p)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the path %q does not exist", path)
	}
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no manifest in %s: recognized file extensions are %s", path, strings.Join(Extensions(), " "))
	}
	return files, nil
}

// Load reads the manifests that the paths stand for, in order. It returns
// either all documents or one error that names everything found wrong. Nothing
// is fetched: an http or https address is refused.
func Load(stdin io.Reader, recursive bool, paths ...string) ([]Document, error) {
	var docs []Document
	var wrong []error
	for _, path := range paths {
		read, err := loadPath(stdin, recursive, path)
		if err != nil {
			wrong = append(wrong, err)
		}
		docs = append(docs, read...)
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return docs, checkSize(docs)
}

func loadPath(stdin io.Reader, recursive bool, path string) ([]Document, error) {
	if path == Stdin {
		return Read(stdin, "STDIN")
	}
	if strings.HasPrefix(path, "http://") || strings.HasPrefix(path, "https://") {
		return nil, fmt.Errorf("%s: addresses are not fetched; download it and give the file, or pipe it to -f -", path)
	}
	files, err := Files(path, recursive)
	if err != nil {
		return nil, err
	}
	var docs []Document
	var wrong []error
	for _, file := range files {
		read, err := ReadFile(file)
		wrong = append(wrong, err)
		docs = append(docs, read...)
	}
	return docs, errors.Join(wrong...)
}

func checkSize(docs []Document) error {
	size := 0
	for _, d := range docs {
		size += len(d.Object.GetJson())
	}
	if size > MaxBytes {
		return fmt.Errorf("the manifests hold %d bytes together; podd takes at most %d at once", size, MaxBytes)
	}
	return nil
}
