package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent/store"
)

// nodeEvery is how often the host is looked at although nobody asks.
const nodeEvery = time.Minute

// nodeTime bounds one look at the host.
const nodeTime = 10 * time.Second

// watchNode keeps the snapshot's Node up to date.
func (a *Agent) watchNode(ctx context.Context) {
	said := ""
	for {
		_, err := a.node(ctx)
		switch {
		case err == nil:
			said = ""
		case !isStop(err) && err.Error() != said:
			said = err.Error()
			a.cfg.Log.Warn("could not look at the host; it is tried again", zap.Error(err))
		}
		if !sleep(ctx, nodeEvery) {
			return
		}
	}
}

// node looks at the host, and publishes what it sees if that is news.
func (a *Agent) node(ctx context.Context) (*Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, nodeTime)
	defer cancel()
	n, err := a.cfg.Host.Node(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the node: %w", err)
	}
	n = n.DeepCopy()
	n.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: KindNode}
	if n.UID == "" {
		n.UID = types.UID(uuid.NewSHA1(uuid.NameSpaceDNS, []byte(n.Name)).String())
	}
	e := &Entry{Key: store.Key{Kind: KindNode, Name: n.Name}, Source: SourceAPI, Object: n}
	err = a.keeper.do(ctx, func() error {
		old := &corev1.Node{}
		if known := a.Snapshot().Get(e.Key); known != nil {
			old = known.Object.(*corev1.Node)
		}
		keepTransitions(n, old)
		n.ResourceVersion = old.ResourceVersion
		if !sameNode(n, old) {
			a.keeper.replace(e)
		}
		return nil
	})
	return e, err
}

// keepTransitions dates conditions by when they last changed.
func keepTransitions(n, old *corev1.Node) {
	for i := range n.Status.Conditions {
		c := &n.Status.Conditions[i]
		j := slices.IndexFunc(old.Status.Conditions, func(o corev1.NodeCondition) bool { return o.Type == c.Type })
		if j >= 0 && old.Status.Conditions[j].Status == c.Status {
			c.LastTransitionTime = old.Status.Conditions[j].LastTransitionTime
		} else if c.LastTransitionTime.IsZero() {
			c.LastTransitionTime = c.LastHeartbeatTime
		}
	}
}

// sameNode compares all but heartbeats.
func sameNode(a, b *corev1.Node) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	for _, n := range []*corev1.Node{a, b} {
		for i := range n.Status.Conditions {
			n.Status.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
	}
	return equality.Semantic.DeepEqual(a, b)
}
