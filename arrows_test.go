// The tests here hold the repository as a whole to its rules.
package podd_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/podd-io/podd"

// goPackage is what `go list -json` tells of a package.
type goPackage struct {
	ImportPath, Dir, Name string
	GoFiles               []string
	Imports, Deps         []string
}

func list(t *testing.T, patterns ...string) []goPackage {
	t.Helper()
	args := append([]string{"list", "-tags", "grpcnotrace", "-json=ImportPath,Dir,Name,GoFiles,Imports,Deps"}, patterns...)
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// arrows says which of our packages each may import; "x/..." stands for x and
// everything below it.
var arrows = map[string][]string{
	"api/...":         {},
	"api/manifest":    {"api/podd/v1"},
	"pod":             {},
	"agent":           {"pod", "api/...", "agent/..."},
	"agent/...":       {"pod", "api/...", "agent/..."},
	"runtime":         {"pod", "runtime/files", "runtime/layer", "runtime/registry"},
	"runtime/...":     {"pod", "runtime/...", "runtime"},
	"cni":             {"pod"},
	"metrics":         {"agent", "pod", "api/..."},
	"systemd":         {},
	"trace":           {"agent", "pod"},
	"cmd/podd":        {"..."},
	"cmd/podctl/...":  {"api/...", "cmd/podctl/...", "pod"}, // pod for the order in which pods end
	"integration/...": {"..."},
	"examples/...":    {"integration/...", "api/..."},
}

// owners says who alone may import what is outside, and why.
var owners = []struct {
	what, why string
	who       []string
}{
	{"github.com/containerd/containerd/", "containerd is runtime's affair", []string{"runtime/..."}},
	{"github.com/containernetworking/", "CNI is cni's affair", []string{"cni"}},
	{"github.com/containerd/go-cni", "CNI is cni's affair", []string{"cni"}},
	{"github.com/vishvananda/", "the network is cni's affair", []string{"cni"}},
	{"github.com/google/nftables", "the network is cni's affair", []string{"cni"}},
	{"github.com/prometheus/", "metrics are metrics' affair", []string{"metrics"}},
	{"go.opentelemetry.io/", "traces are trace's affair", []string{"trace"}},
	{"github.com/coreos/go-systemd", "systemd is systemd's affair", []string{"systemd"}},
	{"github.com/godbus/", "systemd is systemd's affair", []string{"systemd"}},
	{"k8s.io/kubernetes/", "Kubernetes' own code is for admission alone", []string{"agent/admit"}},
	{"k8s.io/kubelet/", "credential provider plugins are registry's affair, the Summary is summary's", []string{"runtime/registry", "agent/summary", "cmd/podctl"}},
	{"k8s.io/client-go/", "podd is no client of Kubernetes", []string{"cmd/podctl/..."}},
	{"k8s.io/cli-runtime/", "printers are podctl's", []string{"cmd/podctl/..."}},
	{"k8s.io/apiserver/", "podd is no apiserver", nil},
	{"k8s.io/controller-manager/", "podd runs no controllers", nil},
	{"go.etcd.io/bbolt", "bbolt is the store's affair, and containerd's daemon", []string{"agent/store", "runtime/daemon"}},
}

// pureImports is all that the core may import: types, and nothing that acts.
var pureImports = []string{"k8s.io/api/", "k8s.io/apimachinery/"}

func inside(pkg string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if pattern == "..." || pattern == pkg {
			return true
		}
		root, deep := strings.CutSuffix(pattern, "/...")
		return deep && (pkg == root || strings.HasPrefix(pkg, root+"/"))
	})
}

func allowed(pkg string) ([]string, bool) {
	if own, ok := arrows[pkg]; ok {
		return own, true
	}
	for dir := pkg; dir != "."; dir = filepath.Dir(dir) {
		if own, ok := arrows[dir+"/..."]; ok {
			return own, true
		}
	}
	return nil, false
}

func TestImportsFollowTheArrows(t *testing.T) {
	for _, p := range list(t, "./...") {
		pkg := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if pkg == "" {
			continue
		}
		may, known := allowed(pkg)
		if !known {
			t.Errorf("%s has no arrows: say in this file what it may import", pkg)
		}
		for _, imp := range p.Imports {
			if own, ok := strings.CutPrefix(imp, module+"/"); ok {
				if !inside(own, may) {
					t.Errorf("%s imports %s: pod decides, agent owns, runtime and cni do, metrics reads, systemd talks to systemd, cmd wires", pkg, own)
				}
				continue
			}
			checkOutside(t, pkg, imp)
		}
	}
}

func checkOutside(t *testing.T, pkg, imp string) {
	t.Helper()
	for _, o := range owners {
		if strings.HasPrefix(imp+"/", o.what) && !inside(pkg, o.who) && pkg != "integration" {
			t.Errorf("%s imports %s: %s", pkg, imp, o.why)
		}
	}
	std := !strings.Contains(strings.Split(imp, "/")[0], ".")
	if pkg == "pod" && !std && !slices.ContainsFunc(pureImports, func(p string) bool { return strings.HasPrefix(imp, p) }) {
		t.Errorf("pod imports %s: the core sees Kubernetes' types and the standard library only", imp)
	}
	if pkg == "pod" && slices.Contains([]string{"os", "net", "net/http", "math/rand", "math/rand/v2", "sync", "context", "log", "log/slog"}, imp) {
		t.Errorf("pod imports %s: it has no I/O, no randomness, no lock and no logger", imp)
	}
}

// broughtAlong is what Kubernetes' validation brings into podd of a cluster's
// machinery: feature gates and what they stand on. Nothing else of it may come.
var broughtAlong = []string{
	"k8s.io/apiserver/pkg/features",
	"k8s.io/apiserver/pkg/util/feature",
	"k8s.io/client-go/features",
	"k8s.io/controller-manager/pkg/features",
}

func TestNothingMoreOfAClusterComesAlong(t *testing.T) {
	var found []string
	for _, p := range list(t, "-deps", "./cmd/podd") {
		for _, machinery := range []string{"k8s.io/client-go/", "k8s.io/apiserver/", "k8s.io/controller-manager/"} {
			if strings.HasPrefix(p.ImportPath, machinery) {
				found = append(found, p.ImportPath)
			}
		}
	}
	slices.Sort(found)
	if !slices.Equal(found, broughtAlong) {
		t.Errorf("podd has these packages of a cluster's machinery:\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(broughtAlong, "\n"))
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range list(t, "./...") {
		var docs []string
		for _, file := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil && !ast.IsGenerated(f) {
				docs = append(docs, f.Doc.Text())
			}
		}
		if len(p.GoFiles) > 0 && len(docs) != 1 {
			t.Errorf("%s has %d package comments: it needs one that says what it is for and who imports it", p.ImportPath, len(docs))
			continue
		}
		if p.Name == "main" || len(docs) == 0 {
			continue
		}
		if !strings.HasPrefix(docs[0], "Package "+p.Name+" ") {
			t.Errorf("%s: its package comment begins with %q", p.ImportPath, strings.SplitN(docs[0], "\n", 2)[0])
		}
		if !strings.Contains(docs[0], "import") && !strings.Contains(docs[0], "speak it") {
			t.Errorf("%s: its package comment does not say who imports it", p.ImportPath)
		}
	}
}
