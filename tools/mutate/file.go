package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// file is a source file and what is put into it.
type file struct {
	source *source
	path   string
	text   []byte
	fset   *token.FileSet
	info   *types.Info
	pkg    *types.Package
	syntax *ast.File
	put    []insertion
}

// insertion is text put before the byte at offset. Where several meet, what
// closes comes before what opens, the innermost first to close and last to open.
type insertion struct {
	offset  int
	closes  bool
	text    string
	ordinal int
}

// add notes a mutant at a node and gives its number.
func (f *file) add(n ast.Node, what string, args ...any) int {
	pos := f.fset.Position(n.Pos())
	pos.Filename = filepath.Base(f.path)
	id := len(f.source.found) + 1
	f.source.found = append(f.source.found, mutant{id, pos, fmt.Sprintf(what, args...)})
	return id
}

// wrap puts text around a node.
func (f *file) wrap(n ast.Node, before, after string) {
	f.insert(n.Pos(), false, before)
	f.insert(n.End(), true, after)
}

func (f *file) insert(at token.Pos, closes bool, text string) {
	f.put = append(f.put, insertion{f.fset.Position(at).Offset, closes, text, len(f.put)})
}

// changed is the text with everything put in.
func (f *file) changed() string {
	slices.SortFunc(f.put, func(a, b insertion) int {
		if a.offset != b.offset {
			return a.offset - b.offset
		}
		if a.closes != b.closes {
			return map[bool]int{true: -1, false: 1}[a.closes]
		}
		if a.closes {
			return cmp.Compare(b.ordinal, a.ordinal)
		}
		return cmp.Compare(a.ordinal, b.ordinal)
	})
	var b strings.Builder
	from := 0
	for _, in := range f.put {
		b.Write(f.text[from:in.offset])
		b.WriteString(in.text)
		from = in.offset
	}
	b.Write(f.text[from:])
	return b.String()
}

// code is the text of a node, shortened for people if it is long.
func (f *file) code(n ast.Node) string {
	return string(f.text[f.fset.Position(n.Pos()).Offset:f.fset.Position(n.End()).Offset])
}

func (f *file) short(n ast.Node) string {
	text := strings.Join(strings.Fields(f.code(n)), " ")
	if r := []rune(text); len(r) > 60 {
		return string(r[:60]) + "..."
	}
	return text
}

// typeName is how the file can write a type, or "" if it can't.
func (f *file) typeName(t types.Type) string {
	ok := true
	text := types.TypeString(t, func(p *types.Package) string {
		if p == f.pkg {
			return ""
		}
		name := f.importName(p)
		ok = ok && name != ""
		return name
	})
	if !ok {
		return ""
	}
	return text
}

func (f *file) importName(p *types.Package) string {
	for _, spec := range f.syntax.Imports {
		if path, err := strconv.Unquote(spec.Path.Value); err != nil || path != p.Path() {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return p.Name()
	}
	return ""
}
