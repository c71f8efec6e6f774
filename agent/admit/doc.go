// Package admit decides what may enter: strict decoding, Kubernetes'
// defaulting, validation and warnings, and the table of every field podd
// knows. It is the only importer of k8s.io/kubernetes.
//
// The agent imports it.
package admit
