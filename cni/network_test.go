package cni_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/zap/zaptest"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/cni"
	"github.com/podd-io/podd/pod"
)

func newNetwork(t *testing.T) (*cni.Network, string) {
	t.Helper()
	root := t.TempDir()
	run, err := os.MkdirTemp("/tmp", "podd-cni")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	bundle, err := filepath.Abs("../bin/bundle")
	if err != nil {
		t.Fatal(err)
	}
	n, err := cni.New(cni.Config{
		Root: root, RunDir: run, ConfDir: filepath.Join(root, "none"), BinDirs: []string{bundle},
		PodCIDR: netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.0/24", 200+os.Getpid()%50, os.Getpid()%250)),
	}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	return n, run
}

func config(name string, ports ...pod.HostPort) pod.NetworkConfig {
	uid := types.UID("uid-" + name)
	return pod.NetworkConfig{UID: uid, Namespace: "default", Name: name, SandboxID: pod.ID(uid, pod.SandboxName, 0), HostPorts: ports}
}

// links are the host's interfaces that are ours to make.
func links(t *testing.T) int {
	t.Helper()
	all, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range all {
		if l.Type() == "bridge" || l.Type() == "veth" {
			n++
		}
	}
	return n
}

func tables(t *testing.T) int {
	t.Helper()
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	all, err := conn.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// serve answers one line a connection from within a pod's namespace.
func serve(t *testing.T, nsPath string) int32 {
	t.Helper()
	listening := make(chan net.Listener)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		ns, err := netns.GetFromPath(nsPath)
		if err == nil {
			err = netns.Set(ns)
		}
		if err != nil {
			t.Error(err)
			close(listening)
			return
		}
		l, err := net.Listen("tcp4", ":0")
		if err != nil {
			t.Error(err)
		}
		listening <- l
	}()
	l := <-listening
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, "hello from the pod")
			c.Close()
		}
	}()
	return int32(l.Addr().(*net.TCPAddr).Port)
}

func freePort(t *testing.T) int32 {
	t.Helper()
	l, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return int32(l.Addr().(*net.TCPAddr).Port)
}

func expectHello(t *testing.T, host string, port int32) {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp4", net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		t.Fatalf("dial %s:%d: %v", host, port, err)
	}
	defer c.Close()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || line != "hello from the pod\n" {
		t.Fatalf("from %s:%d: %q, %v", host, port, line, err)
	}
}

func TestAPodIsReachedByItsAddressAndItsHostPort(t *testing.T) {
	before, tablesBefore := links(t), tables(t)
	n, run := newNetwork(t)
	ctx := t.Context()
	path, err := n.Namespace(ctx, "uid-web")
	if err != nil {
		t.Fatal(err)
	}
	inside := serve(t, path)
	cfg := config("web", pod.HostPort{HostPort: freePort(t), ContainerPort: inside, Protocol: corev1.ProtocolTCP})
	for range 2 {
		if err := n.Setup(ctx, cfg); err != nil {
			t.Fatal(err)
		}
	}
	seen, err := n.Observe(ctx, cfg.UID)
	if err != nil || seen == nil || !seen.Ready || len(seen.IPs) != 1 {
		t.Fatalf("Observe = %+v, %v", seen, err)
	}
	expectHello(t, seen.IPs[0], inside)
	expectHello(t, "127.0.0.1", cfg.HostPorts[0].HostPort)
	expectHello(t, hostAddress(t), cfg.HostPorts[0].HostPort)

	for range 2 {
		if err := n.Remove(ctx, cfg); err != nil {
			t.Fatal(err)
		}
	}
	if seen, err := n.Observe(ctx, cfg.UID); seen != nil || err != nil {
		t.Errorf("Observe after Remove = %+v, %v", seen, err)
	}
	if after := links(t); after != before {
		t.Errorf("%d interfaces are left", after-before)
	}
	if after := tables(t); after != tablesBefore {
		t.Errorf("%d nft tables are left", after-tablesBefore)
	}
	if left, _ := filepath.Glob(filepath.Join(run, "*", "*", "*")); len(left) > 0 {
		t.Errorf("left in the run directory: %v", left)
	}
}

func hostAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			return ip.IP.String()
		}
	}
	t.Fatal("the host has no address but loopback")
	return ""
}

func TestAHostPortInUseIsAConflict(t *testing.T) {
	n, _ := newNetwork(t)
	l, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := config("taken", pod.HostPort{HostPort: int32(l.Addr().(*net.TCPAddr).Port), ContainerPort: 80, Protocol: corev1.ProtocolTCP})
	t.Cleanup(func() {
		if err := n.Remove(context.WithoutCancel(t.Context()), cfg); err != nil {
			t.Error(err)
		}
	})
	err = n.Setup(t.Context(), cfg)
	failed, ok := err.(*pod.Failure)
	if !ok || failed.Kind != pod.Conflict {
		t.Fatalf("Setup = %v, want a conflict", err)
	}
}

func TestPodsAreWiredAtTheSameTime(t *testing.T) {
	before := links(t)
	n, _ := newNetwork(t)
	errs := make(chan error)
	const pods = 6
	for i := range pods {
		go func() { errs <- n.Setup(t.Context(), config(fmt.Sprint("p", i))) }()
	}
	for range pods {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	ips := map[string]bool{}
	for i := range pods {
		if seen, err := n.Observe(t.Context(), config(fmt.Sprint("p", i)).UID); err == nil && seen != nil {
			ips[seen.IPs[0]] = true
		}
	}
	if len(ips) != pods {
		t.Errorf("%d different addresses for %d pods", len(ips), pods)
	}
	for i := range pods {
		go func() { errs <- n.Remove(t.Context(), config(fmt.Sprint("p", i))) }()
	}
	for range pods {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if after := links(t); after != before {
		t.Errorf("%d interfaces are left", after-before)
	}
}
