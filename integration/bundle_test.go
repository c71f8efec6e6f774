package integration_test

import (
	"debug/elf"
	"os/exec"
	"strings"
	"testing"
)

func TestTheBundleIsWhatItsModuleSays(t *testing.T) {
	t.Parallel()
	for program, pinned := range map[string]string{
		"containerd": "github.com/containerd/containerd/v2", "containerd-shim-runc-v2": "github.com/containerd/containerd/v2",
		"runc": "github.com/opencontainers/runc",
	} {
		cmd := exec.Command("go", "list", "-m", "-f", "{{.Version}}", pinned)
		cmd.Dir = "../bundle"
		version, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		flag := "--version"
		if program == "containerd-shim-runc-v2" {
			flag = "-v"
		}
		out, err := exec.Command(bin(t, "bundle/"+program), flag).CombinedOutput()
		if want := strings.TrimPrefix(strings.TrimSpace(string(version)), "v"); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s is not version %s: %v\n%s", program, want, err, out)
		}
		if program == "runc" && !strings.Contains(string(out), "libseccomp") {
			t.Errorf("runc has no seccomp:\n%s", out)
		}
	}
	for _, program := range []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc", "bridge", "host-local", "loopback", "portmap"} {
		f, err := elf.Open(bin(t, "bundle/"+program))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				t.Errorf("%s is not static", program)
			}
		}
		f.Close()
	}
}
