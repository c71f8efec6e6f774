package cni

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// forwarding lets the host route for the pods, and lets it reach host ports by
// its own loopback addresses; rules.go guards these from everybody else.
func forwarding(bridge string) error {
	for path, want := range map[string]string{
		"/proc/sys/net/ipv4/ip_forward":                         "1",
		"/proc/sys/net/ipv4/conf/" + bridge + "/route_localnet": "1",
	} {
		if now, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(now)) == want {
			continue
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			return fmt.Errorf("set %s: %w", path, err)
		}
	}
	return nil
}

// removeBridge: CNI's bridge plugin leaves it behind.
func removeBridge(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find bridge %s: %w", name, err)
	}
	if err := netlink.LinkDel(link); err != nil {
		return fmt.Errorf("remove bridge %s: %w", name, err)
	}
	return nil
}

// checkPorts tells whether anybody on the host listens on a host port: our
// rule would take its traffic away.
func checkPorts(ports []pod.HostPort) error {
	for _, p := range ports {
		err := listen(p)
		if errors.Is(err, unix.EADDRINUSE) {
			return &pod.Failure{Kind: pod.Conflict, Reason: "FailedCreatePodSandBox", Message: fmt.Sprintf(
				"host port %d/%s is in use by another process on this host", p.HostPort, p.Protocol)}
		}
		if err != nil {
			return &pod.Failure{Kind: pod.Permanent, Reason: "FailedCreatePodSandBox", Message: fmt.Sprintf(
				"host port %d/%s can't be used: %v", p.HostPort, p.Protocol, err)}
		}
	}
	return nil
}

func listen(p pod.HostPort) error {
	addr := net.JoinHostPort(p.HostIP, strconv.Itoa(int(p.HostPort)))
	switch p.Protocol {
	case corev1.ProtocolTCP:
		l, err := net.Listen("tcp4", addr)
		if err != nil {
			return err
		}
		return l.Close()
	case corev1.ProtocolUDP:
		l, err := net.ListenPacket("udp4", addr)
		if err != nil {
			return err
		}
		return l.Close()
	}
	return nil // SCTP: the kernel may not have it, and nobody can be asked
}
