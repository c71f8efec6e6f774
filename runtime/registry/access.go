package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"go.uber.org/zap"

	"github.com/podd-io/podd/pod"
)

// dockerHub is where images of docker.io are.
const dockerHub = "registry-1.docker.io"

// Config says what the node knows of registries.
type Config struct {
	// HostsDir holds hosts.toml files by registry, as containerd's config_path
	// does; empty, or one that does not exist, means none.
	HostsDir string
	// AuthFile is a Docker configuration file. If it is empty, the first of
	// AuthFiles that exists is read instead.
	AuthFile  string
	AuthFiles []string
	// Providers are asked in their order.
	Providers []*Provider
}

// Registries are all registries, as one node sees them. Files are read anew for
// every pull.
type Registries struct {
	cfg Config
	log *zap.Logger
}

// New does nothing yet.
func New(cfg Config, log *zap.Logger) *Registries { return &Registries{cfg, log} }

// Access is how one image is reached.
type Access struct {
	registries *Registries
	name       string
	rings      []keyring
	creds      []Credential
	// lacking says which sources of credentials could not be asked.
	lacking []string
}

// Access collects what is needed to pull an image of a full name. The secrets
// are dockerconfigjson or dockercfg values. As with a kubelet, their credentials
// come first, then those of the node's file, then those of the plugins. A broken
// secret is an error, as it is the pod's own; a source of the node's that fails
// is logged, and told if the pull fails.
func (r *Registries) Access(ctx context.Context, name string, secrets [][]byte) (*Access, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return nil, fmt.Errorf("parse the image name %q: %w", name, err)
	}
	given, err := fromSecrets(secrets)
	if err != nil {
		return nil, err
	}
	a := &Access{registries: r, name: name}
	a.rings = []keyring{given, a.fromFile(named.Name()), a.fromProviders(ctx, named.Name())}
	a.creds = a.lookup(named.Name())
	if len(a.creds) == 0 {
		a.creds = []Credential{{}}
	}
	return a, nil
}

// Credentials are those to be tried, in their order; there is one at least,
// which may be nobody's.
func (a *Access) Credentials() []Credential { return a.creds }

func (a *Access) lookup(repository string) []Credential {
	var all []Credential
	for _, ring := range a.rings {
		for _, cred := range ring.lookup(repository) {
			if !slices.Contains(all, cred) {
				all = append(all, cred)
			}
		}
	}
	return all
}

func fromSecrets(secrets [][]byte) (keyring, error) {
	ring := keyring{}
	for _, secret := range secrets {
		creds, err := readDockerConfig(secret)
		if err != nil {
			return nil, &pod.Failure{
				Kind: pod.Permanent, Reason: "ErrImagePull",
				Message: fmt.Sprintf("an imagePullSecret does not hold a Docker configuration: %v", err),
			}
		}
		ring.add(creds)
	}
	return ring, nil
}

func (a *Access) fromFile(repository string) keyring {
	ring := keyring{}
	file, raw, err := a.registries.cfg.readAuthFile()
	if err != nil {
		a.lacks(fmt.Sprintf("the node's credentials can't be read: %v", err))
		return ring
	}
	if file == "" {
		return ring
	}
	creds, err := readDockerConfig(raw)
	if err != nil {
		a.lacks(fmt.Sprintf("the node's credentials in %s can't be read: %v", file, err))
	}
	if leaves(raw, repository) {
		a.lacks(fmt.Sprintf("%s leaves its credentials to a helper of Docker's, which podd does not run: use a credential provider plugin", file))
	}
	ring.add(creds)
	return ring
}

// readAuthFile gives no file when none of the default ones exists.
func (c Config) readAuthFile() (file string, raw []byte, err error) {
	if c.AuthFile != "" {
		raw, err = os.ReadFile(c.AuthFile)
		return c.AuthFile, raw, err
	}
	for _, file := range c.AuthFiles {
		raw, err := os.ReadFile(file)
		if !errors.Is(err, fs.ErrNotExist) {
			return file, raw, err
		}
	}
	return "", nil, nil
}

func (a *Access) fromProviders(ctx context.Context, repository string) keyring {
	ring := keyring{}
	for _, p := range a.registries.cfg.Providers {
		creds, err := p.provide(ctx, repository)
		if err != nil {
			a.lacks(fmt.Sprintf("the credential provider %s failed: %v", p.name(), err))
		}
		ring.add(creds)
	}
	return ring
}

func (a *Access) lacks(what string) {
	a.lacking = append(a.lacking, what)
	a.registries.log.Warn("a source of registry credentials can't be used", zap.String("image", a.name), zap.String("why", what))
}

// registryOf is the host that serves a full image name.
func registryOf(name string) string {
	host, _, _ := strings.Cut(name, "/")
	if host == "docker.io" {
		return dockerHub
	}
	return host
}
