package runtime

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/distribution/reference"

	"github.com/podd-io/podd/pod"
)

// dockerHub is where images of docker.io are.
const dockerHub = "registry-1.docker.io"

// credential is one entry of a Docker configuration file.
type credential struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Auth     string `json:"auth"`
	Token    string `json:"identitytoken"`
}

// login is a user name and a password, or an empty one and a token.
func (c credential) login() (user, secret string, err error) {
	switch {
	case c.Token != "":
		return "", c.Token, nil
	case c.Username != "" || c.Auth == "":
		return c.Username, c.Password, nil
	}
	plain, err := base64.StdEncoding.DecodeString(c.Auth)
	if err != nil {
		return "", "", fmt.Errorf("auth is not base64: %w", err)
	}
	user, secret, _ = strings.Cut(string(plain), ":")
	return user, strings.TrimRight(secret, "\x00"), nil
}

// resolver reaches registries as the host configuration directory says, or by
// HTTPS; by HTTP on the loopback interface, as Docker does. The credential is
// for the image's own registry, and shown to no mirror of it.
func (c *Client) resolver(ctx context.Context, name string, cred credential) remotes.Resolver {
	own := registryOf(name)
	opts := config.HostOptions{
		Credentials: func(host string) (string, string, error) {
			if host != own {
				return "", "", nil
			}
			return cred.login()
		},
	}
	if c.cfg.RegistryDir != "" {
		opts.HostDir = config.HostDirFromRoot(c.cfg.RegistryDir)
	}
	return docker.NewResolver(docker.ResolverOptions{Hosts: config.ConfigureHosts(ctx, opts)})
}

// registryOf is the host that serves a full image name.
func registryOf(name string) string {
	host, _, _ := strings.Cut(name, "/")
	if host == "docker.io" {
		return dockerHub
	}
	return host
}

// credentialsFor are the credentials in the secrets that fit an image: those
// of the first secret first, in each the most exact first.
func credentialsFor(name string, secrets [][]byte) ([]credential, error) {
	var fitting []credential
	for _, secret := range secrets {
		auths, err := readSecret(secret)
		if err != nil {
			return nil, &pod.Failure{
				Kind: pod.Permanent, Reason: "ErrImagePull",
				Message: fmt.Sprintf("an imagePullSecret does not hold a Docker configuration: %v", err),
			}
		}
		keys := slices.Sorted(maps.Keys(auths))
		slices.Reverse(keys) // the longer of two that begin alike first
		for _, key := range keys {
			if fits(key, name) {
				fitting = append(fitting, auths[key])
			}
		}
	}
	return fitting, nil
}

// readSecret reads a dockerconfigjson value, or one of the older dockercfg.
func readSecret(raw []byte) (map[string]credential, error) {
	var file struct {
		Auths map[string]credential `json:"auths"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, err
	}
	if file.Auths != nil {
		return file.Auths, nil
	}
	var old map[string]credential
	err := json.Unmarshal(raw, &old)
	return old, err
}

// fits tells whether a key of a Docker configuration is about an image, as a
// kubelet does: a host whose labels may have wildcards, then a beginning of the
// image's path. See "Interpretation of config.json" in Kubernetes'
// documentation on images.
func fits(key, name string) bool {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return false
	}
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, below, _ := strings.Cut(strings.TrimSuffix(key, "/"), "/")
	if host == "index.docker.io" || host == dockerHub {
		host = "docker.io"
	}
	if version, rest, _ := strings.Cut(below, "/"); version == "v1" || version == "v2" {
		below = rest
	}
	return hostFits(host, reference.Domain(named)) && strings.HasPrefix(reference.Path(named), below)
}

// hostFits compares label by label.
func hostFits(pattern, host string) bool {
	return slices.EqualFunc(strings.Split(pattern, "."), strings.Split(host, "."), func(want, got string) bool {
		ok, err := path.Match(want, got)
		return ok && err == nil
	})
}
