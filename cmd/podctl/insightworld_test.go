package main

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// fakeInsight serves podd.v1.Insight. It knows why crashing crashes.
type fakeInsight struct {
	poddv1.UnimplementedInsightServer
	*world
}

func (f fakeInsight) Why(_ context.Context, req *poddv1.WhyRequest) (*poddv1.WhyResponse, error) {
	resp := &poddv1.WhyResponse{Uid: req.GetPod().GetUid()}
	if req.GetPod().GetName() != "crashing" {
		return resp, nil
	}
	at := func(ms int) *timestamppb.Timestamp {
		return timestamppb.New(time.Date(1999, 12, 31, 23, 59, 0, ms*1_000_000, time.UTC))
	}
	const container = "container/main"
	resp.Decisions = []*poddv1.Decision{
		{
			Time: at(5),
			Seen: []*poddv1.Finding{{About: container, Text: "attempt 0 ended with exit code 1 (Error) after 2ms"}},
			Decided: []*poddv1.Step{
				{About: container, Action: "CreateContainer", Reason: "attempt 1: its restart policy is Always"},
				{About: "pod", Action: "Report", Reason: "not ready: containers with unready status: [main]"},
			},
		},
		{
			Time: at(90),
			Seen: []*poddv1.Finding{{About: container, Text: "attempt 1 ended with exit code 1 (Error) after 2ms"}},
			Decided: []*poddv1.Step{
				{About: container, Action: "ReapContainer", Reason: "its exit is remembered"},
				{About: container, Action: "Wait", Reason: "CrashLoopBackOff: back-off 10s restarting failed container=main pod=crashing", Until: at(10_088)},
			},
		},
		{
			Time:    at(4000),
			Seen:    []*poddv1.Finding{{About: "pod", Text: "is to go, with a grace period of 30s"}},
			Decided: []*poddv1.Step{{About: container, Action: "Stop", Reason: "Stopping container main", Until: at(34_000)}},
		},
	}
	return resp, nil
}
