package main

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheWatchdogStarvesWithTheEndpoint(t *testing.T) {
	var asked error
	ready := true
	v := vigil{alive: func() error { return nil }, ready: func() bool { return ready }, ask: func() error { return asked }}
	now := time.Now()
	check := func(after time.Duration) error { now = now.Add(after); return v.check(now) }
	asked = errors.New("nobody there")
	if err := check(0); err != nil {
		t.Errorf("at first: %v", err)
	}
	if err := check(2 * time.Minute); err != nil {
		t.Errorf("after a while: %v", err)
	}
	if err := check(2 * time.Minute); err == nil || !strings.Contains(err.Error(), "has not answered for 4m0s: nobody there") {
		t.Errorf("for long: %v", err)
	}
	asked = nil
	if err := check(0); err != nil {
		t.Errorf("it answers again: %v", err)
	}
	asked, ready = errors.New("nobody there"), false
	if err := check(time.Hour); err != nil {
		t.Errorf("while podd stops: %v", err)
	}
	v.alive = func() error { return errors.New("the keeper is stuck") }
	if err := check(0); err == nil || err.Error() != "the keeper is stuck" {
		t.Errorf("with a stuck keeper: %v", err)
	}
}

func TestAnEndpointThatHangsDoesNotAnswer(t *testing.T) {
	host := fakeContainerd(t) // it serves health
	if err := answering(t.Context(), "unix://"+host); err != nil {
		t.Error(err)
	}
	path := filepath.Join(shortDir(t), "hangs.sock")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := answering(t.Context(), "unix://"+path); err == nil {
		t.Error("nobody listens, and that is an answer")
	}
}
