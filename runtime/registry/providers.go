package registry

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	kubeletconfig "k8s.io/kubelet/config/v1"
	strictjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

const (
	providerConfigAPI = "kubelet.config.k8s.io/v1"
	providerAPI       = "credentialprovider.kubelet.k8s.io/v1"
)

// LoadProviders reads a kubelet's CredentialProviderConfig: a file, or all
// *.json, *.yaml and *.yml files of a directory in the order of their names. The
// programs are in binDir. It tells everything that is wrong, by file and field.
// No path means no providers.
func LoadProviders(path, binDir string) ([]*Provider, error) {
	if path == "" {
		return nil, nil
	}
	files, err := configFiles(path)
	if err != nil {
		return nil, err
	}
	var providers []*Provider
	var errs []error
	for _, file := range files {
		config, err := readProviderConfig(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
			continue
		}
		for i, c := range config.Providers {
			where := fmt.Sprintf("%s: providers[%d]", file, i)
			if slices.ContainsFunc(providers, func(p *Provider) bool { return p.name() == c.Name }) {
				errs = append(errs, fmt.Errorf("%s.name: there are two of the name %q", where, c.Name))
			}
			errs = append(errs, checkProvider(where, c, binDir)...)
			providers = append(providers, newProvider(c, binDir))
		}
	}
	return providers, errors.Join(errs...)
}

func configFiles(path string) ([]string, error) {
	stat, err := os.Stat(path)
	if err != nil || !stat.IsDir() {
		return []string{path}, err
	}
	entries, err := os.ReadDir(path) // in the order of their names
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if ext := filepath.Ext(entry.Name()); !entry.IsDir() && (ext == ".json" || ext == ".yaml" || ext == ".yml") {
			files = append(files, filepath.Join(path, entry.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no *.json, *.yaml or *.yml file", path)
	}
	return files, nil
}

func readProviderConfig(file string) (*kubeletconfig.CredentialProviderConfig, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	raw, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	var config kubeletconfig.CredentialProviderConfig
	strict, err := strictjson.UnmarshalStrict(raw, &config)
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, err
	}
	if config.APIVersion != providerConfigAPI || config.Kind != "CredentialProviderConfig" {
		return nil, fmt.Errorf("apiVersion %q, kind %q: only a CredentialProviderConfig of %s is read", config.APIVersion, config.Kind, providerConfigAPI)
	}
	if len(config.Providers) == 0 {
		return nil, errors.New("providers: there has to be one at least")
	}
	return &config, nil
}

// checkProvider asks for what a kubelet asks for.
func checkProvider(where string, c kubeletconfig.CredentialProvider, binDir string) []error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: %s", where, field, fmt.Sprintf(format, args...)))
	}
	if c.Name == "" || c.Name == "." || c.Name == ".." || strings.ContainsAny(c.Name, "/ ") {
		wrong("name", "%q is not the name of a program", c.Name)
	} else if _, err := exec.LookPath(filepath.Join(binDir, c.Name)); err != nil {
		wrong("name", "the plugin can't be run: %v", err)
	}
	if c.APIVersion != providerAPI {
		wrong("apiVersion", "%q is not %s", c.APIVersion, providerAPI)
	}
	if len(c.MatchImages) == 0 {
		wrong("matchImages", "there has to be one at least")
	}
	for i, pattern := range c.MatchImages {
		if _, err := filepath.Match(pattern, ""); err != nil || pattern == "" || strings.Contains(pattern, "://") {
			wrong(fmt.Sprintf("matchImages[%d]", i), "%q is not a pattern such as *.example.org/team", pattern)
		}
	}
	if c.DefaultCacheDuration == nil {
		wrong("defaultCacheDuration", "it is missing; 0s means not to keep answers")
	} else if c.DefaultCacheDuration.Duration < 0 {
		wrong("defaultCacheDuration", "it is negative")
	}
	if c.TokenAttributes != nil {
		wrong("tokenAttributes", "not supported yet: podd issues no service account tokens")
	}
	return errs
}
