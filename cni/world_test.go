package cni_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/zap/zaptest"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/cni"
	"github.com/podd-io/podd/pod"
)

// nextNet gives every test a network of its own.
var nextNet atomic.Int32

// world is a podd's root and run directory, of which nothing may be left in
// the end.
type world struct {
	*testing.T
	cfg cni.Config
	*cni.Network
	used []pod.NetworkConfig
}

func newWorld(t *testing.T) *world {
	t.Helper()
	run, err := os.MkdirTemp("/tmp", "podd-cni")
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := filepath.Abs("../bin/bundle")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	n := nextNet.Add(1)
	w := &world{T: t, cfg: cni.Config{
		Root: root, RunDir: run, ConfDir: filepath.Join(root, "net.d"), BinDirs: []string{bundle},
		PodCIDR: netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.0/24", 200+os.Getpid()%50, n)),
	}}
	w.restart()
	t.Cleanup(w.end)
	return w
}

// restart is podd's.
func (w *world) restart() {
	w.Helper()
	n, err := cni.New(w.cfg, zaptest.NewLogger(w))
	if err != nil {
		w.Fatal(err)
	}
	w.Network = n
}

func (w *world) end() {
	defer os.RemoveAll(w.cfg.RunDir)
	veths := w.veths()
	for _, cfg := range w.used {
		if err := w.Remove(w.ctx(), cfg); err != nil {
			w.Error(err)
		}
	}
	left, err := cni.Leftovers(w.cfg.Root, w.cfg.RunDir)
	if err != nil || len(left) > 0 {
		w.Errorf("left on the host: %q, %v", left, err)
	}
	for _, name := range veths {
		if _, err := netlink.LinkByName(name); err == nil {
			w.Errorf("%s is left", name)
		}
	}
}

// veths are the ports of our bridge.
func (w *world) veths() []string {
	w.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		w.Fatal(err)
	}
	bridge := -1
	for _, l := range links {
		if w.gateway(l) {
			bridge = l.Attrs().Index
		}
	}
	var names []string
	for _, l := range links {
		if l.Attrs().MasterIndex == bridge {
			names = append(names, l.Attrs().Name)
		}
	}
	return names
}

// gateway tells our bridge by its address.
func (w *world) gateway(l netlink.Link) bool {
	addrs, _ := netlink.AddrList(l, netlink.FAMILY_V4)
	for _, a := range addrs {
		if a.IP.Equal(w.cfg.PodCIDR.Masked().Addr().Next().AsSlice()) {
			return true
		}
	}
	return false
}

func (w *world) pod(name string, ports ...pod.HostPort) pod.NetworkConfig {
	uid := types.UID("uid-" + name)
	cfg := pod.NetworkConfig{UID: uid, Namespace: "default", Name: name, SandboxID: pod.ID(uid, pod.SandboxName, 0), HostPorts: ports}
	w.used = append(w.used, cfg)
	return cfg
}

// wire sets a pod up, twice, and tells its address.
func (w *world) wire(cfg pod.NetworkConfig) string {
	w.Helper()
	for range 2 {
		if err := w.Setup(w.ctx(), cfg); err != nil {
			w.Fatal(err)
		}
	}
	seen, err := w.Observe(w.ctx(), cfg.UID)
	if err != nil || seen == nil || !seen.Ready || len(seen.IPs) != 1 {
		w.Fatalf("Observe = %+v, %v", seen, err)
	}
	return seen.IPs[0]
}

// namespace is a pod's, made before its network as the sandbox may do.
func (w *world) namespace(cfg pod.NetworkConfig) string {
	w.Helper()
	path, err := w.Namespace(w.ctx(), cfg.UID)
	if err != nil {
		w.Fatal(err)
	}
	return path
}

// within runs f in a network namespace; sockets it opens stay there.
func within(t *testing.T, path string, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	host, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	there, err := netns.GetFromPath(path)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	if err := netns.Set(there); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := netns.Set(host); err != nil {
			panic(err) // the thread is of no use any more
		}
	}()
	f()
}

// serve answers, from within a namespace, every connection with the client's
// address, and every datagram alike.
func serve(t *testing.T, path string) (port int32) {
	t.Helper()
	var tcp net.Listener
	var udp net.PacketConn
	within(t, path, func() {
		var err error
		if tcp, err = net.Listen("tcp4", ":0"); err != nil {
			t.Fatal(err)
		}
		if udp, err = net.ListenPacket("udp4", tcp.Addr().String()); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { tcp.Close(); udp.Close() })
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, hostOf(c.RemoteAddr()))
			c.Close()
		}
	}()
	go func() {
		buf := make([]byte, 100)
		for {
			_, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = udp.WriteTo([]byte(hostOf(from)), from) // a client that went away
		}
	}()
	return int32(tcp.Addr().(*net.TCPAddr).Port)
}

func hostOf(addr net.Addr) string {
	host, _, _ := net.SplitHostPort(addr.String())
	return host
}

// dial connects from the present namespace and tells what the server sees.
func dial(host string, port int32, timeout time.Duration) (sees string, err error) {
	c, err := net.DialTimeout("tcp4", net.JoinHostPort(host, strconv.Itoa(int(port))), timeout)
	if err != nil {
		return "", err
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	return string(text), err
}

func (w *world) expectSeen(host string, port int32, want string) {
	w.Helper()
	sees, err := dial(host, port, 5*time.Second)
	if err != nil || sees != want {
		w.Errorf("at %s:%d a server sees %q (%v), want %q", host, port, sees, err, want)
	}
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

// outside is a machine beyond the host: a namespace that knows no way to the
// pods but the host's own address.
type outside struct{ path, addr, host string }

func newOutside(w *world) outside {
	w.Helper()
	path := w.namespace(w.pod("outside")) // a namespace like any, but we wire it
	base := w.cfg.PodCIDR.Masked().Addr().As4()
	base[0] = 172
	o := outside{path: path}
	base[3] = 1
	o.host = netip.AddrFrom4(base).String()
	base[3] = 2
	o.addr = netip.AddrFrom4(base).String()
	there, err := netns.GetFromPath(path)
	if err != nil {
		w.Fatal(err)
	}
	defer there.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("po%d", os.Getpid())
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(there)}
	if err := netlink.LinkAdd(veth); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = netlink.LinkDel(veth) }) // it may have gone with the namespace
	address(w, veth.Name, o.host)
	within(w.T, path, func() { address(w, "eth0", o.addr) })
	return o
}

func address(w *world, name, ip string) {
	w.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		w.Fatal(err)
	}
	addr, err := netlink.ParseAddr(ip + "/24")
	if err != nil {
		w.Fatal(err)
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		w.Fatal(err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		w.Fatal(err)
	}
}
