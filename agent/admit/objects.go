package admit

import (
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/apis/core"
	k8sv1 "k8s.io/kubernetes/pkg/apis/core/v1"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
)

func admitConfigMap(raw []byte, old runtime.Object) (Result, error) {
	c := &corev1.ConfigMap{}
	if err := decode("ConfigMap", raw, c); err != nil {
		return Result{}, err
	}
	defer validName(c)()
	before, update := old.(*corev1.ConfigMap)
	if update {
		inherit(c, before)
	}
	now, was := &core.ConfigMap{}, &core.ConfigMap{}
	if err := k8sv1.Convert_v1_ConfigMap_To_core_ConfigMap(c.DeepCopy(), now, nil); err != nil {
		return Result{}, apierrors.NewBadRequest(fmt.Sprintf("ConfigMap %s: %v", nameOf(c), err))
	}
	if !update {
		if errs := corevalidation.ValidateConfigMap(now); len(errs) > 0 {
			return Result{}, invalid("ConfigMap", c.Name, errs)
		}
		return Result{Object: c, Change: Spec}, nil
	}
	if err := k8sv1.Convert_v1_ConfigMap_To_core_ConfigMap(before.DeepCopy(), was, nil); err != nil {
		return Result{}, apierrors.NewInternalError(err)
	}
	now.ResourceVersion, was.ResourceVersion = "1", "1" // validation insists on one
	if errs := corevalidation.ValidateConfigMapUpdate(now, was); len(errs) > 0 {
		return Result{}, invalid("ConfigMap", c.Name, errs)
	}
	same := equality.Semantic.DeepEqual(c.Data, before.Data) &&
		equality.Semantic.DeepEqual(c.BinaryData, before.BinaryData) &&
		equality.Semantic.DeepEqual(c.Immutable, before.Immutable)
	return Result{Object: c, Change: difference(same, c, before)}, nil
}

func admitSecret(raw []byte, old runtime.Object) (Result, error) {
	s := &corev1.Secret{}
	if err := decode("Secret", raw, s); err != nil {
		return Result{}, err
	}
	defer validName(s)()
	takeStringData(s)
	k8sv1.SetObjectDefaults_Secret(s)
	before, update := old.(*corev1.Secret)
	if update {
		inherit(s, before)
	}
	now, was := &core.Secret{}, &core.Secret{}
	if err := k8sv1.Convert_v1_Secret_To_core_Secret(s.DeepCopy(), now, nil); err != nil {
		return Result{}, apierrors.NewBadRequest(fmt.Sprintf("Secret %s: %v", nameOf(s), err))
	}
	if !update {
		if errs := corevalidation.ValidateSecret(now); len(errs) > 0 {
			return Result{}, invalid("Secret", s.Name, errs)
		}
		return Result{Object: s, Change: Spec}, nil
	}
	if err := k8sv1.Convert_v1_Secret_To_core_Secret(before.DeepCopy(), was, nil); err != nil {
		return Result{}, apierrors.NewInternalError(err)
	}
	now.ResourceVersion, was.ResourceVersion = "1", "1" // validation insists on one
	if errs := corevalidation.ValidateSecretUpdate(now, was); len(errs) > 0 {
		return Result{}, invalid("Secret", s.Name, errs)
	}
	same := s.Type == before.Type && equality.Semantic.DeepEqual(s.Data, before.Data) &&
		equality.Semantic.DeepEqual(s.Immutable, before.Immutable)
	return Result{Object: s, Change: difference(same, s, before)}, nil
}

// takeStringData moves the write-only form into data, as an API server does.
func takeStringData(s *corev1.Secret) {
	if len(s.StringData) == 0 {
		return
	}
	data := maps.Clone(s.Data)
	if data == nil {
		data = map[string][]byte{}
	}
	for k, v := range s.StringData {
		data[k] = []byte(v)
	}
	s.Data, s.StringData = data, nil
}
