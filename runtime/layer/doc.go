// Package layer holds an unpacked image layer against the archive that it came
// from, and unpacks it anew when it is not what the archive says. It knows of
// directories and tar streams only; package runtime, which imports it, finds
// both in containerd.
package layer
