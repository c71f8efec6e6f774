package cni

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// checkPorts tells whether anybody on the host listens on a host port: our
// rule would take its traffic away.
func checkPorts(ports []pod.HostPort) error {
	for _, p := range ports {
		err := bind(p)
		if errors.Is(err, unix.EADDRINUSE) {
			return &pod.Failure{Kind: pod.Conflict, Reason: reason, Message: fmt.Sprintf(
				"host port %d/%s is in use by another process on this host", p.HostPort, p.Protocol)}
		}
		if err != nil {
			return &pod.Failure{Kind: pod.Permanent, Reason: reason, Message: fmt.Sprintf(
				"host port %d/%s of host IP %q can't be used: %v", p.HostPort, p.Protocol, p.HostIP, err)}
		}
	}
	return nil
}

// bind takes a port for a moment, without listening: a client that comes just
// then is refused, as before.
func bind(p pod.HostPort) error {
	addr := &unix.SockaddrInet4{Port: int(p.HostPort)}
	if p.HostIP != "" {
		ip := net.ParseIP(p.HostIP).To4()
		if ip == nil {
			return errors.New("only IPv4 is supported yet")
		}
		copy(addr.Addr[:], ip)
	}
	kind := unix.SOCK_STREAM
	if p.Protocol == corev1.ProtocolUDP {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, int(protocol(p.Protocol)))
	if errors.Is(err, unix.EPROTONOSUPPORT) && p.Protocol == corev1.ProtocolSCTP {
		return nil // nobody on this host can listen on it
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if kind == unix.SOCK_STREAM { // connections that are over don't count, listeners do
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
	}
	return unix.Bind(fd, addr)
}

// forgetFlows has the kernel look again at where the packets to UDP host ports
// go: a sender that never pauses would else be led where it was led before the
// rules changed, for as long as it sends.
func forgetFlows(ports []pod.HostPort) error {
	for _, p := range ports {
		if p.Protocol != corev1.ProtocolUDP {
			continue
		}
		flows := &netlink.ConntrackFilter{}
		err := errors.Join(
			flows.AddProtocol(protocol(p.Protocol)),
			flows.AddPort(netlink.ConntrackOrigDstPort, uint16(p.HostPort)))
		if err == nil {
			_, err = netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, flows)
		}
		if err != nil {
			return fmt.Errorf("forget flows to host port %d/%s: %w", p.HostPort, p.Protocol, err)
		}
	}
	return nil
}
