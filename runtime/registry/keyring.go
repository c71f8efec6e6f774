package registry

import (
	"maps"
	"net"
	"path"
	"slices"
	"strings"
)

// keyring are the credentials of one kind of source, by what they are for.
type keyring map[string][]Credential

func (k keyring) add(creds map[string]Credential) {
	for key, cred := range creds {
		key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
		k[key] = append(k[key], cred)
	}
}

// lookup gives those that fit a repository, the most exact first as a kubelet
// has it: in the reverse order of their keys, those of one key in the order they
// were added.
func (k keyring) lookup(repository string) []Credential {
	var fitting []Credential
	keys := slices.Sorted(maps.Keys(k))
	slices.Reverse(keys)
	for _, key := range keys {
		if fits(key, repository) {
			fitting = append(fitting, k[key]...)
		}
	}
	return fitting
}

// fits tells whether a key is about a repository, as a kubelet does: a host
// whose labels may have wildcards, its port, then a beginning of the path. See
// "Interpretation of config.json" in Kubernetes' documentation on images.
func fits(key, repository string) bool {
	host, below, _ := strings.Cut(strings.TrimSuffix(key, "/"), "/")
	if host == "index.docker.io" || host == dockerHub {
		host = "docker.io"
	}
	if version, rest, _ := strings.Cut(below, "/"); version == "v1" || version == "v2" {
		below = rest
	}
	theirs, repo, _ := strings.Cut(repository, "/")
	return hostFits(host, theirs) && strings.HasPrefix(repo, below)
}

// hostFits compares label by label; a port has no wildcards.
func hostFits(pattern, host string) bool {
	wantName, wantPort := splitPort(pattern)
	name, port := splitPort(host)
	return wantPort == port && slices.EqualFunc(strings.Split(wantName, "."), strings.Split(name, "."), func(want, got string) bool {
		ok, err := path.Match(want, got)
		return ok && err == nil
	})
}

func splitPort(host string) (name, port string) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return host, ""
	}
	return name, port
}
