package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
)

// Visit is one attempt to pull an image, by one credential. It must not be used
// for another.
type Visit struct {
	access  *Access
	cred    Credential
	answers answers
	nesting nesting

	mu     sync.Mutex
	origin string   // guarded by mu
	others []string // mirrors; guarded by mu
}

// Visit begins an attempt.
func (a *Access) Visit(cred Credential) *Visit {
	return &Visit{access: a, cred: cred, origin: registryOf(a.name)}
}

// Context keeps containerd's library from logging by itself: podd tells what
// matters of a pull.
func (v *Visit) Context(ctx context.Context) context.Context { return quiet(ctx) }

// Resolver reaches the registry as the node's hosts.toml files say, or by HTTPS;
// by HTTP on the loopback interface, as Docker does.
func (v *Visit) Resolver(ctx context.Context) remotes.Resolver {
	opts := config.HostOptions{Credentials: v.credentialFor, UpdateClient: v.watch}
	if dir := v.access.registries.cfg.HostsDir; dir != "" {
		opts.HostDir = hostsDir(dir)
	}
	hosts := config.ConfigureHosts(ctx, opts)
	return docker.NewResolver(docker.ResolverOptions{Hosts: func(host string) ([]docker.RegistryHost, error) {
		found, err := hosts(host)
		v.remember(found)
		return found, err
	}})
}

// remember notes where the image is: the last host is the registry itself, those
// before it are mirrors.
func (v *Visit) remember(hosts []docker.RegistryHost) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.others = nil
	for i, host := range hosts {
		if i == len(hosts)-1 {
			v.origin = host.Host
		} else {
			v.others = append(v.others, host.Host)
		}
	}
}

// registry is the host of the image's own registry.
func (v *Visit) registry() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.origin
}

// credentialFor gives the visit's credential to the image's own registry, to a
// mirror one that is for the mirror, and none to any other host, such as one
// that was redirected to. A password that was refused is not shown again.
func (v *Visit) credentialFor(host string) (user, secret string, err error) {
	if v.answers.denied(host) {
		return "", "", fmt.Errorf("%w: the credentials were refused", docker.ErrInvalidAuthorization)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if host == v.origin {
		return v.cred.User, v.cred.Secret, nil
	}
	for _, mirror := range v.others {
		_, path, _ := strings.Cut(v.access.name, "/")
		if fitting := v.access.lookup(host + "/" + path); host == mirror && len(fitting) > 0 {
			return fitting[0].User, fitting[0].Secret, nil
		}
	}
	return "", "", nil
}

// watch puts the visit between containerd's library and a registry.
func (v *Visit) watch(client *http.Client) error {
	if _, ok := client.Transport.(*transport); !ok {
		client.Transport = &transport{next: client.Transport, visit: v}
	}
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		err := checkRedirect(req, via)
		if err != nil {
			v.answers.broke(via[0], err)
		}
		return err
	}
	return nil
}

// maxRedirects are followed for one request.
const maxRedirects = 10

// mayFollow are the headers that go to another host than they were made for.
// The others may be credentials, such as those in a hosts.toml.
var mayFollow = [...]string{"Accept", "Accept-Encoding", "Range", "User-Agent"}

// checkRedirect keeps credentials from following to another host. net/http
// does so too, but takes another port or a subdomain for the same, and does
// not know of headers with other names and of passwords in a body.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	first := via[0].URL
	if req.URL.Scheme == first.Scheme && req.URL.Host == first.Host {
		return nil
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return errors.New("redirected to another host with credentials")
	}
	kept := http.Header{}
	for _, key := range mayFollow {
		if values := req.Header.Values(key); len(values) > 0 {
			kept[key] = values
		}
	}
	req.Header = kept
	return nil
}
