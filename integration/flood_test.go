package integration_test

import (
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// floodMiB is how much TestFlood has a container write: 1024 for the figures in
// docs/logs.md.
var floodMiB = flag.Int("flood", 128, "MiB of output that TestFlood has a container write")

// A block has 10,000 lines of 105 bytes.
const (
	blockLines = 10_000
	blockBytes = blockLines * 105
)

// floodPod writes blocks one after the other, as fast as it can, once it may.
const floodPod = `
apiVersion: v1
kind: Pod
metadata:
  name: flood
  annotations: {podd.io/log-max-size: %s}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: busybox:1.36
    command:
    - sh
    - -c
    - |
      awk 'BEGIN { for (i = 0; i < %d; i++) printf "%%05d %%098d\n", i, 0 }' > /tmp/block
      until [ -e /tmp/go ]; do sleep 0.05; done
      i=0
      while [ $i -lt %d ]; do cat /tmp/block; i=$((i + 1)); done
`

const neighbour = `
apiVersion: v1
kind: Pod
metadata: {name: neighbour}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "busybox:1.36", command: [sleep, "1000"]}
`

// usage is what a process has used.
type usage struct {
	cpu time.Duration
	rss int64 // bytes
}

func usageOf(t *testing.T, pid int) usage {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	number := func(i int) int64 {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return usage{cpu: time.Duration(number(11)+number(12)) * 10 * time.Millisecond, rss: number(21) * int64(os.Getpagesize())}
}

// size is what files below a directory take, in bytes.
func size(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil // what goes while we look takes nothing
	})
	return total
}

// execs measures how long an exec takes in a pod, the median of some.
func (n *node) execs(pod string, times int) time.Duration {
	n.t.Helper()
	var took []time.Duration
	for range times {
		began := time.Now()
		n.podctl("exec", pod, "--", "true")
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// TestFlood: a container that writes as fast as it can is slowed by nothing but
// its pipe, fills no disk, does not make podd grow, and does not starve others;
// of what is kept no line is lost or doubled.
func TestFlood(t *testing.T) {
	n := newNode(t) // alone: it measures
	blocks := *floodMiB << 20 / blockBytes
	n.apply(fmt.Sprintf(floodPod, "10Mi", blockLines, blocks) + "---" + neighbour)
	n.ready("flood")
	n.ready("neighbour")
	n.eventually(20*time.Second, "the block is there", func() error {
		_, err := n.try("exec", "flood", "--", "sh", "-c", "[ $(wc -c < /tmp/block) = "+strconv.Itoa(blockBytes)+" ]")
		return err
	})
	quiet := n.execs("neighbour", 9)
	podd := n.cmd.Process.Pid
	shim := n.shimOf("flood")
	before, shimBefore := usageOf(t, podd), usageOf(t, shim)
	began := time.Now()
	n.podctl("exec", "flood", "--", "touch", "/tmp/go")
	busy := n.execs("neighbour", 9)
	peak, most := before.rss, int64(0)
	shimUsed := shimBefore
	n.eventually(10*time.Minute, "the flood is over", func() error {
		peak = max(peak, usageOf(t, podd).rss)
		most = max(most, size(n.path("log")))
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/stat", shim)); err == nil {
			shimUsed = usageOf(t, shim)
		}
		if got := n.get("flood", ".status.phase"); got != "Succeeded" {
			return fmt.Errorf("the pod is %s", got)
		}
		return nil
	})
	took := time.Since(began)
	after := usageOf(t, podd)
	mib := float64(blocks) * blockBytes / (1 << 20)
	t.Logf("%.0f MiB in %s: %.0f MiB/s; CPU per MiB: podd %.2f ms, shim %.2f ms; podd's memory %d MiB before, %d at most, %d after; logs %d MiB at most; exec beside it %s, without it %s",
		mib, took.Round(time.Millisecond), mib/took.Seconds(), ms(after.cpu-before.cpu)/mib, ms(shimUsed.cpu-shimBefore.cpu)/mib,
		before.rss>>20, peak>>20, after.rss>>20, most>>20, busy.Round(time.Millisecond), quiet.Round(time.Millisecond))
	const file = 10 << 20
	if most > 6*file+1<<20 { // five, and the one that is being compressed
		t.Errorf("the logs took %d MiB", most>>20)
	}
	if peak > before.rss+24<<20 {
		t.Errorf("podd grew from %d to %d MiB", before.rss>>20, peak>>20)
	}
	if busy > quiet+time.Second {
		t.Errorf("an exec in another pod took %s, and %s without the flood", busy, quiet)
	}
	n.whole("flood", 0)
}

// TestPoddIsKilledInAFlood: each time at most the read that was under way is
// lost, and nothing comes twice.
func TestPoddIsKilledInAFlood(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(fmt.Sprintf(floodPod, "1Gi", blockLines, 100))
	n.ready("flood")
	n.podctl("exec", "flood", "--", "touch", "/tmp/go")
	for range 3 {
		time.Sleep(200 * time.Millisecond)
		n.kill()
		n.start()
	}
	n.phase("flood", "Succeeded")
	if lost := n.whole("flood", 3); lost > 0 {
		t.Logf("%d lines were lost", lost)
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// shimOf is the shim of a pod: the parent of its container's process.
func (n *node) shimOf(pod string) int {
	n.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.pid(pod, "main")))
	if err != nil {
		n.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	pid, err := strconv.Atoi(strings.Fields(rest)[1])
	if err != nil {
		n.t.Fatal(err)
	}
	return pid
}

// whole checks that what is kept of a flood's log is all that was written last,
// but for some gaps, each of one read at most. It counts the lines that are in
// them.
func (n *node) whole(pod string, gaps int) (lost int) {
	n.t.Helper()
	files, _ := filepath.Glob(n.path("log", "default_"+pod+"_*", "main", "0.log*"))
	slices.Sort(files) // the live one first
	files = append(files[1:], files[0])
	next := -1
	lines := 0
	partial := ""
	for _, path := range files {
		for line := range strings.Lines(n.text(path)) {
			m := shippedLine.FindStringSubmatch("- " + strings.TrimSuffix(line, "\n"))
			if m == nil {
				n.t.Fatalf("%s: what is %q?", path, line)
			}
			partial += m[5]
			if m[4] == "P" {
				continue
			}
			text := partial
			partial = ""
			number, _, _ := strings.Cut(text, " ")
			i, err := strconv.Atoi(number)
			if err != nil || len(text) != blockBytes/blockLines-1 {
				if next < 0 || gaps > 0 {
					continue // the beginning of the line is not kept, or was lost
				}
				n.t.Fatalf("%s: what is %q?", path, text)
			}
			if gap := (i - next + blockLines) % blockLines; next >= 0 && gap > 0 {
				gaps--
				lost += gap
				if gaps < 0 || gap > readSize/(blockBytes/blockLines)+2 {
					n.t.Fatalf("%s: line %d came, %d was next, after %d", path, i, next, lines)
				}
			}
			next = (i + 1) % blockLines
			lines++
		}
	}
	if next != 0 || lines < 2*blockLines {
		n.t.Errorf("of the log %d lines are kept, %d is next", lines, next)
	}
	return lost
}

// readSize is how much podd reads of a container's output at a time.
const readSize = 16 << 10

// text reads a log file, compressed or not. Pieces of a line are put together.
func (n *node) text(path string) string {
	n.t.Helper()
	f, err := os.Open(path)
	if err != nil {
		n.t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			n.t.Fatal(err)
		}
	}
	text, err := io.ReadAll(r)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(text)
}
