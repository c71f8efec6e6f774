package pod

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
)

// SandboxName is the name that stands for the pause container in ids. No
// container can have it: it is not a DNS label.
const SandboxName = "POD"

// ID is the id of one attempt of one container: 64 hex digits, the same
// whenever and by whomever it is computed, so that creating twice is noticed.
func ID(uid types.UID, name string, attempt int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", uid, name, attempt))
	return hex.EncodeToString(sum[:])
}
