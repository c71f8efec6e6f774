package agent

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// insight serves podd.v1.Insight.
type insight struct {
	poddv1.UnimplementedInsightServer
	a *Agent
}

func (i *insight) Why(context.Context, *poddv1.WhyRequest) (*poddv1.WhyResponse, error) {
	return nil, status.Error(codes.Unimplemented, "the decisions about a pod are not supported yet: podctl events tells what came of them")
}
