package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"google.golang.org/grpc/codes"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

var began = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func after(ms int) *timestamppb.Timestamp {
	return timestamppb.New(began.Add(time.Duration(ms) * time.Millisecond))
}

func startStep(kind, subject string, wanted, start, end int) *poddv1.StartStep {
	return &poddv1.StartStep{Kind: kind, Subject: subject, Reason: "it is wanted", Wanted: after(wanted), Began: after(start), Ended: after(end)}
}

// fakeTimeline: web came up with podd, bad never does, old ran on, late was
// submitted a minute later.
func fakeTimeline() *poddv1.TimelineResponse {
	failed := startStep("PullImage", "image/nowhere", 90, 90, 400)
	failed.Error = "no such image"
	return &poddv1.TimelineResponse{
		Now: after(90_000),
		Phases: []*poddv1.StartPhase{
			{Name: "prepare", Began: after(0), Ended: after(15)}, {Name: "containerd up", Began: after(15), Ended: after(85)},
		},
		Pods: []*poddv1.PodStart{
			{Pod: &poddv1.PodRef{Namespace: "default", Name: "old"}, Begun: after(-600_000), Ready: after(-599_000), Over: after(-599_000), Outcome: "Ready", Taken: after(80)},
			{
				Pod: &poddv1.PodRef{Namespace: "default", Name: "web"}, Begun: after(86), Running: after(300), Ready: after(330), Over: after(330), Outcome: "Ready", Dropped: 3,
				Steps: []*poddv1.StartStep{
					startStep("SetupNetwork", "network", 90, 90, 120), startStep("CreateSandbox", "sandbox", 90, 120, 210),
					startStep("CreateContainer", "container/web", 211, 211, 240), startStep("StartContainer", "container/web", 240, 240, 300),
				},
			},
			{
				Pod: &poddv1.PodRef{Namespace: "prod", Name: "bad"}, Begun: after(87), Steps: []*poddv1.StartStep{failed},
				UnderWay: []*poddv1.StartStep{{Kind: "PullImage", Subject: "image/nowhere", Reason: "it is needed", Wanted: after(80_000), Began: after(80_000)}},
			},
			{Pod: &poddv1.PodRef{Namespace: "default", Name: "late"}, Begun: after(60_000_000), Ready: after(60_000_500), Over: after(60_000_500), Outcome: "Ready"},
		},
	}
}

func (f fakeInsight) Timeline(_ context.Context, req *poddv1.TimelineRequest) (*poddv1.TimelineResponse, error) {
	t := fakeTimeline()
	if req.GetPod() == nil {
		return t, nil
	}
	for _, p := range t.GetPods() {
		if p.GetPod().GetName() == req.GetPod().GetName() && p.GetPod().GetNamespace() == req.GetPod().GetNamespace() {
			t.Pods = []*poddv1.PodStart{p}
			return t, nil
		}
	}
	return nil, refusal(codes.NotFound, apierrors.NewNotFound(resourceOf("pods"), req.GetPod().GetName()).Status())
}

func (f fakeInsight) Diagnose(req *poddv1.DiagnoseRequest, stream grpc.ServerStreamingServer[poddv1.DiagnoseResponse]) error {
	if req.GetWhat() == poddv1.DiagnoseRequest_WHAT_HEAP {
		return refusal(codes.PermissionDenied, apierrors.NewForbidden(resourceOf("profiles"), "", errors.New("only root may ask that")).Status())
	}
	pieces := []string{"it is ", req.GetWhat().String(), "\n"}
	if req.GetWhat() == poddv1.DiagnoseRequest_WHAT_LOG {
		pieces = append(pieces, "the env had hush-env-value\n")
	}
	for _, piece := range pieces {
		if err := stream.Send(&poddv1.DiagnoseResponse{Data: []byte(piece)}); err != nil {
			return err
		}
	}
	return nil
}

// TestBootCharts are XML, and show who is meant.
func TestBootCharts(t *testing.T) {
	for line, want := range map[string]struct{ has, hasNot []string }{
		"podctl boot-chart": {
			[]string{"Start of podd, 2026-05-01 12:00:00 UTC", ">containerd up<", ">web<", ">prod/bad<", ">old<", "ran on", "1 came later: podctl boot-chart POD", "podd was ready after 85 ms", "1 of 2 pods that started became ready, the last after 330 ms", "3 steps are not kept", "no such image"},
			[]string{">late<"},
		},
		"podctl boot-chart late": {[]string{"Start of pods, ", ">late<", "ready after 500 ms"}, []string{">web<", ">containerd up<"}},
		"podctl boot-chart web":  {[]string{">web<", "244 ms"}, []string{">late<", ">containerd up<"}},
	} {
		tm := &terminal{session: serve(t, newWorld())}
		if code := tm.command(line, ""); code != 0 {
			t.Errorf("%s: %d %s", line, code, tm.out.String())
		}
		got := tm.out.String()
		d := xml.NewDecoder(strings.NewReader(got))
		for err := error(nil); err == nil; {
			if _, err = d.Token(); err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", line, err)
			}
		}
		for _, text := range want.has {
			if !strings.Contains(got, text) {
				t.Errorf("%s: no %q in\n%s", line, text, got)
			}
		}
		for _, text := range want.hasNot {
			if strings.Contains(got, text) {
				t.Errorf("%s: %q is in it", line, text)
			}
		}
	}
}

func TestProfileGoesToAFile(t *testing.T) {
	tm := &terminal{session: serve(t, newWorld())}
	file := t.TempDir() + "/state"
	if code := tm.command("podctl profile state -o "+file, ""); code != 0 || tm.out.Len() > 0 {
		t.Errorf("%d %s", code, tm.out.String())
	}
	if got := string(readFile(t, file)); !bytes.HasPrefix([]byte(got), []byte("it is WHAT_STATE\n")) {
		t.Errorf("%q", got)
	}
}
