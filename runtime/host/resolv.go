package host

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// resolvedConf is what systemd-resolved itself asks.
const resolvedConf = "/run/systemd/resolve/resolv.conf"

// ResolvConf is the text of the resolver configuration that pods may use. Where
// the machine asks a resolver on its own loopback, which a pod cannot reach, it
// is what systemd-resolved forwards to, if it runs. A machine without any has an
// empty one.
func ResolvConf() (string, error) { return resolvConf("/etc/resolv.conf", resolvedConf) }

func resolvConf(own, upstream string) (string, error) {
	text, err := readIfThere(own)
	if err != nil || !onlyLoopback(text) {
		return text, err
	}
	forwarded, err := readIfThere(upstream)
	if err != nil || forwarded == "" {
		return text, err
	}
	return forwarded, nil
}

func readIfThere(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the resolver configuration: %w", err)
	}
	return string(data), nil
}

// onlyLoopback says whether there are name servers, all on a loopback address.
func onlyLoopback(text string) bool {
	found := false
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if ip, err := netip.ParseAddr(f[1]); err == nil && !ip.IsLoopback() {
			return false
		}
		found = true
	}
	return found
}
