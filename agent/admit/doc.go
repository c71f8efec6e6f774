// Package admit decides what may enter: strict decoding, Kubernetes'
// defaulting, validation and warnings, and the table of every field podd
// knows. It is the only importer of k8s.io/kubernetes, whose feature gates are
// at that release's defaults: nothing here or elsewhere sets one.
//
// The agent imports it.
package admit
