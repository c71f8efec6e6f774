package integration_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// gate lets requests for blobs through when it is told to, and notes whose.
type gate struct {
	next http.Handler
	mu   sync.Mutex
	open chan struct{} // guarded by mu
	came []string      // repositories, in the order of their first blob; guarded by mu
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	repo, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/")
	if r.Method == http.MethodGet && strings.HasPrefix(what, "blobs/") {
		g.mu.Lock()
		if !slices.Contains(g.came, repo) {
			g.came = append(g.came, repo)
		}
		open := g.open
		g.mu.Unlock()
		select {
		case <-open:
		case <-r.Context().Done():
			return
		}
	}
	g.next.ServeHTTP(w, r)
}

func (g *gate) order() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.came)
}

// gated is a library of which no blob comes until the gate opens.
func gated(t *testing.T) (*library, *gate) {
	t.Helper()
	l := newLibrary(t)
	g := &gate{next: l.Config.Handler, open: make(chan struct{})}
	l.Config.Handler = g
	return l, g
}

const fetches = `
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  terminationGracePeriodSeconds: 0
  priorityClassName: %s
  containers:
  - {name: main, image: "%s", command: [sleep, "1000"]}
`

// TestPullsWaitTheirTurn: the most important pod's image comes first, one image
// is fetched once for all, and a pod that goes frees its place.
func TestPullsWaitTheirTurn(t *testing.T) {
	t.Parallel()
	l, g := gated(t)
	n := newNode(t, "--max-parallel-image-pulls=1")
	n.apply(`
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: low}
value: 1
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 1000
`)
	first := l.push("first:v1")
	n.apply(fmt.Sprintf(fetches, "first", "low", first))
	n.eventually(20*time.Second, "the first pull has begun", func() error {
		if len(g.order()) == 0 {
			return fmt.Errorf("nothing was asked for")
		}
		return nil
	})
	for _, name := range []string{"second", "third"} {
		n.apply(fmt.Sprintf(fetches, name, "low", l.push(name+":v1")))
	}
	n.apply(fmt.Sprintf(fetches, "important", "high", l.push("important:v1")))
	n.apply(fmt.Sprintf(fetches, "again", "low", first))
	for _, name := range []string{"second", "third", "important", "again"} {
		n.eventually(20*time.Second, name+" waits for its image", func() error {
			if out := n.podctl("events", "--for", "pod/"+name); !strings.Contains(out, "Pulling image") {
				return fmt.Errorf("events:\n%s", out)
			}
			return nil
		})
	}
	n.podctl("delete", "pod", "second")
	if got := g.order(); !slices.Equal(got, []string{"first"}) {
		t.Errorf("blobs of %q were asked for", got)
	}
	close(g.open)
	for _, name := range []string{"first", "third", "important", "again"} {
		n.ready(name)
	}
	if got, want := g.order(), []string{"first", "important", "third"}; !slices.Equal(got, want) {
		t.Errorf("pulled %q, want %q", got, want)
	}
	out := n.podctl("events", "--for", "pod/third")
	if !strings.Contains(out, "Successfully pulled image") || !strings.Contains(out, "including waiting). Image size: ") {
		t.Errorf("events:\n%s", out)
	}
}

// TestDeletedPodStopsItsPull: its transfer ends with it, and leaves nothing.
func TestDeletedPodStopsItsPull(t *testing.T) {
	t.Parallel()
	l, g := gated(t)
	n := newNode(t)
	ref := l.push("app:v1")
	n.apply(`
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: low}
value: 1
---` + fmt.Sprintf(fetches, "gone", "low", ref))
	n.eventually(20*time.Second, "the pull has begun", func() error {
		if len(g.order()) == 0 {
			return fmt.Errorf("nothing was asked for")
		}
		return nil
	})
	n.podctl("delete", "pod", "gone")
	close(g.open)
	if out := n.podctl("images", "ls"); strings.Contains(out, ref) {
		t.Errorf("it went on:\n%s", out)
	}
}

// TestPullPolicies: Always asks the registry each time, IfNotPresent once,
// Never not at all; what is wrong is told in the registry's words.
func TestPullPolicies(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	asked := map[string]int{}
	var mu sync.Mutex
	next := l.Config.Handler
	l.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if repo, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/"); strings.HasPrefix(what, "manifests/v1") && r.Method != http.MethodPut {
			mu.Lock()
			asked[repo]++
			mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
	n := newNode(t)
	run := func(name, repo, policy string) {
		t.Helper()
		n.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "%s", imagePullPolicy: %s, command: [sleep, "1000"]}
`, name, strings.TrimPrefix(l.URL, "http://")+"/"+repo, policy))
	}
	count := func(repo string) int {
		mu.Lock()
		defer mu.Unlock()
		return asked[repo]
	}
	l.push("always:v1")
	l.push("ifnotpresent:v1")
	for _, policy := range []string{"Always", "IfNotPresent"} {
		repo := strings.ToLower(policy)
		run(repo, repo+":v1", policy)
		n.ready(repo)
		before := count(repo)
		run(repo+"-2", repo+":v1", policy)
		n.ready(repo + "-2")
		if more := count(repo) > before; more != (policy == "Always") || before == 0 {
			t.Errorf("%s: the registry was asked %d times, then %d", policy, before, count(repo))
		}
	}
	waits := func(name, reason, message string) {
		t.Helper()
		n.eventually(20*time.Second, name+" waits with "+reason, func() error {
			got := n.get(name, ".status.containerStatuses[0].state.waiting.reason") + ": " + n.get(name, ".status.containerStatuses[0].state.waiting.message")
			if !strings.HasPrefix(got, reason+": ") || !strings.Contains(got, message) {
				return fmt.Errorf("%s", got)
			}
			return nil
		})
	}
	run("never", "never:v1", "Never")
	waits("never", "ErrImageNeverPull", "is not present with pull policy of Never")
	run("missing", "missing:v1", "IfNotPresent")
	waits("missing", "ImagePullBackOff", "404 Not Found (NAME_UNKNOWN")
	run("odd", "a..b:v1", "IfNotPresent")
	waits("odd", "InvalidImageName", "couldn't parse image name")
	if count("never") != 0 {
		t.Error("an image was pulled with policy Never")
	}
}

// TestStalledPull: next to nothing comes, and the pod is told so.
func TestStalledPull(t *testing.T) {
	t.Parallel()
	l, g := gated(t)
	defer close(g.open)
	n := newNode(t, "--image-pull-progress-timeout=2s", "--max-parallel-image-pulls=1")
	n.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: stalls}
spec:
  containers:
  - {name: main, image: "%s"}
`, l.push("app:v1")))
	n.eventually(20*time.Second, "the pod tells", func() error {
		if out := n.podctl("events", "--for", "pod/stalls"); !strings.Contains(out, "fewer than 65536 bytes came within 2s") {
			return fmt.Errorf("events:\n%s", out)
		}
		return nil
	})
	n.podctl("delete", "pod", "stalls", "--now")
	if out, err := n.try("images", "pull", "--platform=no/such/thing/at/all", "busybox:1.36"); err == nil || !strings.Contains(out, "platform: ") {
		t.Errorf("pull: %v %s", err, out)
	}
}
