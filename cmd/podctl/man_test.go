package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

var manDir = flag.String("man", "", "write the manual pages into this directory")

// TestManPages makes the manual pages from the commands, those that `make install`
// installs with -man. Their date is $SOURCE_DATE_EPOCH.
func TestManPages(t *testing.T) {
	dir := *manDir
	if dir == "" {
		dir = t.TempDir()
	}
	root := newRoot(&session{})
	root.DisableAutoGenTag = true
	header := &doc.GenManHeader{Section: "1", Source: "podd", Manual: "podd"}
	if err := doc.GenManTree(root, header, dir); err != nil {
		t.Fatal(err)
	}
	havePages(t, dir, root)
}

// havePages wants a page of every verb.
func havePages(t *testing.T, dir string, cmd *cobra.Command) {
	t.Helper()
	if !cmd.IsAvailableCommand() && cmd.HasParent() {
		return
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(text), cmd.Short) {
		t.Errorf("%s does not tell %q: %v", name, cmd.Short, err)
	}
	for _, sub := range cmd.Commands() {
		havePages(t, dir, sub)
	}
}
