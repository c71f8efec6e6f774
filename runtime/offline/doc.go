// Package offline keeps the images of a directory of archives in containerd, so
// that pods start on hosts that reach no registry. cmd/podd imports it.
package offline
