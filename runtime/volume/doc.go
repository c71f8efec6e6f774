// Package volume makes and removes what a pod has on disk: emptyDir, hostPath, configMap,
// secret.
//
// cmd/podd imports it to hand it to the agent.
package volume
