package agent

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// remembered is what is on disk of a pod besides its object.
type remembered struct {
	// Memo is what decisions depend on.
	Memo pod.Durable `json:"memo"`
	// Status was the last one when the memo changed. It is shown until the pod
	// has been looked at after a restart.
	Status corev1.PodStatus `json:"status"`
	// Start is the pod's last one, without its steps.
	Start *Start `json:"start,omitempty"`
}

func (r remembered) encode() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return text, nil
}

// recall is the zero value for a pod of which nothing is known.
func recall(text []byte) (remembered, error) {
	var r remembered
	if len(text) == 0 {
		return r, nil
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return remembered{}, err
	}
	return r, nil
}
