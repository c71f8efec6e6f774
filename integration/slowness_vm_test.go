//go:build vm

package integration_test

// slowness: the machine is emulated, on another that may be busy.
const slowness = 6
