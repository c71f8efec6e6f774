package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// keepEnv makes the test program be a podd that keeps a containerd in the
// directory it names.
const keepEnv = "PODD_TEST_KEEP"

func TestMain(m *testing.M) {
	if dir := os.Getenv(keepEnv); dir != "" {
		keepForEver(dir)
	}
	os.Exit(m.Run())
}

func keepForEver(dir string) {
	c, err := New(config(dir, zap.NewNop()))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	go func() {
		<-c.Up()
		fmt.Println("up")
	}()
	fmt.Println(c.Run(context.Background()))
	os.Exit(1)
}

// config is for the real containerd.
func config(dir string, log *zap.Logger) Config {
	bundle, err := filepath.Abs("../../bin/bundle")
	if err != nil {
		panic(err)
	}
	return Config{
		Root:   dir + "/root",
		RunDir: dir + "/run",
		Bundle: Bundle{Dir: bundle, Containerd: bundle + "/containerd"},
		Log:    log,
	}
}

// shortDir is a directory whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// run runs a containerd until the returned function is called, or the test ends.
func run(t *testing.T, cfg Config) (c *Containerd, stop func()) {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	select {
	case <-c.Up():
	case err := <-done:
		done <- nil
		t.Fatal(err)
	}
	return c, stop
}

// pidOf is the running containerd's of cfg, 0 if there is none.
func pidOf(t *testing.T, cfg Config) int {
	t.Helper()
	p, err := find(cfg.configFile())
	if err != nil {
		t.Fatal(err)
	}
	if p == nil {
		return 0
	}
	defer p.release()
	return p.pid
}

// eventually polls for what only another process can bring about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func TestStartAndStop(t *testing.T) {
	cfg := config(shortDir(t), zaptest.NewLogger(t))
	c, stop := run(t, cfg)
	pid := pidOf(t, cfg)
	if pid == 0 || !c.Answers() {
		t.Fatalf("pid %d, answers %t", pid, c.Answers())
	}
	if sid, err := syscall.Getpgid(pid); err != nil || sid != pid {
		t.Errorf("its process group is %d (%v), want its own", sid, err)
	}
	if state := processState(pid); state == "" {
		t.Error("it is not there")
	}
	out, err := exec.Command(cfg.Bundle.Dir+"/ctr", "-a", cfg.Address(), "plugins", "ls").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, id := range unused() {
		if hasPlugin(string(out), id) {
			t.Errorf("it has the plugin %s", id)
		}
	}
	stop()
	if c.Answers() || pidOf(t, cfg) != 0 || processState(pid) != "" {
		t.Errorf("after the stop it is still there: answers %t, state %q", c.Answers(), processState(pid))
	}
}

func hasPlugin(list, id string) bool {
	dot := strings.LastIndex(id, ".")
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if len(f) == 4 && f[0] == id[:dot] && f[1] == id[dot+1:] && f[3] == "ok" {
			return true
		}
	}
	return false
}

// processState is the letter in /proc/<pid>/stat, empty if there is no process.
func processState(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	return strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))[0]
}

func TestRestartAfterKill(t *testing.T) {
	cfg := config(shortDir(t), zaptest.NewLogger(t))
	_, _ = run(t, cfg)
	for range 2 {
		old := pidOf(t, cfg)
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another containerd runs", func() bool {
			pid := pidOf(t, cfg)
			return pid != 0 && pid != old
		})
		ctx, cancel := context.WithTimeout(t.Context(), answerTime)
		defer cancel()
		if err := Ping(ctx, cfg.Address()); err != nil {
			t.Fatal(err)
		}
		if state := processState(old); state != "" {
			t.Errorf("the killed one is left in state %s", state)
		}
	}
}

// TestAdoption kills a podd, and sees its containerd live on and be taken over.
func TestAdoption(t *testing.T) {
	dir := shortDir(t)
	cfg := config(dir, zaptest.NewLogger(t))
	podd := exec.Command(os.Args[0])
	podd.Env = append(os.Environ(), keepEnv+"="+dir)
	out, err := podd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := podd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil && line != "up\n" {
		err = errors.New(line)
	}
	_ = podd.Process.Kill()
	_ = podd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	left := pidOf(t, cfg)
	if left == 0 {
		t.Fatal("containerd fell with podd")
	}
	_, stop := run(t, cfg)
	if pid := pidOf(t, cfg); pid != left {
		t.Errorf("pid %d runs, want the adopted %d", pid, left)
	}
	stop()
	if pid := pidOf(t, cfg); pid != 0 {
		t.Errorf("the adopted one still runs as %d", pid)
	}
}

func TestAdoptedOneIsRestarted(t *testing.T) {
	cfg := config(shortDir(t), zaptest.NewLogger(t))
	first, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p, err := first.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.release()
	_, _ = run(t, cfg)
	if err := p.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another containerd runs", func() bool {
		pid := pidOf(t, cfg)
		return pid != 0 && pid != p.pid
	})
}

func TestStaleFilesAreNoObstacle(t *testing.T) {
	dir := shortDir(t)
	cfg := config(dir, zaptest.NewLogger(t))
	if err := os.MkdirAll(cfg.RunDir, 0o711); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{cfg.Address(), cfg.Address() + ".ttrpc", cfg.LogFile(), cfg.configFile()} {
		if err := os.WriteFile(name, []byte("stale"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Such a directory a containerd leaves that is killed while it removes a task.
	hidden := filepath.Join(cfg.stateDir(), "io.containerd.runtime.v2.task", "default", ".removed")
	if err := os.MkdirAll(filepath.Join(hidden, "rootfs"), 0o711); err != nil {
		t.Fatal(err)
	}
	c, _ := run(t, cfg)
	if !c.Answers() {
		t.Error("it does not answer")
	}
	if _, err := os.Stat(hidden); err == nil {
		t.Error("what was being removed is still there")
	}
}

func TestTwoSideBySide(t *testing.T) {
	one, two := config(shortDir(t), zaptest.NewLogger(t)), config(shortDir(t), zaptest.NewLogger(t))
	_, stop := run(t, one)
	c, _ := run(t, two)
	if pidOf(t, one) == pidOf(t, two) {
		t.Error("they share a containerd")
	}
	stop()
	if pidOf(t, two) == 0 || !c.Answers() {
		t.Error("the end of one took the other along")
	}
}

func TestOneThatCannotStartSaysWhy(t *testing.T) {
	cfg := config(shortDir(t), zaptest.NewLogger(t))
	if err := os.MkdirAll(filepath.Dir(cfg.Root), 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(cfg.Root, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.Root+"/io.containerd.metadata.v1.bolt", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "it ended") || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("the error is %v", err)
	}
	if pid := pidOf(t, cfg); pid != 0 {
		t.Errorf("%d still runs", pid)
	}
}

// TestPingOutlastsABrokenConnection: a socket that breaks connections at first
// is asked again.
func TestPingOutlastsABrokenConnection(t *testing.T) {
	path := shortDir(t) + "/sock"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	served := make(chan error)
	go func() { served <- server.Serve(&breaking{Listener: l, left: 3}) }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := Ping(ctx, path); err != nil {
		t.Error(err)
	}
	server.Stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := Ping(short, path); err == nil {
		t.Error("nobody answered")
	}
}

// breaking is a listener whose first connections break when they are used.
type breaking struct {
	net.Listener
	left int
}

func (b *breaking) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err == nil && b.left > 0 {
		b.left--
		return &broken{Conn: c}, nil
	}
	return c, err
}

// broken answers the handshake and breaks then.
type broken struct {
	net.Conn
	reads int
}

func (b *broken) Read(p []byte) (int, error) {
	if b.reads++; b.reads > 3 {
		return 0, errors.Join(errors.New("broken"), b.Close())
	}
	return b.Conn.Read(p)
}
