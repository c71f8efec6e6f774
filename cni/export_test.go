package cni

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// Leftovers names everything on the host that a podd of this root and run
// directory made for its pods' networks: nothing, when none is left.
func Leftovers(root, runDir string) ([]string, error) {
	n := &Network{cfg: Config{Root: root, RunDir: runDir}, name: "podd" + hash(root)}
	var found []string
	for _, pattern := range []string{
		n.recordPath("*"), n.nsPath("*"), n.leases(),
		"/var/lib/cni/results/" + n.name + "-*",
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		found = append(found, paths...)
	}
	_, err := netlink.LinkByName(n.name)
	if err == nil {
		found = append(found, "bridge "+n.name)
	} else if !errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, fmt.Errorf("find bridge %s: %w", n.name, err)
	}
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	there, err := n.hasTable(conn)
	if there {
		found = append(found, "nft table ip "+n.name)
	}
	return found, err
}
