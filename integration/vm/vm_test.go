package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// inside are the tests of package integration that run in the machine: what
// cgroup v2 or systemd may change.
const inside = "^(TestAPodRunsToItsEnd|TestLimitsAreInTheCgroupAndOOMKills|TestPoddIsKilled|TestUnderSystemd|TestBesideDebiansContainerd)$"

// patience bounds one boot: some minutes where nothing else runs.
const patience = 20 * time.Minute

func TestOnSystemdAndCgroupV2(t *testing.T) {
	began := time.Now()
	system := rootFileSystem(t)
	t.Logf("the root file system is there after %s", time.Since(began).Round(time.Second))
	disk := payload(t)
	t.Logf("the disk with the tests is there after %s", time.Since(began).Round(time.Second))
	console, err := boot(t, system, disk)
	for try := 1; errors.Is(err, errNoBoot) && try < 3; try++ {
		t.Logf("%v: once more", err)
		console, err = boot(t, system, disk)
	}
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
func payload(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	tree := filepath.Join(dir, "payload")
	for _, d := range []string{"bin/bundle", "integration"} {
		if err := os.MkdirAll(filepath.Join(tree, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join("..", "..", "bin")
	run(t, "cp", filepath.Join(bin, "podd"), filepath.Join(bin, "podctl"), tree+"/bin/")
	run(t, "cp", "-r", filepath.Join(bin, "bundle"), tree+"/bin/")
	run(t, "cp", "guest.sh", tree+"/run.sh")
	for name, test := range map[string]string{"integration.test": "./integration", "cgroup.test": "./runtime/cgroup"} {
		run(t, "go", "test", "-C", "../..", "-c", "-tags", "grpcnotrace,vm", "-ldflags", "-s -w", "-o", filepath.Join(tree, "integration", name), test)
	}
	if err := os.WriteFile(filepath.Join(tree, "integration", "run"), []byte(inside), 0o600); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(dir, "payload.img")
	run(t, "mkfs.ext4", "-q", "-d", tree, disk, "512M")
	return disk
}

func run(t *testing.T, name string, args ...string) {
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

// console is what the machine writes; begun is closed by its first test line.
type console struct {
	text  bytes.Buffer
	begun chan struct{}
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
	return n, err
}

// boot runs the machine until it powers off and returns what it wrote to its
// console. The disks stay as they are.
func boot(t *testing.T, system, disk string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, fmt.Errorf("it did not power off within %s", patience))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "2048",
		"-nic", "none", "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot",
		"-kernel", filepath.Join(system, "vmlinuz"), "-initrd", filepath.Join(system, "initrd.img"),
		"-append", "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off no_timer_check systemd.show_status=false",
		"-drive", "file="+filepath.Join(system, "root.img")+",format=raw,if=virtio,snapshot=on",
		"-drive", "file="+disk+",format=raw,if=virtio,readonly=on")
	out := &console{begun: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, out
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
