package runtime

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"

	"github.com/podd-io/podd/pod"
)

// credential is one entry of a Docker configuration file.
type credential struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Auth     string `json:"auth"`
	Token    string `json:"identitytoken"`
}

// registryHosts says how to reach registries: the host configuration
// directory if there is one, and the pull secrets.
func (c *Client) registryHosts(ctx context.Context, secrets [][]byte) (docker.RegistryHosts, error) {
	creds, err := credentials(secrets)
	if err != nil {
		return nil, err
	}
	opts := config.HostOptions{
		Credentials: func(host string) (string, string, error) { return creds.login(host) },
		// Plain HTTP on the loopback interface, as Docker and containerd do.
		DefaultScheme: "",
	}
	if c.cfg.RegistryDir != "" {
		opts.HostDir = config.HostDirFromRoot(c.cfg.RegistryDir)
	}
	return config.ConfigureHosts(ctx, opts), nil
}

type logins map[string]credential

// credentials reads dockerconfigjson and the older dockercfg values; the first
// that names a registry wins.
func credentials(secrets [][]byte) (logins, error) {
	all := logins{}
	for _, raw := range secrets {
		var file struct {
			Auths logins `json:"auths"`
		}
		if err := json.Unmarshal(raw, &file); err != nil {
			return nil, badSecret(err)
		}
		if file.Auths == nil {
			if err := json.Unmarshal(raw, &file.Auths); err != nil {
				return nil, badSecret(err)
			}
		}
		for registry, cred := range file.Auths {
			if host := registryHost(registry); all[host] == (credential{}) {
				all[host] = cred
			}
		}
	}
	return all, nil
}

func badSecret(err error) error {
	return &pod.Failure{
		Kind: pod.Permanent, Reason: "ErrImagePull",
		Message: fmt.Sprintf("an imagePullSecret does not hold a Docker configuration: %v", err),
	}
}

func registryHost(registry string) string {
	registry = strings.TrimPrefix(strings.TrimPrefix(registry, "https://"), "http://")
	host, _, _ := strings.Cut(registry, "/")
	if host == "index.docker.io" || host == "docker.io" {
		return "registry-1.docker.io"
	}
	return host
}

func (l logins) login(host string) (string, string, error) {
	cred := l[host]
	if cred.Token != "" {
		return "", cred.Token, nil
	}
	if cred.Auth == "" {
		return cred.Username, cred.Password, nil
	}
	plain, err := base64.StdEncoding.DecodeString(cred.Auth)
	if err != nil {
		return "", "", fmt.Errorf("credentials for %s: auth is not base64: %w", host, err)
	}
	user, password, _ := strings.Cut(string(plain), ":")
	return user, strings.TrimRight(password, "\x00"), nil
}
