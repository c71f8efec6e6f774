package main

import (
	"net"
	"os"
	"strings"
	"testing"
)

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir + "/run/podd.sock"
}

func TestASocketIsNotForEverybody(t *testing.T) {
	path := socketPath(t)
	l, err := listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	stat, err := os.Stat(path)
	if err != nil || stat.Mode().Perm()&0o117 != 0 {
		t.Errorf("%v, %v", stat.Mode(), err)
	}
}

func TestAStaleSocketIsReplacedAndALiveOneIsNot(t *testing.T) {
	path := socketPath(t)
	first, err := listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), "somebody else listens") {
		t.Errorf("a live socket: %v", err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFileInTheWayIsLeftAlone(t *testing.T) {
	path := socketPath(t)
	if err := os.MkdirAll(strings.TrimSuffix(path, "/podd.sock"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestAllEndpointsOrNone(t *testing.T) {
	path := socketPath(t)
	if _, err := listenAll(t.Context(), []string{"unix://" + path, "unix:///dev/null"}, nil); err == nil {
		t.Fatal("no error")
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the first one is still there: %v", err)
	}
	all, err := listenAll(t.Context(), []string{"unix://" + path, "unix://" + path + "2"}, nil)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d, %v", len(all), err)
	}
	for _, l := range all {
		_ = l.Close()
	}
}
