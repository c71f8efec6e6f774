package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// shortDir is a directory whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestNobodyAnswers(t *testing.T) {
	dir := shortDir(t)
	dead := filepath.Join(dir, "dead.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	for socket, cause := range map[string]string{
		filepath.Join(dir, "none.sock"): "connect: no such file or directory",
		dead:                            "connect: connection refused",
	} {
		var out, errOut bytes.Buffer
		s := &session{out: &out, errOut: &errOut, now: time.Now, getenv: func(string) string { return "unix://" + socket }}
		if code := run(context.Background(), s, []string{"get", "pods"}); code != 1 {
			t.Errorf("exit code %d", code)
		}
		want := "error: podd does not answer at unix://" + socket + ": dial unix " + socket + ": " + cause + "\n" +
			"Is podd running? Start it (systemctl start podd), or say where it listens with --address or $PODD_ADDRESS.\n"
		if errOut.String() != want || out.Len() > 0 {
			t.Errorf("got  %q and %q\nwant %q", errOut.String(), out.String(), want)
		}
	}
}

// The flag wins over the environment; a socket's path alone will do.
func TestEndpoint(t *testing.T) {
	socket := filepath.Join(shortDir(t), "podd.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	fill(t, w)
	server := grpc.NewServer()
	poddv1.RegisterObjectsServer(server, fakeObjects{world: w})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	for _, test := range []struct{ flag, environment string }{
		{"", "unix://" + socket}, {"unix://" + socket, "unix:///nowhere"}, {"unix:" + socket, ""}, {socket, ""},
	} {
		var out, errOut bytes.Buffer
		s := &session{out: &out, errOut: &errOut, now: time.Now, getenv: func(string) string { return test.environment }}
		code := run(context.Background(), s, []string{"get", "cm", "-o", "name", "--address", test.flag})
		if code != 0 || out.String() != "configmap/settings\n" {
			t.Errorf("%+v: %d, %s%s", test, code, out.String(), errOut.String())
		}
	}
}

func TestUsersWithoutRightsAreToldSo(t *testing.T) {
	s := &session{getenv: func(string) string { return "" }}
	text := s.nobodyAnswers("dial unix /run/podd/podd.sock: connect: permission denied")
	if !strings.HasSuffix(text, "permission denied\nUse root, or an account in the group that owns the socket (podd).") {
		t.Error(text)
	}
}
