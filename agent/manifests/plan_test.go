package manifests

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/store"
)

func fileOf(path string, objects ...string) file {
	f := file{path: path, sum: sha256.Sum256(fmt.Append(nil, objects))}
	for _, o := range objects {
		kind := agent.KindConfigMap
		if o[0] == 'p' {
			kind = agent.KindPod
		}
		f.wants = append(f.wants, agent.Want{Kind: kind, JSON: fmt.Appendf(nil, `{"metadata":{"name":%q,"uid":"uid-of-%s"}}`, o, o)})
	}
	return f
}

func entry(source, name string) *agent.Entry {
	e := &agent.Entry{Key: store.Key{Kind: agent.KindConfigMap, Namespace: "default", Name: name}, Source: source, Object: &corev1.ConfigMap{}}
	if name[0] == 'p' {
		e.Key.Kind, e.Object = agent.KindPod, &corev1.Pod{}
	}
	e.Object.SetUID(types.UID("uid-of-" + name))
	return e
}

func leaving(e *agent.Entry) *agent.Entry {
	now := metav1.Now()
	e.Object.SetDeletionTimestamp(&now)
	return e
}

func succeeded(e *agent.Entry, uid types.UID) *agent.Entry {
	e.Next = &store.Record{}
	e.Object.SetUID(uid)
	return leaving(e)
}

func TestDecide(t *testing.T) {
	busy, broken := fileOf("/m/a"), fileOf("/m/a")
	busy.busy, broken.err = true, fmt.Errorf("torn")
	a := fileOf("/m/a", "pod", "cfg")
	whole := []*agent.Entry{entry("/m/a", "pod"), entry("/m/a", "cfg")}
	known := map[string][sha256.Size]byte{"/m/a": a.sum}
	for name, c := range map[string]struct {
		files   []file
		stored  []*agent.Entry
		applied map[string][sha256.Size]byte
		want    string
	}{
		"new":                        {files: []file{a}, want: "apply /m/a"},
		"podd was restarted":         {files: []file{a}, stored: whole, want: "apply /m/a"},
		"nothing to do":              {files: []file{a}, stored: whole, applied: known},
		"edited":                     {files: []file{fileOf("/m/a", "pod")}, stored: whole, applied: known, want: "remove cfg, apply /m/a"},
		"an object is missing":       {files: []file{a}, stored: whole[:1], applied: known, want: "apply /m/a"},
		"removed":                    {stored: whole, applied: known, want: "remove pod, remove cfg"},
		"removed while away":         {stored: whole, want: "remove pod, remove cfg"},
		"removed, and leaving":       {stored: []*agent.Entry{leaving(entry("/m/a", "pod"))}},
		"broken":                     {files: []file{broken}, stored: whole, applied: known, want: "broken /m/a"},
		"half written":               {files: []file{busy}, stored: whole, applied: known, want: "wait /m/a"},
		"back while leaving":         {files: []file{a}, stored: []*agent.Entry{leaving(entry("/m/a", "pod")), whole[1]}, want: "wait /m/a"},
		"moved":                      {files: []file{fileOf("/m/b", "pod")}, stored: whole, want: "remove pod, remove cfg, apply /m/b"},
		"moved, and the old leaves":  {files: []file{fileOf("/m/b", "pod")}, stored: []*agent.Entry{leaving(entry("/m/a", "pod"))}, want: "wait /m/b"},
		"edited while leaving":       {files: []file{a}, stored: []*agent.Entry{leaving(entryOf("/m/a", "pod", "old")), whole[1]}, want: "apply /m/a"},
		"the next one waits":         {files: []file{a}, stored: []*agent.Entry{succeeded(entry("/m/a", "pod"), "old"), whole[1]}, applied: known},
		"the next one is not wanted": {stored: []*agent.Entry{succeeded(entry("/m/a", "pod"), "old")}, want: "remove pod"},
	} {
		p := decide(c.files, c.stored, c.applied)
		var got []string
		for _, e := range p.remove {
			got = append(got, "remove "+e.Key.Name)
		}
		for what, list := range map[string][]file{"apply": p.apply, "broken": p.broken, "wait": p.waiting} {
			for _, f := range list {
				got = append(got, what+" "+f.path)
			}
		}
		if joined := strings.Join(got, ", "); joined != c.want {
			t.Errorf("%s: %s, want %s", name, joined, c.want)
		}
	}
}

func entryOf(source, name string, uid types.UID) *agent.Entry {
	e := entry(source, name)
	e.Object.SetUID(uid)
	return e
}
