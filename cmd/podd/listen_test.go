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
	if _, err := listenAll(t.Context(), []string{"unix://" + path, "unix:///dev/null"}, nil, nil); err == nil {
		t.Fatal("no error")
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the first one is still there: %v", err)
	}
	all, err := listenAll(t.Context(), []string{"unix://" + path, "unix://" + path + "2"}, nil, nil)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d, %v", len(all), err)
	}
	for _, l := range all {
		_ = l.Close()
	}
}

// TestASocketOfSystemdsIsTakenAsItIs, and its file left to systemd.
func TestASocketOfSystemdsIsTakenAsItIs(t *testing.T) {
	path := socketPath(t)
	systemds, err := listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	systemds.(*net.UnixListener).SetUnlinkOnClose(false) // as one made from a file descriptor
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	passed := map[string]net.Listener{path: systemds, "/elsewhere": nil}
	addresses := []string{"unix://" + path, "unix://" + path + "2"}
	all, err := listenAll(t.Context(), addresses, passed, nil)
	if err != nil || len(all) != 2 || all[0] != systemds {
		t.Fatalf("%v, %v", all, err)
	}
	for _, l := range all {
		_ = l.Close()
	}
	if stat, err := os.Stat(path); err != nil || stat.Mode().Perm() != 0o666 {
		t.Errorf("systemd's socket is now %v, %v", stat, err)
	}
	if _, err := os.Stat(path + "2"); !os.IsNotExist(err) {
		t.Errorf("podd's own is still there: %v", err)
	}
	if lost := unnamed(addresses, passed); len(lost) != 1 || lost[0] != "/elsewhere" {
		t.Errorf("unnamed: %q", lost)
	}
}
