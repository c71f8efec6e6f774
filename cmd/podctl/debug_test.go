package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// suffixes are aaaaa, bbbbb and so on.
func suffixes() func(int) string {
	var n atomic.Int32
	return func(letters int) string { return strings.Repeat(string('a'+n.Add(1)-1), letters) }
}

func (f fakeObjects) UpdateEphemeralContainers(_ context.Context, req *poddv1.UpdateEphemeralContainersRequest) (*poddv1.UpdateEphemeralContainersResponse, error) {
	object, err := decode(req.GetObject())
	if err != nil {
		return nil, err
	}
	p, err := typed[corev1.Pod](object)
	if err != nil {
		return nil, err
	}
	last, err := json.Marshal(p.Spec.EphemeralContainers[len(p.Spec.EphemeralContainers)-1])
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.asked = append(f.asked, fmt.Sprintf("debug %s of version %s with %s", p.Name, req.GetPreconditions().GetResourceVersion(), last))
	f.conflicts--
	late := f.conflicts >= 0
	f.mu.Unlock()
	if late {
		return nil, refusal(codes.Aborted, apierrors.NewConflict(resourceOf("pods"), p.Name, errors.New("it changed")).Status())
	}
	f.put(object)
	f.startSoon(object)
	encoded, err := encode(object)
	return &poddv1.UpdateEphemeralContainersResponse{Object: encoded, Warnings: f.warnings[p.Name+"/debug"]}, err
}

// startSoon lets a pod's containers run a second later. One of image "ends:N"
// ends at once with N, and one of "never" waits and says why, and its pod fails.
func (w *world) startSoon(object *unstructured.Unstructured) {
	if !w.starts || object.GetKind() != "Pod" {
		return
	}
	time.AfterFunc(time.Second, func() {
		w.change("Pod", object.GetName(), func(o map[string]any) {
			status, _ := o["status"].(map[string]any)
			status = maps.Clone(status)
			if status == nil {
				status = map[string]any{}
			}
			for list, statuses := range map[string]string{"containers": "containerStatuses", "ephemeralContainers": "ephemeralContainerStatuses"} {
				specs, _, _ := unstructured.NestedSlice(o, "spec", list)
				var all []any
				for _, spec := range specs {
					c := spec.(map[string]any)
					all = append(all, map[string]any{"name": c["name"], "state": stateFor(c["image"].(string))})
				}
				status[statuses] = all
			}
			o["status"] = status
		})
	})
	time.AfterFunc(2*time.Second, func() {
		if strings.Contains(fmt.Sprint(object.Object["spec"]), "image:never") {
			w.change("Pod", object.GetName(), func(o map[string]any) {
				o["status"] = maps.Clone(o["status"].(map[string]any))
				o["status"].(map[string]any)["phase"] = "Failed"
			})
		}
	})
}

func stateFor(image string) map[string]any {
	var code int64
	if _, err := fmt.Sscanf(image, "ends:%d", &code); err == nil {
		return map[string]any{"terminated": map[string]any{"exitCode": code, "reason": "Error"}}
	}
	if image == "never" {
		return map[string]any{"waiting": map[string]any{"reason": "ErrImagePull", "message": "no such image"}}
	}
	return map[string]any{"running": map[string]any{"startedAt": "2000-01-01T00:00:00Z"}}
}

// Attach greets, repeats the input until its end, and ends with 4; containers
// named late have ended before.
func (f fakeStreams) Attach(stream poddv1.Streams_AttachServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	f.mu.Lock()
	f.asked = append(f.asked, fmt.Sprintf("attach %s/%s stdin %t tty %t", start.GetPod().GetName(), start.GetContainer(), start.GetStdin(), start.GetTty()))
	f.mu.Unlock()
	if start.GetContainer() == "late" {
		f.change("Pod", start.GetPod().GetName(), func(o map[string]any) {
			o["status"] = map[string]any{"ephemeralContainerStatuses": []any{map[string]any{"name": "late", "state": stateFor("ends:5")}}}
		})
		return refusal(codes.InvalidArgument, metav1.Status{Reason: metav1.StatusReasonBadRequest, Message: "container \"late\" is not running"})
	}
	send := func(text []byte) {
		_ = stream.Send(&poddv1.AttachResponse{Output: &poddv1.Output{Kind: &poddv1.Output_Stdout{Stdout: text}}})
	}
	send([]byte("hello\n"))
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) || req.GetInput().GetStdinEof() {
			break
		}
		if err != nil {
			return err
		}
		send(req.GetInput().GetStdin())
	}
	return stream.Send(&poddv1.AttachResponse{Output: &poddv1.Output{Kind: &poddv1.Output_Exit{Exit: &poddv1.Exit{Code: 4}}}})
}

// A pod that changes while it is debugged is debugged all the same, unless it
// never stays as it is.
func TestDebugAsksAgain(t *testing.T) {
	for conflicts, want := range map[int]int{debugTries - 1: 0, debugTries: 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			fill(t, w)
			w.conflicts = conflicts
			tm := &terminal{session: serve(t, w)}
			if code := tm.command("podctl debug web --image=busybox", ""); code != want || len(w.asked) != debugTries {
				t.Errorf("%d conflicts: exit code %d after %d tries:\n%s", conflicts, code, len(w.asked), tm.out.String())
			}
		})
	}
}
