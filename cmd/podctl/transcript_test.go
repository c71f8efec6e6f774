package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/podd-io/podd/api/manifest"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

var rewrite = flag.Bool("rewrite", false, "write what was expected anew")

func TestMain(m *testing.M) {
	time.Local = time.UTC // times are printed in the local zone
	os.Exit(m.Run())
}

// terminal runs command lines against a world and writes a transcript.
type terminal struct {
	session session
	dir     string // of its own; TMP in what is printed
	out     bytes.Buffer
}

// command runs one command line, a blank or quoted word each, with its input.
// Words NAME=VALUE before the command are its environment.
func (tm *terminal) command(line, input string) int {
	var out, errOut bytes.Buffer
	tm.session.in = strings.NewReader(input)
	tm.session.out, tm.session.errOut = &out, &errOut
	var environment []string
	all := words(line)
	for strings.Contains(all[0], "=") {
		environment, all = append(environment, all[0]), all[1:]
	}
	session := tm.session // the flags of one command are not the next one's
	session.getenv = func(name string) string {
		for _, variable := range environment {
			if value, found := strings.CutPrefix(variable, name+"="); found {
				return value
			}
		}
		return tm.session.getenv(name)
	}
	code := run(context.Background(), &session, all[1:])
	tm.out.WriteString(out.String())
	if out.Len() > 0 && !strings.HasSuffix(out.String(), "\n") {
		tm.out.WriteString("(no newline)\n")
	}
	for text := range strings.Lines(errOut.String()) {
		tm.out.WriteString("! " + text)
	}
	if code != 0 {
		fmt.Fprintf(&tm.out, "[%d]\n", code)
	}
	return code
}

// words splits as a shell does, without escapes.
func words(line string) []string {
	var all []string
	var word strings.Builder
	quoted, open := false, false
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, open = !quoted, true
		case r == ' ' && !quoted:
			if open {
				all = append(all, word.String())
				word.Reset()
				open = false
			}
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if open {
		all = append(all, word.String())
	}
	return all
}

// serve serves a world in memory until the test ends, and returns what reaches
// it.
func serve(t *testing.T, w *world) session {
	t.Helper()
	return serveAll(t, w, fakeNode{world: w})
}

// serveAll serves a world with a node of its own kind.
func serveAll(t *testing.T, w *world, node poddv1.NodeServer) session {
	t.Helper()
	return serveWith(t, func(server *grpc.Server) {
		poddv1.RegisterObjectsServer(server, fakeObjects{world: w})
		poddv1.RegisterStreamsServer(server, fakeStreams{world: w})
		poddv1.RegisterImagesServer(server, fakeImages{world: w})
		poddv1.RegisterNodeServer(server, node)
		poddv1.RegisterInsightServer(server, fakeInsight{world: w})
	})
}

// serveWith serves what register registers.
func serveWith(t *testing.T, register func(*grpc.Server)) session {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage))
	register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return session{
		now: time.Now, getenv: func(string) string { return "" }, suffix: suffixes(),
		dialer: func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) },
	}
}

// fill puts the objects of testdata/world.yaml into a world.
func fill(t *testing.T, w *world) {
	t.Helper()
	docs, err := manifest.ReadFile("testdata/world.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range docs {
		object, err := decode(doc.Object)
		if err != nil {
			t.Fatal(err)
		}
		w.put(object)
	}
	w.logs = map[string]string{"web": "one\ntwo\nlast without end", "side": "first\nsecond\n", "prepare": "prepared\n"}
	w.images = []*poddv1.Image{
		{
			Id: "sha256:0123456789abcdef0123", Names: []string{"docker.io/library/busybox:1.36", "docker.io/library/busybox:latest"},
			Digests: []string{"sha256:feed"}, Size: 2_220_000, Pinned: true, CreatedAt: timestamppb.New(time.Now().Add(-48 * time.Hour)),
		},
		{Id: "sha256:aaaabbbbccccdddd", Size: 1 << 30},
	}
}

// stories change the world of a transcript before it is played.
func stories() map[string]func(w *world) {
	return map[string]func(w *world){
		"apply": func(w *world) {
			w.warnings["new"] = []string{"spec.nodeSelector: has no meaning on one node", "another"}
		},
		"apply-wait": applyWaitStory,
		"debug": func(w *world) {
			w.starts = true
			w.logs["late"], w.logs["side2"] = "it was late\n", "it ended\n"
		},
		"delete-stuck": func(w *world) { w.lingers = -1 },
		"delete":       func(w *world) { w.lingers = 3 * time.Second },
		"refused": func(w *world) {
			w.broken = refusal(codes.InvalidArgument, apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "web", field.ErrorList{
				field.Invalid(field.NewPath("spec", "containers").Index(0).Child("image"), "", "must not be empty"),
				field.Forbidden(field.NewPath("spec", "hostPID"), "not supported yet: spec.hostPID"),
			}).Status())
		},
		"refused-one": func(w *world) {
			w.broken = refusal(codes.InvalidArgument, apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "web", field.ErrorList{
				field.Required(field.NewPath("spec", "containers"), ""),
			}).Status())
		},
		"not-ready": func(w *world) {
			w.broken = refusal(codes.Unavailable, metav1.Status{Reason: metav1.StatusReasonServiceUnavailable, Message: "containerd does not answer"})
		},
		"bare-error": func(w *world) { w.broken = status.Error(codes.Internal, "it broke") },
		"watch": func(w *world) {
			time.AfterFunc(time.Second, func() {
				w.change("Pod", "web", func(o map[string]any) { o["status"] = map[string]any{"phase": "Failed"} })
			})
			time.AfterFunc(2*time.Second, func() { w.remove("Pod", "default", "web") })
			time.AfterFunc(3*time.Second, func() { close(w.ended) })
		},
		"watch-json": func(w *world) {
			time.AfterFunc(time.Second, func() { w.remove("ConfigMap", "default", "settings") })
			time.AfterFunc(3*time.Second, func() { close(w.ended) })
		},
		"wait": func(w *world) {
			time.AfterFunc(5*time.Second, func() { setReady(w, "booting") })
			time.AfterFunc(8*time.Second, func() { w.remove("Pod", "default", "crashing") })
			time.AfterFunc(10*time.Second, func() {
				w.put(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "late", "namespace": "default"}}})
			})
		},
	}
}

func setReady(w *world, name string) {
	w.change("Pod", name, func(o map[string]any) {
		generation, _, _ := unstructured.NestedInt64(o, "metadata", "generation")
		o["status"] = map[string]any{
			"phase": "Running", "observedGeneration": generation,
			"conditions": []any{map[string]any{"type": "Ready", "status": "True"}},
		}
	})
}

// applyWaitStory lets good become ready and job succeed; failing fails and
// short goes, two seconds after they were applied; flapping fails after it was
// ready.
func applyWaitStory(w *world) {
	time.AfterFunc(3*time.Second, func() {
		setReady(w, "good")
		w.change("Pod", "job", func(o map[string]any) {
			o["status"] = map[string]any{"phase": "Succeeded", "observedGeneration": int64(1)}
		})
	})
	// The command before takes 20 s after 3 s.
	time.AfterFunc(25*time.Second, func() {
		w.change("Pod", "failing", func(o map[string]any) {
			o["status"] = map[string]any{
				"phase": "Failed", "observedGeneration": int64(1), "reason": "OutOfcpu", "message": "the node has 2 cpus",
				"containerStatuses": []any{map[string]any{"name": "main", "state": map[string]any{"terminated": map[string]any{"exitCode": int64(3), "reason": "Error"}}}},
			}
		})
		w.remove("Pod", "default", "short")
	})
	time.AfterFunc(26*time.Second, func() { setReady(w, "flapping") })
	time.AfterFunc(27*time.Second, func() {
		w.change("Pod", "flapping", func(o map[string]any) {
			o["status"] = map[string]any{"phase": "Failed", "observedGeneration": int64(1)}
		})
		setReady(w, "slow")
	})
}

// TestTranscripts plays testdata/transcripts: after "$ " a command line, after
// "< " its input, and what it prints, standard error after "! ", then its exit
// code if that isn't 0. With -rewrite the files are written anew.
func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no transcripts", err)
	}
	told := stories()
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				fill(t, w)
				if story := told[name]; story != nil {
					story(w)
				}
				play(t, w, path)
			})
		})
	}
}

func play(t *testing.T, w *world, path string) {
	t.Helper()
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tm := &terminal{session: serve(t, w), dir: t.TempDir()}
	tm.session.getenv = func(name string) string {
		if name == "PODD_CONFIG" {
			return filepath.Join(tm.dir, "config.yaml")
		}
		return ""
	}
	lines := strings.Split(string(want), "\n")
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "#"), line == "" && (i == 0 || strings.HasPrefix(lines[i-1], "#") || i+1 < len(lines) && strings.HasPrefix(lines[i+1], "#")):
			tm.out.WriteString(line + "\n")
		case strings.HasPrefix(line, "$ "):
			tm.out.WriteString(line + "\n")
			var input strings.Builder
			for _, next := range lines[i+1:] {
				text, found := strings.CutPrefix(next, "<")
				if !found {
					break
				}
				tm.out.WriteString(next + "\n")
				input.WriteString(strings.TrimPrefix(text, " ") + "\n")
			}
			w.asked = nil
			tm.command(strings.TrimPrefix(line, "$ "), input.String())
			slices.Sort(w.asked)
			for _, asked := range w.asked {
				fmt.Fprintf(&tm.out, "> %s\n", asked)
			}
		}
	}
	if got := strings.ReplaceAll(tm.out.String(), tm.dir, "TMP"); got != string(want) {
		if *rewrite {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		t.Errorf("%s: got:\n%s", path, got)
	}
}
