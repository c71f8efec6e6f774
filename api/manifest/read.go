package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// MaxBytes is how much one manifest may hold, and all manifests of one Load
// together: the most that podd takes in one message.
const MaxBytes = 32 << 20

// Document is one object and where it was written.
type Document struct {
	Object *poddv1.Object
	// File is what the reader was told: a path, or STDIN.
	File string
	// Number counts the documents of the file that are not empty, from 1. The
	// items of a list have the number of their list.
	Number int
	// Line is where the document begins, from 1.
	Line int
}

// String is the place, as error messages name it.
func (d Document) String() string {
	return fmt.Sprintf("%s: document %d (line %d)", d.File, d.Number, d.Line)
}

// Read reads all documents of one manifest; file is its name in errors and in
// the documents. Empty documents are skipped; lists are replaced by their
// items. It returns either all documents or one error that names everything
// found wrong.
func Read(r io.Reader, file string) ([]Document, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("read %s: it holds more than the %d MiB that podd takes", file, MaxBytes>>20)
	}
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("read %s: it is not UTF-8 text", file)
	}
	chunks := split(bytes.TrimPrefix(text, []byte("\ufeff")))
	docs := make([]Document, 0, len(chunks))
	var wrong []error
	for i, c := range chunks {
		at := Document{File: file, Number: i + 1, Line: c.line}
		objects, err := c.objects()
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", at, err))
			continue
		}
		for _, object := range objects {
			at.Object = object
			docs = append(docs, at)
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return docs, nil
}

// ReadFile reads the manifest at path.
func ReadFile(path string) ([]Document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f, path)
}
