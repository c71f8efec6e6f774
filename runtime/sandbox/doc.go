// Package sandbox makes and removes the sandbox that a pod's containers share: the pause
// container, its namespaces, the pod's shared files and /dev/shm.
//
// cmd/podd imports it to hand it to the agent.
package sandbox
