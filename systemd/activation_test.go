package systemd

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSockets: systemd hands sockets to a process as it starts it, so that the
// test is another process of its own, which TestMain knows by this variable.
const asActivated = "PODD_TEST_ACTIVATED"

func TestMain(m *testing.M) {
	if want := os.Getenv(asActivated); want != "" {
		os.Exit(activated(want))
	}
	if os.Getenv(asLogger) != "" {
		os.Exit(logging())
	}
	os.Exit(m.Run())
}

// activated takes its socket over, answers one caller and goes.
func activated(want string) int {
	sockets, err := Sockets()
	if err != nil || len(sockets) != 1 || sockets[want] == nil || os.Getenv("LISTEN_FDS") != "" {
		os.Stderr.WriteString("it has another socket, or still the variables\n")
		return 1
	}
	conn, err := sockets[want].Accept()
	if err != nil {
		return 2
	}
	_, err = conn.Write([]byte("hello"))
	if errors.Join(err, conn.Close(), sockets[want].Close()) != nil {
		return 3
	}
	return 0
}

func TestSockets(t *testing.T) {
	path := filepath.Join(shortDir(t), "s.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// LISTEN_PID has to be the process' own.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, self)
	cmd.Env = append(os.Environ(), asActivated+"="+path, "LISTEN_FDS=1")
	cmd.ExtraFiles, cmd.Stderr = []*os.File{file}, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	said := make([]byte, 10)
	if n, err := conn.Read(said); err != nil || string(said[:n]) != "hello" {
		t.Errorf("%q, %v", said[:n], err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("systemd's socket after podd's end: %v", err)
	}
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
