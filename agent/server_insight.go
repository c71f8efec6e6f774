package agent

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// insight serves podd.v1.Insight.
type insight struct {
	poddv1.UnimplementedInsightServer
	a *Agent
}

func (i *insight) Why(_ context.Context, req *poddv1.WhyRequest) (*poddv1.WhyResponse, error) {
	p, err := i.a.podOf(req.GetPod())
	if err != nil {
		return nil, err
	}
	recorded, err := i.a.cfg.Store.Decisions(p.UID)
	if err != nil {
		return nil, err
	}
	resp := &poddv1.WhyResponse{Uid: string(p.UID)}
	for _, text := range recorded {
		var account pod.Account
		if err := json.Unmarshal(text, &account); err != nil {
			return nil, fmt.Errorf("a recorded decision about pod %s/%s is damaged: %w", p.Namespace, p.Name, err)
		}
		resp.Decisions = append(resp.Decisions, decisionOf(account))
	}
	return resp, nil
}

func decisionOf(a pod.Account) *poddv1.Decision {
	d := &poddv1.Decision{Time: timestamppb.New(a.At)}
	for _, f := range a.Seen {
		d.Seen = append(d.Seen, &poddv1.Finding{About: string(f.About), Text: f.Text})
	}
	for _, s := range a.Decided {
		step := &poddv1.Step{About: string(s.About), Action: string(s.Action), Reason: s.Reason}
		if !s.Until.IsZero() {
			step.Until = timestamppb.New(s.Until)
		}
		d.Decided = append(d.Decided, step)
	}
	return d
}
