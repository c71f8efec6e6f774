package agent

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// UpdateEphemeralContainers adds ephemeral containers to a pod. They are on disk
// when it answers.
func (o *objects) UpdateEphemeralContainers(ctx context.Context, req *poddv1.UpdateEphemeralContainersRequest) (*poddv1.UpdateEphemeralContainersResponse, error) {
	if req.Object == nil {
		return nil, apierrors.NewBadRequest("object: a Pod is needed")
	}
	if err := checkSize([]*poddv1.Object{req.Object}); err != nil {
		return nil, err
	}
	from, err := source(req.Source)
	if err != nil {
		return nil, err
	}
	done, err := o.a.UpdateEphemeral(ctx, Want{
		Kind: req.Object.Kind, JSON: req.Object.Json,
		UID: req.Preconditions.GetUid(), ResourceVersion: req.Preconditions.GetResourceVersion(),
	}, from)
	if err != nil {
		return nil, err
	}
	obj, err := wire(done.Object)
	return &poddv1.UpdateEphemeralContainersResponse{Object: obj, Warnings: done.Warnings}, err
}
