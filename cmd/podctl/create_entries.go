package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"
)

// entrySources are where the entries of a ConfigMap or Secret come from.
type entrySources struct {
	literals, files, envFiles []string
}

func (e *entrySources) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&e.literals, "from-literal", nil, "an entry, as key=value")
	flags.StringSliceVar(&e.files, "from-file", nil, "[key=]file, or a directory whose files are all taken; the key is the file's name if none is given")
	flags.StringSliceVar(&e.envFiles, "from-env-file", nil, "a file of key=value lines; a key alone takes its value from the environment")
}

// entries are keys and their values; a key comes once.
type entries map[string][]byte

func (e entries) add(key string, value []byte) error {
	if wrong := validation.IsConfigMapKey(key); len(wrong) > 0 {
		return fmt.Errorf("%q is not a valid key name: %s", key, strings.Join(wrong, ","))
	}
	if _, taken := e[key]; taken {
		return fmt.Errorf("cannot add key %q, another key by that name already exists", key)
	}
	e[key] = value
	return nil
}

// read reads all sources.
func (e *entrySources) read(getenv func(string) string) (entries, error) {
	if len(e.envFiles) > 0 && (len(e.files) > 0 || len(e.literals) > 0) {
		return nil, errors.New("from-env-file cannot be combined with from-file or from-literal")
	}
	all := entries{}
	for _, literal := range e.literals {
		key, value, found := strings.Cut(literal, "=")
		if !found || key == "" {
			return nil, fmt.Errorf("invalid literal source %v, expected key=value", literal)
		}
		if err := all.add(key, []byte(value)); err != nil {
			return nil, err
		}
	}
	for _, source := range e.files {
		if err := all.addPath(source); err != nil {
			return nil, err
		}
	}
	for _, path := range e.envFiles {
		if err := all.addEnvFile(path, getenv); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// addPath takes [key=]file, or the regular files of a directory whose names
// can be keys.
func (e entries) addPath(source string) error {
	key, path, named := strings.Cut(source, "=")
	if !named {
		key, path = filepath.Base(source), source
	}
	if key == "" || path == "" {
		return fmt.Errorf("invalid file source %q, expected [key=]path", source)
	}
	stat, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("error reading %s: %w", path, err)
	case !stat.IsDir():
		return e.addFile(key, path)
	case named:
		return errors.New("cannot give a key name for a directory path")
	}
	files, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("error listing files in %s: %w", path, err)
	}
	for _, file := range files {
		if !file.Type().IsRegular() || len(validation.IsConfigMapKey(file.Name())) > 0 {
			continue
		}
		if err := e.addFile(file.Name(), filepath.Join(path, file.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (e entries) addFile(key, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("error reading %s: %w", path, err)
	}
	return e.add(key, text)
}

// addEnvFile takes lines as docker's --env-file does: blank lines and those
// that start with # are nothing, and quotes are part of the value.
func (e entries) addEnvFile(path string, getenv func(string) string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("error reading %s: %w", path, err)
	}
	number := 0
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		number++
		entry := strings.TrimLeft(strings.TrimRight(string(line), "\r\n"), " \t")
		if entry == "" || entry[0] == '#' {
			continue
		}
		key, value, found := strings.Cut(entry, "=")
		if !found {
			value = getenv(key)
		}
		if err := e.add(key, []byte(value)); err != nil {
			return fmt.Errorf("%s:%d: %w", path, number, err)
		}
	}
	return nil
}
