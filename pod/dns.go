package pod

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// What resolvers bear, as Kubernetes' validation has it.
const (
	maxNameservers = 3
	maxSearches    = 32
	maxSearchChars = 2048
	maxSearchChar  = 253
	maxHostname    = 63
	maxNodename    = 64
)

// resolver is what a resolv.conf says.
type resolver struct {
	servers, searches, options []string
}

// resolvConf is the text of a pod's resolver configuration: the host's, or
// nothing for dnsPolicy None, and what dnsConfig adds. There is no cluster DNS
// on one node, so that ClusterFirst falls back to Default, as in a kubelet
// that has no cluster DNS.
func resolvConf(p *corev1.Pod, host string) string {
	var r resolver
	if p.Spec.DNSPolicy != corev1.DNSNone {
		r = parseResolvConf(host)
		if len(r.servers) == 0 && host == "" {
			r = resolver{servers: []string{"127.0.0.1"}, searches: []string{"."}}
		}
	}
	if cfg := p.Spec.DNSConfig; cfg != nil {
		r.servers = unique(append(r.servers, cfg.Nameservers...))
		r.searches = unique(append(r.searches, cfg.Searches...))
		for _, o := range cfg.Options {
			text := o.Name
			if o.Value != nil && *o.Value != "" {
				text += ":" + *o.Value
			}
			r.options = setOption(r.options, text)
		}
	}
	return r.limited().String()
}

// parseResolvConf reads what matters. The last search line counts.
func parseResolvConf(text string) resolver {
	var r resolver
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		switch fields[0] {
		case "nameserver":
			r.servers = append(r.servers, fields[1])
		case "search":
			r.searches = nil
			for _, s := range fields[1:] {
				if s != "." {
					r.searches = append(r.searches, strings.TrimSuffix(s, "."))
				}
			}
		case "options":
			for _, o := range fields[1:] {
				r.options = setOption(r.options, o)
			}
		}
	}
	return r
}

// setOption replaces or appends an option, known by what comes before its colon.
func setOption(all []string, option string) []string {
	name, _, _ := strings.Cut(option, ":")
	for i, o := range all {
		if have, _, _ := strings.Cut(o, ":"); have == name {
			all[i] = option
			return all
		}
	}
	return append(all, option)
}

func unique(all []string) []string {
	var out []string
	for _, s := range all {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// limited cuts off what resolvers do not bear.
func (r resolver) limited() resolver {
	r.servers = r.servers[:min(len(r.servers), maxNameservers)]
	kept := r.searches[:min(len(r.searches), maxSearches)]
	r.searches = nil
	length := -1
	for _, s := range kept {
		if len(s) > maxSearchChar {
			continue
		}
		if length += 1 + len(s); length > maxSearchChars {
			break
		}
		r.searches = append(r.searches, s)
	}
	return r
}

func (r resolver) String() string {
	var b strings.Builder
	if len(r.searches) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(r.searches, " "))
	}
	for _, s := range r.servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(r.options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(r.options, " "))
	}
	return b.String()
}

// hostnameOf is the pod's host name and the domain it is in, which is empty
// for a pod without a subdomain.
func hostnameOf(p *corev1.Pod, node Node) (hostname, domain string) {
	switch {
	case p.Spec.HostnameOverride != nil:
		return truncateHostname(*p.Spec.HostnameOverride), ""
	case p.Spec.HostNetwork:
		return node.Hostname, ""
	}
	hostname = truncateHostname(orElse(p.Spec.Hostname, p.Name))
	if p.Spec.Subdomain != "" {
		domain = fmt.Sprintf("%s.%s.svc.cluster.local", p.Spec.Subdomain, p.Namespace)
	}
	return hostname, domain
}

func truncateHostname(name string) string {
	if len(name) <= maxHostname {
		return name
	}
	return strings.TrimRight(name[:maxHostname], "-.")
}

// nodenameOf is what the kernel is told: the host name, or with its domain for
// setHostnameAsFQDN.
func nodenameOf(p *corev1.Pod, hostname, domain string) (string, error) {
	if domain == "" || !isTrue(p.Spec.SetHostnameAsFQDN) {
		return hostname, nil
	}
	fqdn := hostname + "." + domain
	if len(fqdn) > maxNodename {
		return "", fmt.Errorf("failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (%d characters is the max, %d characters requested)",
			fqdn, maxNodename, len(fqdn))
	}
	return fqdn, nil
}
