package host

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// iface is a network interface with its addresses that others could use.
type iface struct {
	index int
	ips   []string // in the kernel's order, IPv4 first
	// uplink: a default route leads through it.
	uplink bool
	// hardware: there is a device behind it, not only a bridge, tunnel or veth.
	hardware bool
}

// addresses are the machine's, the best one first: those of the interface with
// the default route, then of real devices, then of everything else. A machine
// with none at all has 127.0.0.1, so that pods start there too.
func addresses() ([]string, error) {
	all, err := interfaces()
	if err != nil {
		return nil, err
	}
	return rank(all), nil
}

func rank(all []iface) []string {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b iface) int {
		return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(a.index, b.index))
	})
	var ips []string
	for _, i := range all {
		ips = append(ips, i.ips...)
	}
	if len(ips) == 0 {
		return []string{"127.0.0.1"}
	}
	return ips
}

func order(i iface) int {
	switch {
	case i.uplink:
		return 0
	case i.hardware:
		return 1
	}
	return 2
}

func interfaces() ([]iface, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	routes, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	uplinks := defaultRoutes(string(routes))
	var all []iface
	for _, link := range links {
		if link.Flags&net.FlagUp == 0 || link.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := link.Addrs()
		if err != nil {
			continue // it is gone again
		}
		_, err = os.Stat(filepath.Join("/sys/class/net", link.Name, "device"))
		all = append(all, iface{
			index: link.Index, ips: usable(addrs),
			uplink: slices.Contains(uplinks, link.Name), hardware: err == nil,
		})
	}
	return all, nil
}

// usable are the addresses of global scope, IPv4 first.
func usable(addrs []net.Addr) []string {
	var v4, v6 []string
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		switch {
		case err != nil || !prefix.Addr().IsGlobalUnicast():
		case prefix.Addr().Is4():
			v4 = append(v4, prefix.Addr().String())
		default:
			v6 = append(v6, prefix.Addr().String())
		}
	}
	return append(v4, v6...)
}

// defaultRoutes reads /proc/net/route: the interfaces that lead to 0.0.0.0/0.
func defaultRoutes(table string) []string {
	var names []string
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) > 7 && f[1] == "00000000" && f[7] == "00000000" {
			names = append(names, f[0])
		}
	}
	return names
}
