package pause

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCommittedProgramsAreWhatTheSourceGives rebuilds them. Another compiler
// than the one written down may give other bytes: then it is enough that the
// source builds with it (the tests below try the result), and the committed
// programs stand. The same compiler must give the same bytes.
func TestCommittedProgramsAreWhatTheSourceGives(t *testing.T) {
	dir := rebuild(t)
	was, now := compilers(t, "program"), compilers(t, dir)
	for _, arch := range []string{"amd64", "arm64"} {
		committed, fresh := read(t, "program/pause-"+arch), read(t, dir+"/pause-"+arch)
		switch {
		case bytes.Equal(committed, fresh):
		case was[arch] == now[arch]:
			t.Errorf("pause-%s is not what pause.c gives: run runtime/pause/program/build.sh and commit the result", arch)
		default:
			t.Logf("pause-%s was built with %q; %q gives other bytes", arch, was[arch], now[arch])
		}
	}
}

func TestProgramsAreStaticAndSmall(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		f, err := elf.Open("program/pause-" + arch)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Machine != machine || f.Type != elf.ET_EXEC {
			t.Errorf("pause-%s is %s for %s", arch, f.Type, f.Machine)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_LOAD && p.Flags&elf.PF_W != 0 {
				t.Errorf("pause-%s has a segment %v: it is to be static and have no data", arch, p.ProgHeader)
			}
		}
		if size := len(read(t, "program/pause-"+arch)); size > 4096 {
			t.Errorf("pause-%s has %d bytes", arch, size)
		}
	}
}

// TestPause runs the committed program and one built now.
func TestPause(t *testing.T) {
	for name, dir := range map[string]string{"committed": "program", "fresh": rebuild(t)} {
		path := filepath.Join(dir, "pause-"+runtime.GOARCH)
		t.Run(name+"/reaps", func(t *testing.T) { reaps(t, path) })
		t.Run(name+"/stays small", func(t *testing.T) { staysSmall(t, path) })
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			t.Run(fmt.Sprintf("%s/ends on %s as PID 1", name, sig), func(t *testing.T) {
				ends(t, start(t, path, syscall.CLONE_NEWPID), sig)
			})
			t.Run(fmt.Sprintf("%s/ends on %s elsewhere", name, sig), func(t *testing.T) {
				ends(t, start(t, path, 0), sig)
			})
		}
	}
}

// reaps makes orphans in pause's PID namespace, sees them become its children,
// lets them end, and sees them go.
func reaps(t *testing.T, path string) {
	const orphans = 20
	pause := start(t, path, syscall.CLONE_NEWPID)
	script := fmt.Sprintf("for i in $(seq %d); do cat <&3 >/dev/null 2>&1 & done", orphans)
	maker := exec.Command("nsenter", "--pid", "--target", strconv.Itoa(pause.Process.Pid), "sh", "-c", script)
	held, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	maker.ExtraFiles = []*os.File{held}
	if out, err := maker.CombinedOutput(); err != nil {
		t.Fatalf("make orphans: %v: %s", err, out)
	}
	held.Close()
	eventually(t, "the orphans are pause's children", func() bool { return children(t, pause) == orphans })
	hold.Close()
	eventually(t, "the orphans are gone, and not zombies", func() bool { return children(t, pause) == 0 })
	ends(t, pause, syscall.SIGTERM)
}

func staysSmall(t *testing.T, path string) {
	pause := start(t, path, syscall.CLONE_NEWPID)
	comm := string(read(t, fmt.Sprintf("/proc/%d/comm", pause.Process.Pid)))
	if !strings.Contains(comm, "pause") {
		t.Errorf("the process is called %q", comm)
	}
	var kib int
	rollup := read(t, fmt.Sprintf("/proc/%d/smaps_rollup", pause.Process.Pid))
	for _, m := range regexp.MustCompile(`Private_\w+: +(\d+) kB`).FindAllSubmatch(rollup, -1) {
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		kib += n
	}
	if kib == 0 || kib >= 100 {
		t.Errorf("pause has %d KiB of private memory, want less than 100:\n%s", kib, rollup)
	}
	ends(t, pause, syscall.SIGTERM)
}

// start returns once pause blocks its signals.
func start(t *testing.T, path string, flags uintptr) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	status := fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)
	eventually(t, "pause waits", func() bool { return bytes.Contains(read(t, status), []byte("State:\tS")) })
	return cmd
}

func ends(t *testing.T, pause *exec.Cmd, sig syscall.Signal) {
	t.Helper()
	if err := pause.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	if err := pause.Wait(); err != nil {
		t.Errorf("after %s pause ended with %v, want 0", sig, err)
	}
}

// children counts the processes whose parent is pause, zombies included.
func children(t *testing.T, pause *exec.Cmd) int {
	t.Helper()
	parent := fmt.Sprintf("\nPPid:\t%d\n", pause.Process.Pid)
	paths, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range paths {
		// One that has gone meanwhile is nobody's child.
		if status, err := os.ReadFile(path); err == nil && bytes.Contains(status, []byte(parent)) {
			n++
		}
	}
	return n
}

// eventually polls for what only another process can bring about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func rebuild(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("program/build.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("build.sh (needs gcc and gcc-aarch64-linux-gnu): %v: %s", err, out)
	}
	return dir
}

// compilers are the lines of a COMPILERS file, by architecture.
func compilers(t *testing.T, dir string) map[string]string {
	t.Helper()
	by := map[string]string{}
	for line := range strings.Lines(string(read(t, dir+"/COMPILERS"))) {
		arch, with, _ := strings.Cut(strings.TrimSpace(line), ": ")
		by[arch] = with
	}
	return by
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
