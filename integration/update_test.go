package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// pair is a pod of two containers; the image and a label are what is changed.
func pair(image, label string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: pair, labels: {app: %s}, annotations: {note: %s}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: first, image: "busybox:1.36", command: ["true"]}
  containers:
  - {name: changes, image: %q, command: ["sleep", "1000"]}
  - {name: stays, image: "busybox:1.36", command: ["sleep", "1000"]}
`, label, label, image)
}

// containerField is a field of a container's status.
func (n *node) containerField(pod, container, field string) string {
	n.t.Helper()
	return n.get(pod, fmt.Sprintf(`.status.containerStatuses[?(@.name==%q)].%s`, container, field))
}

// lives are what tells whether anything of the pod pair was restarted.
func (n *node) lives(containers ...string) string {
	n.t.Helper()
	all := fmt.Sprintf("pause %d, init %s", n.pausePID(), n.get("pair", ".status.initContainerStatuses[0].containerID"))
	for _, c := range containers {
		all += fmt.Sprintf("\n%s %s restarts %s pid %d", c, n.containerField("pair", c, "containerID"), n.containerField("pair", c, "restartCount"), n.pid("pair", c))
	}
	return all
}

func TestAnImageUpdateRestartsThatContainerAlone(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(pair("busybox:1.36", "web"))
	n.ready("pair")
	before, changed := n.lives("stays"), n.containerField("pair", "changes", "containerID")
	n.apply(pair("busybox:1.28", "web"))
	n.eventually(15*time.Second, "the new image runs", func() error {
		if got := n.containerField("pair", "changes", "containerID"); got == changed || n.containerField("pair", "changes", "ready") != "true" {
			return fmt.Errorf("container %s", got)
		}
		return nil
	})
	if image, count := n.containerField("pair", "changes", "image"), n.containerField("pair", "changes", "restartCount"); !strings.Contains(image, "busybox:1.28") || count != "1" {
		t.Errorf("image %s, %s restarts", image, count)
	}
	if after := n.lives("stays"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if generation, observed := n.get("pair", ".metadata.generation"), n.get("pair", ".status.observedGeneration"); generation != "2" || observed != "2" {
		t.Errorf("generation %s, observed %s", generation, observed)
	}
	// What Kubernetes does not allow is refused in its words, and changes nothing.
	before = n.lives("stays", "changes")
	if out := n.refuse(strings.Replace(pair("busybox:1.28", "web"), "1000", "2000", 1)); !strings.Contains(out, "pod updates may not change fields other than") {
		t.Errorf("refused with: %s", out)
	}
	if after := n.lives("stays", "changes"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestAMetadataUpdateRestartsNothing(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(pair("busybox:1.36", "web"))
	n.ready("pair")
	before := n.lives("stays", "changes")
	version := n.get("pair", ".metadata.resourceVersion")
	if out := n.apply(pair("busybox:1.36", "db")); !strings.Contains(out, "configured") {
		t.Errorf("apply says: %s", out)
	}
	if out := n.podctl("get", "pods", "-l", "app=db", "-o", "name"); out != "pod/pair\n" {
		t.Errorf("by its new label: %s", out)
	}
	if now := n.get("pair", ".metadata.resourceVersion"); now == version {
		t.Errorf("resourceVersion is still %s", now)
	}
	if generation := n.get("pair", ".metadata.generation"); generation != "1" {
		t.Errorf("generation %s: it counts changes of the spec", generation)
	}
	n.apply(pair("busybox:1.36", "db")) // unchanged
	if after := n.lives("stays", "changes"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// watched mounts a ConfigMap and a Secret, whole and one key of it.
const watched = `
apiVersion: v1
kind: Pod
metadata: {name: watched}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
  - {name: cfg, configMap: {name: cfg}}
  - {name: sec, secret: {secretName: sec}}
  containers:
  - name: main
    image: busybox:1.36
    command: ["sleep", "1000"]
    env: [{name: WORD, valueFrom: {configMapKeyRef: {name: cfg, key: word}}}]
    volumeMounts:
    - {name: cfg, mountPath: /cfg}
    - {name: sec, mountPath: /sec}
    - {name: cfg, mountPath: /one, subPath: word}
`

// words are the objects that it mounts.
func words(word, more string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cfg}\ndata: {word: %s%s}\n---\n"+
		"apiVersion: v1\nkind: Secret\nmetadata: {name: sec}\nstringData: {word: %s}\n", word, more, word)
}

func TestChangedObjectsAreInTheirVolumesWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(words("one", ", old: gone") + "---" + watched)
	n.ready("watched")
	id := n.containerField("watched", "main", "containerID")
	for i, word := range []string{"two", "three", "four"} {
		n.apply(words(word, ""))
		began := time.Now()
		want := word + "\n" + word + "\nword"
		n.eventually(2*time.Second, "the changed words are in the volumes", func() error {
			out, err := n.try("exec", "watched", "--", "sh", "-c", "cat /cfg/word; echo; cat /sec/word; echo; ls /cfg")
			if err == nil && strings.TrimSpace(out) != want {
				err = fmt.Errorf("they are:\n%s", out)
			}
			return err
		})
		t.Logf("change %d is there after %v", i, time.Since(began))
	}
	// As in Kubernetes, neither a subPath nor the environment follows.
	if out := n.podctl("exec", "watched", "--", "sh", "-c", "echo $WORD; cat /one"); out != "one\none" {
		t.Errorf("environment and subPath: %s", out)
	}
	if now := n.containerField("watched", "main", "containerID"); now != id || n.containerField("watched", "main", "restartCount") != "0" {
		t.Errorf("container %s, was %s", now, id)
	}
}
