package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// loadWith loads a file of the given text with the given command line.
func loadWith(t *testing.T, text string, args ...string) (Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	flagged := defaultConfig()
	flags := pflag.NewFlagSet("podd", pflag.ContinueOnError)
	addFlags(flags, &flagged)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return load(file, true, flags, flagged)
}

func TestEveryScalarKeyIsAFlag(t *testing.T) {
	flagged := defaultConfig()
	flags := pflag.NewFlagSet("podd", pflag.ContinueOnError)
	addFlags(flags, &flagged)
	fields := reflect.TypeFor[Config]()
	for i := range fields.NumField() {
		name := fields.Field(i).Tag.Get("json")
		if name != "runtimes" && flags.Lookup(name) == nil {
			t.Errorf("the key %s has no flag", name)
		}
	}
	if got, want := len(keys()), fields.NumField()-1; got != want {
		t.Errorf("%d flags for %d keys", got, want)
	}
}

func TestNothingGivenIsTheDefault(t *testing.T) {
	got, err := loadWith(t, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaultConfig(), got); diff != "" {
		t.Error(diff)
	}
}

func TestFlagsWinOverTheFileOverTheDefaults(t *testing.T) {
	got, err := loadWith(t, "root: /a\nrun-dir: /b\nlog-level: debug\nmax-pods: 3\n",
		"--root=/c", "--max-pods", "7", "--listen", "unix:///x.sock", "--listen=unix:///y.sock")
	if err != nil {
		t.Fatal(err)
	}
	want := defaultConfig()
	want.Root, want.RunDir, want.LogLevel, want.MaxPods = "/c", "/b", "debug", 7
	want.Listen = []string{"unix:///x.sock", "unix:///y.sock"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultsThatDependOnOthers(t *testing.T) {
	for name, c := range map[string]struct {
		text          string
		args          []string
		listen, links string
	}{
		"run-dir moves the socket":  {"", []string{"--run-dir=/r"}, "unix:///r/podd.sock", "/var/log/containers"},
		"log-dir ends the links":    {"log-dir: /l\n", nil, "unix:///run/podd/podd.sock", ""},
		"unless these are given":    {"log-links-dir: /k\n", []string{"--log-dir=/l"}, "unix:///run/podd/podd.sock", "/k"},
		"an own socket stays":       {"run-dir: /r\nlisten: [unix:///s]\n", nil, "unix:///s", "/var/log/containers"},
		"links can be switched off": {"", []string{"--log-links-dir="}, "unix:///run/podd/podd.sock", ""},
	} {
		got, err := loadWith(t, c.text, c.args...)
		if err != nil || len(got.Listen) != 1 || got.Listen[0] != c.listen || got.LogLinksDir != c.links {
			t.Errorf("%s: listen %q, links %q, %v", name, got.Listen, got.LogLinksDir, err)
		}
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	long := "/" + strings.Repeat("x", 107)
	for text, want := range map[string]string{
		"rooot: /a":                                        `unknown field "rooot"`,
		"root: /a\nroot: /b":                               `key "root" already set`,
		"root: a":                                          `root: "a" is not an absolute path`,
		"root: /":                                          `root: "/" is not`,
		"run-dir: /var/lib/podd/run":                       "run-dir: /var/lib/podd/run and the root /var/lib/podd overlap",
		"run-dir: /" + strings.Repeat("r", 75):             "run-dir: containerd's socket",
		"listen: []":                                       "listen: there has to be one",
		"listen: ['http://:1']":                            `listen: "http://:1" is neither unix:///PATH nor tcp://HOST:PORT`,
		"listen: ['tcp://']":                               `is neither`,
		"listen: ['tcp://h']":                              `"h" is not HOST:PORT`,
		"listen: ['tcp://:1']":                             "listen: tls-cert-file: a tcp:// endpoint needs it",
		"tls-cert-file: x":                                 `tls-cert-file: "x" is not an absolute path`,
		"client-ca-file: x":                                `client-ca-file: "x" is not an absolute path`,
		"listen: ['unix://" + long + "']":                  "has 108 bytes, 107 are allowed",
		"listen: ['unix:///a','unix:///a']":                "is there twice",
		"metrics-listen: '9471'":                           `metrics-listen: "9471" is not HOST:PORT`,
		"metrics-listen: ':99999'":                         "no valid port",
		"containerd: mine":                                 "containerd: neither auto nor managed",
		"containerd-namespace: a/b":                        "containerd-namespace:",
		"cgroup-root: /a/":                                 "cgroup-root: \"/a/\" is neither the path",
		"cgroup-root: podd":                                "cgroup-root:",
		"cgroup-root: a/b.slice":                           "cgroup-root: \"a/b.slice\" is not the name of a slice",
		"cgroup-root: a--b.slice":                          "cgroup-root:",
		"cgroup-root: -.slice":                             "cgroup-root:",
		"cgroup-root: podd-podx.slice":                     "cgroup-root:",
		"cgroup-driver: kubelet":                           "cgroup-driver: \"kubelet\" is none of auto, systemd, cgroupfs",
		"cgroup-driver: cgroupfs\ncgroup-root: podd.slice": "a path such as /podd is meant?",
		"cgroup-driver: systemd\ncgroup-root: /podd":       "cgroup-root: \"/podd\" is not the name of a slice, such as podd.slice",
		"seccomp-default: maybe":                           "seccomp-default: \"maybe\" is none of RuntimeDefault, Unconfined",
		"pod-cidr: 10.88.0.0":                              "pod-cidr: \"10.88.0.0\" is not a range",
		"pod-cidr: 10.88.0.1/16":                           "10.88.0.0/16 is meant?",
		"pod-cidr: 10.88.0.0/30":                           "no room",
		"node-name: A_b":                                   "node-name:",
		"max-pods: 0":                                      "max-pods: 0 is not",
		"max-pods: many":                                   "max-pods",
		"registry-config-dir: certs.d":                     "registry-config-dir: \"certs.d\" is not an absolute path",
		"image-credential-provider-bin-dir: /b":            "go together",
		"image-credential-provider-config: /b":             "go together",
		"image-credential-provider-config: /nosuch\nimage-credential-provider-bin-dir: /b": "image-credential-provider-config: stat /nosuch",
		"log-level: loud":              "log-level:",
		"runtimes: {crun: {path: /c}}": "runtimes: not supported yet: crun",
		"runtimes: {runc: {}}":         "runc has no path",
		"runtimes: {runc: {pat: x}}":   `unknown field "pat"`,
	} {
		if _, err := loadWith(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant %q", text, err, want)
		}
	}
}

func TestAllThatIsWrongIsToldAtOnce(t *testing.T) {
	_, err := loadWith(t, "root: a\npod-cidr: b\nlog-level: c\n")
	for _, key := range []string{"root:", "pod-cidr:", "log-level:"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%v names no %s", err, key)
		}
	}
}

func TestOnlyANamedFileHasToExist(t *testing.T) {
	flags := pflag.NewFlagSet("podd", pflag.ContinueOnError)
	missing := filepath.Join(t.TempDir(), "none.yaml")
	if _, err := load(missing, false, flags, Config{}); err != nil {
		t.Errorf("the default file is missing: %v", err)
	}
	if _, err := load(missing, true, flags, Config{}); err == nil {
		t.Error("a named file is missing, and no error")
	}
}

// run runs podd's command line.
func run(args ...string) (string, error) {
	var out bytes.Buffer
	cmd := command()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.Execute()
	return out.String(), err
}

func TestTheDefaultConfigurationIsPrintedAndGood(t *testing.T) {
	text, err := run("config", "default")
	if err != nil {
		t.Fatal(err)
	}
	var printed Config
	if err := yaml.UnmarshalStrict([]byte(text), &printed); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaultConfig(), printed); diff != "" {
		t.Error(diff)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run("config", "check", file); err != nil || out != file+" is good\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestTheConfigurationToBeginWithChangesNothing(t *testing.T) {
	text, err := run("config", "default", "--commented-out")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if line != "\n" && !strings.HasPrefix(line, "#") {
			t.Errorf("a line is no comment: %q", line)
		}
	}
	if got, err := loadWith(t, text); err != nil || !cmp.Equal(defaultConfig(), got) {
		t.Errorf("%v: %s", err, cmp.Diff(defaultConfig(), got))
	}
	// What is taken out of comment as it stands is a key.
	var uncommented strings.Builder
	for line := range strings.Lines(text) {
		if prose := strings.HasPrefix(line, "# ") && !strings.HasPrefix(line, "#  "); strings.HasPrefix(line, "#") && !prose {
			uncommented.WriteString(line[1:])
		}
	}
	var all Config
	if err := yaml.UnmarshalStrict([]byte(uncommented.String()), &all); err != nil || !cmp.Equal(defaultConfig(), all) {
		t.Errorf("%v: %s", err, cmp.Diff(defaultConfig(), all))
	}
}

func TestVersionIsPrinted(t *testing.T) {
	if out, err := run("version"); err != nil || !strings.HasPrefix(out, "podd ") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestArgumentsThatMeanNothingAreRefused(t *testing.T) {
	for _, args := range [][]string{{"run"}, {"config", "x"}, {"config", "check", "a", "b"}, {"--rooot=/x"}} {
		if out, err := run(args...); err == nil {
			t.Errorf("%q: %q and no error", args, out)
		}
	}
}
