package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/yaml"
)

// contextFile is what podctl remembers: which podds there are and which one is
// meant when nothing else is said.
type contextFile struct {
	Current  string         `json:"current-context,omitempty"`
	Contexts []namedContext `json:"contexts,omitempty"`
}

// namedContext is a podd, with the certificates for it if it is at a tcp://
// address, and a namespace; any may be empty.
type namedContext struct {
	Name         string `json:"name"`
	Address      string `json:"address,omitempty"`
	certificates `json:",inline"`
	Namespace    string `json:"namespace,omitempty"`
}

// contextPath is where contexts are kept; empty when there is no home.
func (s *session) contextPath() string {
	if path := s.getenv("PODD_CONFIG"); path != "" {
		return path
	}
	home := s.getenv("HOME")
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".config", "podctl", "config.yaml")
}

// readContexts reads the file; one that isn't there is empty.
func (s *session) readContexts() (*contextFile, error) {
	path := s.contextPath()
	content, err := os.ReadFile(path)
	if path == "" || errors.Is(err, fs.ErrNotExist) {
		return &contextFile{}, nil
	}
	if err != nil {
		return nil, err
	}
	var f contextFile
	if err := yaml.UnmarshalStrict(content, &f); err != nil {
		return nil, fmt.Errorf("read contexts from %s: %w", path, err)
	}
	return &f, nil
}

// writeContexts replaces the file as a whole, or leaves it as it was.
func (s *session) writeContexts(f *contextFile) error {
	path := s.contextPath()
	if path == "" {
		return errors.New("contexts can't be kept: neither $PODD_CONFIG nor $HOME is set")
	}
	content, err := yaml.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode contexts: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	made, err := os.CreateTemp(filepath.Dir(path), ".config-*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = made.Write(content)
	err = errors.Join(err, made.Close())
	if err == nil {
		err = os.Rename(made.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(made.Name()))
	}
	return nil
}

// find is the context of a name; nil when there is none.
func (f *contextFile) find(name string) *namedContext {
	i := slices.IndexFunc(f.Contexts, func(c namedContext) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Contexts[i]
}

// settle finds the context in force: that of --context, else the current one.
// It has to come before endpoint and space, and may come twice.
func (s *session) settle() error {
	f, err := s.readContexts()
	if err != nil {
		return err
	}
	name := s.contextName
	if name == "" {
		name = f.Current
	}
	if name == "" {
		return nil
	}
	found := f.find(name)
	switch {
	case found == nil && s.contextName != "":
		return fmt.Errorf("context %q does not exist", name)
	case found == nil:
		return fmt.Errorf("context was not found for specified context: %s", name)
	}
	s.inForce = *found
	return nil
}
