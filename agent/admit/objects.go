package admit

import (
	"crypto/tls"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	k8sv1 "k8s.io/kubernetes/pkg/apis/core/v1"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
)

func admitConfigMap(raw []byte, old runtime.Object) (Result, error) {
	c := &corev1.ConfigMap{}
	if err := decode("ConfigMap", raw, c); err != nil {
		return Result{}, err
	}
	defer validName(c)()
	out := Result{Object: c, Warnings: metaWarnings(c), Change: Spec}
	before, update := old.(*corev1.ConfigMap)
	if update {
		inherit(c, before)
		same := equality.Semantic.DeepEqual(c.Data, before.Data) &&
			equality.Semantic.DeepEqual(c.BinaryData, before.BinaryData) &&
			equality.Semantic.DeepEqual(c.Immutable, before.Immutable)
		out.Change = difference(same, c, before)
	}
	errs := checkUID(c)
	now, err := internal(c, k8sv1.Convert_v1_ConfigMap_To_core_ConfigMap)
	if err != nil {
		return Result{}, err
	}
	if !update {
		return out, invalid("ConfigMap", c.Name, append(errs, corevalidation.ValidateConfigMap(now)...))
	}
	was, err := internal(before, k8sv1.Convert_v1_ConfigMap_To_core_ConfigMap)
	if err != nil {
		return Result{}, err
	}
	align(now, was)
	return out, invalid("ConfigMap", c.Name, append(errs, corevalidation.ValidateConfigMapUpdate(now, was)...))
}

func admitSecret(raw []byte, old runtime.Object) (Result, error) {
	s := &corev1.Secret{}
	if err := decode("Secret", raw, s); err != nil {
		return Result{}, err
	}
	defer validName(s)()
	takeStringData(s)
	k8sv1.SetObjectDefaults_Secret(s)
	out := Result{Object: s, Warnings: append(metaWarnings(s), secretWarnings(s)...), Change: Spec}
	before, update := old.(*corev1.Secret)
	if update {
		inherit(s, before)
		same := s.Type == before.Type && equality.Semantic.DeepEqual(s.Data, before.Data) &&
			equality.Semantic.DeepEqual(s.Immutable, before.Immutable)
		out.Change = difference(same, s, before)
	}
	errs := checkUID(s)
	now, err := internal(s, k8sv1.Convert_v1_Secret_To_core_Secret)
	if err != nil {
		return Result{}, err
	}
	if !update {
		return out, invalid("Secret", s.Name, append(errs, corevalidation.ValidateSecret(now)...))
	}
	was, err := internal(before, k8sv1.Convert_v1_Secret_To_core_Secret)
	if err != nil {
		return Result{}, err
	}
	align(now, was)
	return out, invalid("Secret", s.Name, append(errs, corevalidation.ValidateSecretUpdate(now, was)...))
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

// secretWarnings are an API server's, and what takes a control plane.
func secretWarnings(s *corev1.Secret) []string {
	if s.Type == corev1.SecretTypeServiceAccountToken {
		return []string{"type: there is no control plane that would put a token into it"}
	}
	if s.Type != corev1.SecretTypeTLS {
		return nil
	}
	if _, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return []string{err.Error()}
	}
	return nil
}
