//go:build !vm

package integration_test

// slowness is by how much more patient the tests are than on a machine that is
// there.
const slowness = 1
