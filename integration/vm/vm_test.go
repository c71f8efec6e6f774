package vm

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// inside are the tests of package integration that run in the machine: what
// cgroup v2 or systemd may change.
const inside = "^(TestAPodRunsToItsEnd|TestLimitsAreInTheCgroupAndOOMKills|TestPoddIsKilled|TestUnderSystemd|TestBesideDebiansContainerd)$"

// follow is for who doesn't want to wait for a machine's end to see what it does.
var follow = flag.String("console", "", "file to which all that the machines say is appended as it comes")

// only are the tests that the first machine runs.
var only = flag.String("inside", inside, "pattern of the tests that run inside, in the first machine")

// patience bounds one boot: some minutes where nothing else runs.
const patience = 20 * time.Minute

// machine is what a virtual machine boots from.
type machine struct {
	// system is the directory of the root file system and the kernel, disk the
	// image of the disk with the tests.
	system, disk string
}

// newMachine makes what there is not yet; the disk has podd's packages if they
// are wanted.
func newMachine(t *testing.T, packages bool) machine {
	t.Helper()
	began := time.Now()
	m := machine{system: rootFileSystem(t)}
	t.Logf("the root file system is there after %s", time.Since(began).Round(time.Second))
	m.disk = payload(t, packages)
	t.Logf("the disk with the tests is there after %s", time.Since(began).Round(time.Second))
	return m
}

func TestMachine(t *testing.T) {
	m := newMachine(t, false)
	t.Run("systemd and cgroup v2", m.onSystemdAndCgroupV2)
	t.Run("power cuts", m.powerCuts)
}

func (m machine) onSystemdAndCgroupV2(t *testing.T) {
	began := time.Now()
	console, err := m.boot(t, run{})
	if outcome(console) == "0" && err == nil {
		t.Logf("the machine is off after %s: %s", time.Since(began).Round(time.Second), passed(console))
		return
	}
	t.Errorf("QEMU: %v; the machine's console:\n%s", err, console)
}

// rootFileSystem makes it if it is not in the cache, and returns its directory.
func rootFileSystem(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		cache = "/var/cache"
	}
	cmd := exec.Command("./rootfs.sh", filepath.Join(cache, "podd-test-vm"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("make the root file system: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// payload makes the second disk: the built programs, and the tests, linked
// statically as the machine has another libc.
func payload(t *testing.T, packages bool) string {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, "payload")
	for _, d := range []string{"bin/bundle", "integration", "deb"} {
		if err := os.MkdirAll(filepath.Join(tree, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join("..", "..", "bin")
	command(t, "cp", filepath.Join(bin, "podd"), filepath.Join(bin, "podctl"), tree+"/bin/")
	command(t, "cp", "-r", filepath.Join(bin, "bundle")+"/.", tree+"/bin/bundle/")
	command(t, "cp", "guest.sh", tree+"/run.sh")
	for name, test := range map[string]string{"integration.test": "./integration", "cgroup.test": "./runtime/cgroup"} {
		command(t, "go", "test", "-C", "../..", "-c", "-tags", "grpcnotrace,vm", "-ldflags", "-s -w", "-o", filepath.Join(tree, "integration", name), test)
	}
	if err := os.WriteFile(filepath.Join(tree, "integration", "run"), []byte(*only), 0o600); err != nil {
		t.Fatal(err)
	}
	if packages {
		addPackages(t, filepath.Join(tree, "deb"))
	}
	disk := filepath.Join(dir, "payload.img")
	command(t, "mkfs.ext4", "-q", "-d", tree, disk, "1G")
	return disk
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// bootTime bounds the time until the tests begin. An emulated kernel sometimes
// hangs before it says a word, in its check of the timers.
const bootTime = 3 * time.Minute

var errNoBoot = fmt.Errorf("the machine's tests did not begin within %s", bootTime)

// run is one run of a machine.
type run struct {
	// tests is a pattern of those to run; empty for the usual ones.
	tests string
	// root is the image of a root file system that keeps what is written; empty
	// for a fresh one.
	root string
	// lasting is the image of a disk that keeps what is written; empty for none.
	lasting string
	// parameters are added to the kernel's command line.
	parameters string
	// cut is asked with all that the machine has written, whenever it writes
	// more, whether to cut its power after a time; nil for never.
	cut func(console string) (after time.Duration, now bool)
}

// errCut: the power was cut.
var errCut = errors.New("the power was cut")

// console is what the machine writes; begun is closed by its first test line.
type console struct {
	text  bytes.Buffer
	begun chan struct{}
	wrote func(text string)
}

func (c *console) Write(p []byte) (int, error) {
	n, err := c.text.Write(p)
	select {
	case <-c.begun:
	default:
		if bytes.Contains(c.text.Bytes(), []byte("podd-test-vm: begins")) {
			close(c.begun)
		}
	}
	c.wrote(c.text.String())
	return n, err
}

// boot runs the machine until it powers off, or its power is cut, and returns
// what it wrote to its console. A machine that hangs before its tests begin is
// started once more, up to three times.
func (m machine) boot(t *testing.T, r run) (console string, err error) {
	t.Helper()
	for range 3 {
		console, err = m.bootOnce(t, r)
		if !errors.Is(err, errNoBoot) {
			break
		}
		t.Log(err)
	}
	return console, err
}

func (m machine) bootOnce(t *testing.T, r run) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, fmt.Errorf("it did not power off within %s", patience))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	args := []string{
		"-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "2048",
		"-nic", "none", "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot",
		"-kernel", filepath.Join(m.system, "vmlinuz"), "-initrd", filepath.Join(m.system, "initrd.img"),
		"-append", "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off no_timer_check systemd.show_status=false" + r.extra(),
		"-drive", "format=raw,if=virtio," + r.rootDrive(m),
		"-drive", "file=" + m.disk + ",format=raw,if=virtio,readonly=on",
	}
	if r.lasting != "" {
		args = append(args, "-drive", "file="+r.lasting+",format=raw,if=virtio,cache=writeback")
	}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	var cut sync.Once
	out := &console{begun: make(chan struct{}), wrote: func(text string) {
		if r.cut == nil {
			return
		}
		if after, now := r.cut(text); now {
			cut.Do(func() { time.AfterFunc(after, func() { fail(errCut) }) })
		}
	}}
	cmd.Stdout, cmd.Stderr = out, out
	if *follow != "" {
		file, err := os.OpenFile(*follow, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		both := io.MultiWriter(out, file)
		cmd.Stdout, cmd.Stderr = both, both
	}
	booting := time.AfterFunc(bootTime, func() {
		select {
		case <-out.begun:
		default:
			fail(errNoBoot)
		}
	})
	defer booting.Stop()
	err := cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return strings.ReplaceAll(out.text.String(), "\r", ""), err
}

// rootDrive says what the machine writes to. What QEMU was given stays when it is
// killed, whether it was flushed or not: only the machine's own memory is lost.
func (r run) rootDrive(m machine) string {
	if r.root == "" {
		return "snapshot=on,file=" + filepath.Join(m.system, "root.img")
	}
	return "cache=unsafe,file=" + r.root
}

// extra is what a run adds to the kernel's command line.
func (r run) extra() string {
	if r.tests == "" {
		return ""
	}
	return " podd.run=" + r.tests + " " + r.parameters
}

var end = regexp.MustCompile(`(?m)^podd-test-vm: exit (\d+) after .* s$`)

// outcome is the exit code of what ran inside; empty if it did not come to its
// end.
func outcome(console string) string {
	if found := end.FindStringSubmatch(console); found != nil {
		return found[1]
	}
	return ""
}

var pass = regexp.MustCompile(`(?m)^--- PASS: (\S+ \S+)$`)

// passed are the tests that passed, and when the last one had.
func passed(console string) string {
	var names []string
	for _, found := range pass.FindAllStringSubmatch(console, -1) {
		names = append(names, found[1])
	}
	return strings.Join(append(names, end.FindString(console)), ", ")
}
