package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra/doc"
)

var manDir = flag.String("man", "", "write the manual pages into this directory")

// more is the part of podd(8) that is written by hand.
const more = "../../packaging/podd.8.in"

// TestManPages makes the manual pages from the commands, those that `make install`
// installs with -man. Their date is $SOURCE_DATE_EPOCH.
func TestManPages(t *testing.T) {
	dir := *manDir
	if dir == "" {
		dir = t.TempDir()
	}
	root := command()
	root.DisableAutoGenTag = true
	header := &doc.GenManHeader{Section: "8", Source: "podd", Manual: "podd"}
	if err := doc.GenManTree(root, header, dir); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(dir, "podd.8")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	byHand, err := os.ReadFile(more)
	if err != nil {
		t.Fatal(err)
	}
	made, last, found := bytes.Cut(text, []byte(".SH SEE ALSO\n"))
	if !found {
		t.Fatal("podd(8) has no SEE ALSO")
	}
	if err := os.WriteFile(page, bytes.Join([][]byte{made, byHand, last}, nil), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys() {
		if !bytes.Contains(made, []byte(`\-\-`+k.name)) && !bytes.Contains(made, []byte("--"+k.name)) {
			t.Errorf("podd(8) has no --%s", k.name)
		}
	}
}
