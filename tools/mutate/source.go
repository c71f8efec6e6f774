package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// variable is the environment variable that says which mutant is on.
const variable = "MUTANT"

// switches is the file added to the package under test: what the changed code
// asks whether a mutant is on.
const switches = `package %s

import (
	"os"
	"strconv"
)

var _mutant, _ = strconv.Atoi(os.Getenv(%q))

func _m(n int) bool { return _mutant == n }

type _number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr | ~float32 | ~float64
}

func _change[T _number](n int, own, by, add T) T {
	if _mutant == n {
		return own*by + add
	}
	return own
}

func _either[T any](n int, other, own func() T) T {
	if _mutant == n {
		return other()
	}
	return own()
}
`

// mutant is one small change of the source.
type mutant struct {
	id   int
	pos  token.Position // the file name is the base name
	what string
}

func (m mutant) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", m.pos.Filename, m.pos.Line, m.pos.Column, m.what)
}

// source is a package with all its mutants in it.
type source struct {
	dir   string
	name  string
	files []*file
	found []mutant
}

// load reads and type-checks a package, and finds its mutants.
func load(pkg, tags string) (*source, error) {
	mode := packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo
	loaded, err := packages.Load(&packages.Config{Mode: mode, BuildFlags: []string{"-tags", tags}}, pkg)
	if err != nil {
		return nil, err
	}
	if len(loaded) != 1 {
		return nil, fmt.Errorf("%s is not one package", pkg)
	}
	p := loaded[0]
	if len(p.Errors) > 0 {
		return nil, fmt.Errorf("%s: %v", pkg, p.Errors[0])
	}
	s := &source{dir: filepath.Dir(p.GoFiles[0]), name: p.Name}
	for i, syntax := range p.Syntax {
		text, err := os.ReadFile(p.GoFiles[i])
		if err != nil {
			return nil, err
		}
		f := &file{source: s, path: p.GoFiles[i], text: text, fset: p.Fset, info: p.TypesInfo, pkg: p.Types, syntax: syntax}
		ast.Walk(visitor{f, nil}, syntax)
		s.files = append(s.files, f)
	}
	return s, nil
}

// mutants are those in the given places, by position.
func (s *source) mutants(only []string) []mutant {
	var all []mutant
	for _, m := range s.found {
		line := m.pos.Filename + ":" + strconv.Itoa(m.pos.Line)
		if len(only) == 0 || slices.Contains(only, m.pos.Filename) || slices.Contains(only, line) {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b mutant) int {
		return cmp.Or(strings.Compare(a.pos.Filename, b.pos.Filename), a.pos.Offset-b.pos.Offset, a.id-b.id)
	})
	return all
}

// build compiles the tests of the package with all mutants in it.
func (s *source) build(dir, tags string) (string, error) {
	replace := map[string]string{}
	add := func(path, text string) error {
		copied := filepath.Join(dir, filepath.Base(path))
		replace[path] = copied
		return os.WriteFile(copied, []byte(text), 0o644)
	}
	err := add(filepath.Join(s.dir, "mutant_switches.go"), fmt.Sprintf(switches, s.name, variable))
	for _, f := range s.files {
		err = errors.Join(err, add(f.path, f.changed()))
	}
	if err != nil {
		return "", err
	}
	overlay, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "package.test")
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err == nil {
		err = os.WriteFile(overlay, text, 0o644)
	}
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "test", "-c", "-vet=off", "-tags", tags, "-overlay", overlay, "-o", binary, ".")
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the mutants do not compile: %w\n%s", err, out)
	}
	return binary, nil
}
