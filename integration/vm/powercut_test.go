package vm

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var promised = regexp.MustCompile(`(?m)^podd-test-vm: kept (.+)\r?\n`)

// promises are the images that a machine said to have.
func promises(console string) []string {
	var names []string
	for _, found := range promised.FindAllStringSubmatch(console, -1) {
		names = append(names, strings.Fields(found[1])...)
	}
	return names
}

// powerCuts cuts the power while images are imported and pulled, at several
// moments: QEMU is killed, so that what the machine had not written to its disk
// is lost. Afterwards what it had promised is there, and sound.
func (m machine) powerCuts(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "lasting.img")
	command(t, "mkfs.ext4", "-q", disk, "2G")
	for _, moment := range []struct {
		what string
		// kept is how many images there have to be, and after how long then.
		kept  int
		after time.Duration
	}{
		{"as soon as the first images are promised", 2, 0},
		{"in the midst of the work", 4, 3 * time.Second},
	} {
		console, err := m.boot(t, run{tests: "^TestPowerCutWork$", lasting: disk, cut: func(console string) (time.Duration, bool) {
			return moment.after, len(promises(console)) >= moment.kept
		}})
		if !errors.Is(err, errCut) {
			t.Fatalf("%s: QEMU: %v; the machine's console:\n%s", moment.what, err, console)
		}
		kept := promises(console)
		console, err = m.boot(t, run{tests: "^TestPowerCutCheck$", lasting: disk, parameters: "podd.kept=" + strings.Join(kept, ",")})
		if outcome(console) != "0" || err != nil {
			t.Fatalf("%s, with %d images promised: QEMU: %v; the machine's console:\n%s", moment.what, len(kept), err, console)
		}
		t.Logf("%s, with %d images promised: %s", moment.what, len(kept), passed(console))
	}
}
