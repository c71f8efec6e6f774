package agent

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
)

// decodeStored reads an object that this or an earlier podd has stored.
func decodeStored(kind string, raw []byte) (Object, error) {
	obj := empty(kind)
	if obj == nil {
		return nil, fmt.Errorf("kind %q is not known to this podd", kind)
	}
	if err := json.Unmarshal(raw, obj); err != nil {
		return nil, err
	}
	say(kind, obj)
	return obj, nil
}

// about is the uid of the object that an event is about.
func about(event Object) types.UID { return event.(*corev1.Event).InvolvedObject.UID }

// withoutStatus is the object as it is stored.
func withoutStatus(obj Object) Object {
	p, ok := obj.(*corev1.Pod)
	if !ok {
		return obj
	}
	bare := *p
	bare.Status = corev1.PodStatus{}
	return &bare
}

// keepStatus: the status is podd's own to say.
func keepStatus(obj, old Object) {
	if p, ok := obj.(*corev1.Pod); ok {
		p.Status = old.(*corev1.Pod).Status
	}
}

func sameStatus(a, b corev1.PodStatus) bool { return equality.Semantic.DeepEqual(a, b) }
