package daemon

import (
	"bytes"
	"errors"
	"os"
	"strings"
)

// maxLog bounds containerd's log file, in bytes. It is looked at now and then, so
// the file may grow somewhat beyond.
const maxLog = 1 << 20

// openLog opens a log file at its end.
func openLog(path string) (*os.File, error) {
	if err := trim(path); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
}

// trim moves what is in a log file that has grown too large to <path>.1. The
// file itself stays, since containerd has it open for appending; a line written
// between the copy and the cut is lost.
func trim(path string) error {
	stat, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && stat.Size() <= maxLog {
		return nil
	}
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".1", content[max(0, len(content)-maxLog):], 0o600); err != nil {
		return err
	}
	return os.Truncate(path, 0)
}

// lastLines is the end of a log file, for an error message.
func lastLines(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	lines = lines[max(0, len(lines)-3):]
	return strings.TrimSpace(string(bytes.Join(lines, []byte("; "))))
}
