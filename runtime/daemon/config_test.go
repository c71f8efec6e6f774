package daemon

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConfigurationIsAsWritten(t *testing.T) {
	cfg := Config{Root: "/var/lib/podd/containerd", RunDir: "/run/podd/containerd"}
	want, err := os.ReadFile("testdata/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(cfg.toml())); diff != "" {
		t.Errorf("testdata/config.toml (-want +got):\n%s", diff)
	}
}

// TestConfigurationIsUnderstood lets containerd read odd paths.
func TestConfigurationIsUnderstood(t *testing.T) {
	cfg := config("/tmp/a \"b\"\\c\tö&", nil)
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, cfg.toml(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(cfg.Bundle.Containerd, "--config", path, "config", "dump").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), `root = "/tmp/a \"b\"\\c\tö&/root"`) {
		t.Errorf("the root is not among what it understood:\n%s", out)
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"good":       {Config{Root: "/a", RunDir: "/b"}, ""},
		"relative":   {Config{Root: "a", RunDir: "/b"}, "absolute"},
		"fits":       {Config{Root: "/a", RunDir: "/" + strings.Repeat("b", 84)}, ""},
		"one beyond": {Config{Root: "/a", RunDir: "/" + strings.Repeat("b", 85)}, "a path of 102 bytes, 101 are allowed"},
	} {
		err := c.cfg.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("PATH", "/bin")
	env := []string{"PATH=/bin", "NOTIFY_SOCKET=/x", "WATCHDOG_USEC=1", "WATCHDOG_PID=2", "LISTEN_FDS=3", "OTEL_TRACES_EXPORTER=otlp", "HTTP_PROXY=p"}
	want := []string{"HTTP_PROXY=p", "PATH=/bundle:/bin"}
	if diff := cmp.Diff(want, environment(env, Bundle{Dir: "/bundle"})); diff != "" {
		t.Error(diff)
	}
}

func TestFindBundle(t *testing.T) {
	dir := t.TempDir()
	if _, err := FindBundle(dir); err == nil || !strings.Contains(err.Error(), "no containerd in it") {
		t.Errorf("an empty directory: %v", err)
	}
	program := filepath.Join(dir, "containerd")
	if err := os.WriteFile(program, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := FindBundle(dir); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("one that cannot be run: %v", err)
	}
	if err := os.Chmod(program, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := FindBundle(dir); err != nil || got != (Bundle{Dir: dir, Containerd: program}) {
		t.Errorf("got %+v, %v", got, err)
	}
	t.Setenv("PATH", dir)
	if got, err := FindBundle(""); err != nil || got.Containerd != program || got.Path("/bin") != "/bin" {
		t.Errorf("from $PATH: got %+v, %v", got, err)
	}
}

func TestTheBundleOfAnExecutable(t *testing.T) {
	for executable, want := range map[string][]string{
		"/src/podd/bin/podd":  {"/src/podd/bin/bundle", "/src/podd/lib/podd/bundle"},
		"/usr/bin/podd":       {"/usr/bin/bundle", "/usr/lib/podd/bundle"},
		"/usr/local/bin/podd": {"/usr/local/bin/bundle", "/usr/local/lib/podd/bundle"},
	} {
		if diff := cmp.Diff(want, bundlesOf(executable)); diff != "" {
			t.Errorf("%s: %s", executable, diff)
		}
	}
}

func TestTrim(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := trim(path); err != nil {
		t.Errorf("no log at all: %v", err)
	}
	log, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for _, text := range []string{"old\n", strings.Repeat("x", maxLog), "a\nb\nc\nlast\n"} {
		if err := trim(path); err != nil {
			t.Fatal(err)
		}
		if _, err := log.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	if got := lastLines(path); got != "b; c; last" {
		t.Errorf("last lines %q", got)
	}
	if older, err := os.Stat(path + ".1"); err != nil || older.Size() != maxLog {
		t.Errorf("the older log: %v, %v", older, err)
	}
}
