package sandbox_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// inNetns reads a file as a process in another one's network namespace does.
func inNetns(t *testing.T, pid uint32, path string) string {
	t.Helper()
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	type answer struct {
		text []byte
		err  error
	}
	got := make(chan answer)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var a answer
		if a.err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); a.err == nil {
			a.text, a.err = os.ReadFile(path)
		}
		got <- a
	}()
	a := <-got
	if a.err != nil {
		t.Fatal(a.err)
	}
	return strings.TrimSpace(string(a.text))
}
