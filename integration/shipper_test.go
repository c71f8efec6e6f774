package integration_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rsyslogConfig has rsyslog read pods' logs as it does on a Kubernetes node.
const rsyslogConfig = `
global(workDirectory="%[1]s" maxMessageSize="64k")
module(load="imfile" mode="inotify")
template(name="raw" type="string" string="%%$!metadata!filename%% %%msg%%\n")
ruleset(name="ship") { action(type="omfile" file="%[2]s" template="raw" asyncWriting="off" ioBufferSize="4k" flushOnTXEnd="on") }
input(type="imfile" file="%[3]s" tag="pod" ruleset="ship" addMetadata="on" reopenOnTruncate="on" maxLinesPerMinute="0")
`

// rsyslog ships what a pattern of files gets, until the test's end, and tells
// what arrived.
func (n *node) rsyslog(pattern string) (arrived func() string) {
	n.t.Helper()
	work, out, config := n.path("rsyslog"), n.path("shipped"), n.path("rsyslog.conf")
	if err := os.Mkdir(work, 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, rsyslogConfig, work, out, pattern), 0o644); err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command("rsyslogd", "-n", "-f", config, "-i", filepath.Join(work, "pid"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it was told to
		if n.t.Failed() {
			n.t.Logf("rsyslog said:\n%s", said.String())
		}
	})
	return func() string {
		text, err := os.ReadFile(out)
		if err != nil && !os.IsNotExist(err) {
			n.t.Fatal(err)
		}
		return string(text)
	}
}

// counting writes lines of two streams, some of them longer than a read.
const writes = `
apiVersion: v1
kind: Pod
metadata:
  name: writer
  annotations: {podd.io/log-max-size: 64Ki, podd.io/log-max-files: "4"}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: busybox:1.36
    command:
    - sh
    - -c
    - |
      long=$(head -c 20000 /dev/zero | tr '\0' x)
      i=0
      while [ $i -lt 3000 ]; do
        echo "line $i"
        [ $((i % 10)) = 0 ] && echo "error $i" >&2
        [ $((i % 500)) = 0 ] && echo "long $i $long"
        [ $((i % 20)) = 0 ] && sleep 0.02
        i=$((i + 1))
      done
      [ -e /tmp/again ] || exit 1
      sleep 1000
`

// TestShipper: a log shipper gets every line once, over rotations, restarts of
// the container and of podd, by way of the logs and of the links to them.
func TestShipper(t *testing.T) {
	t.Parallel()
	for name, pattern := range map[string]string{"logs": "log/*/*/*.log", "links": "links/*.log"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.stop()
			n.extra = append(n.extra, "--log-links-dir", n.path("links"))
			if err := os.Mkdir(n.path("links"), 0o755); err != nil {
				t.Fatal(err)
			}
			n.start()
			arrived := n.rsyslog(n.path(pattern))
			n.apply(writes)
			n.eventually(60*time.Second, "the container has begun anew", func() error {
				if got := n.get("writer", ".status.containerStatuses[0].restartCount"); got == "0" || got == "" {
					return fmt.Errorf("restarts %q", got)
				}
				return nil
			})
			n.kill()
			time.Sleep(300 * time.Millisecond)
			n.start()
			var text string
			n.eventually(60*time.Second, "the second instance is shipped", func() error {
				text = arrived()
				if !strings.Contains(text, "/1.log ") && strings.Count(text, " line 2999\n") < 2 {
					return fmt.Errorf("%d bytes have arrived", len(text))
				}
				if strings.Count(text, " line 2999\n") < 2 {
					return fmt.Errorf("its end is missing, %d bytes have arrived", len(text))
				}
				return nil
			})
			check := shipped(t, text)
			for _, attempt := range []int{0, 1} {
				if got := check[attempt]; got != "" {
					t.Errorf("instance %d: %s", attempt, got)
				}
			}
		})
	}
}

// entry is a line of a log in the CRI format, with the file it came from.
var shippedLine = regexp.MustCompile(`^(\S+) (\S+) (stdout|stderr) ([FP]) (.*)$`)

// shipped tells what is wrong with what arrived of each instance.
func shipped(t *testing.T, text string) map[int]string {
	t.Helper()
	wrong := map[int]string{}
	next := map[string]int{}
	instance := map[string]int{} // by kind of line: the instances come one after the other
	partial := map[string]string{}
	for line := range strings.Lines(text) {
		m := shippedLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			t.Fatalf("what is %q?", line)
		}
		stream := m[3]
		whole := partial[stream] + m[5]
		if m[4] == "P" {
			partial[stream] = whole
			continue
		}
		partial[stream] = ""
		kind, rest, _ := strings.Cut(whole, " ")
		number, pad, _ := strings.Cut(rest, " ")
		i, err := strconv.Atoi(number)
		if err != nil || kind == "long" && len(pad) != 20000 {
			t.Fatalf("what is %.100q?", whole)
		}
		step := map[string]int{"line": 1, "error": 10, "long": 500}[kind]
		if i == 0 && next[kind] == 3000 {
			instance[kind]++
			next[kind] = 0
		}
		if i != next[kind] && wrong[instance[kind]] == "" {
			wrong[instance[kind]] = fmt.Sprintf("%s %d came, %d was next", kind, i, next[kind])
		}
		next[kind] = i + step
	}
	return wrong
}
