// Package pod is the pure core: it decides what is to be done for one Pod, and
// what its status is, from what is wanted, what is remembered and what is
// observed. It has no clock, no randomness, no I/O, no lock, no logger and no
// goroutine; the same input always gives the same output.
//
// The agent imports it to decide; runtime and cni import it for the values
// they are handed and report.
package pod
