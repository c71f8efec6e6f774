// Package volume makes and removes what a pod has on disk: emptyDir, hostPath,
// configMap and secret volumes, as a kubelet makes them:
//
//	<root>/pods/<uid>/volumes/<name>/      the volume; a tmpfs for secrets and medium Memory
//	<root>/pods/<uid>/volumes/<name>.ready what Observe reads; written last
//
// A hostPath has only the second. The rest of <root>/pods/<uid> is the
// sandbox's and the containers'; removing a pod's volumes removes all of it.
//
// cmd/podd imports it to hand it to the agent.
package volume
