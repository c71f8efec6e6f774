package pod

import (
	"fmt"
	"strings"
)

// expand replaces $(NAME) by the value of the variable NAME. $$ stands for $,
// and a reference to what is not there stays as it is written: the rules of
// Kubernetes for command, args and env.
func expand(s string, vars map[string]string) string {
	return expandBy(s, func(name string) (string, bool) {
		value, ok := vars[name]
		return value, ok
	})
}

// ExpandSubPath expands a volume mount's subPathExpr from its container's
// variables, given as NAME=value. Unlike elsewhere, all must be there.
func ExpandSubPath(expr string, env []string) (string, error) {
	vars := lookup(env)
	var missing error
	path := expandBy(expr, func(name string) (string, bool) {
		value, ok := vars[name]
		if !ok && missing == nil {
			missing = fmt.Errorf("missing value for %q", name)
		}
		return value, ok
	})
	return path, missing
}

func expandBy(s string, value func(name string) (string, bool)) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i == len(s)-1 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		text, length := reference(s[i:], value)
		b.WriteString(text)
		s = s[i+length:]
	}
}

// reference is what the text that begins with $ and something more stands for
// at its beginning, and how much of it.
func reference(s string, value func(name string) (string, bool)) (string, int) {
	switch s[1] {
	case '$':
		return "$", 2
	case '(':
		end := strings.IndexByte(s, ')')
		if end < 0 {
			return "$(", 2
		}
		if text, ok := value(s[2:end]); ok {
			return text, end + 1
		}
		return s[:end+1], end + 1
	}
	return "$", 1
}

func expandAll(all []string, vars map[string]string) []string {
	if len(all) == 0 {
		return nil
	}
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = expand(s, vars)
	}
	return out
}

// lookup makes a map of NAME=value strings.
func lookup(env []string) map[string]string {
	vars := make(map[string]string, len(env))
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		vars[name] = value
	}
	return vars
}
