package runtime

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"sync"
)

// capSysResource is CAP_SYS_RESOURCE's bit (capabilities(7)): without it a
// process can't lower an oom_score_adj (proc_pid_oom_score_adj(5)).
const capSysResource = 24

var ownOOMScoreAdj = sync.OnceValue(func() int {
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0
	}
	adj, _ := strconv.Atoi(string(bytes.TrimSpace(text))) // the kernel writes a number
	return adj
})

var maySetOOMScore = sync.OnceValue(func() bool {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			caps, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			return err == nil && caps&(1<<capSysResource) != 0
		}
	}
	return false
})
