package systemd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap/zapcore"
)

const (
	fieldIdentifier = "SYSLOG_IDENTIFIER"
	identifier      = "podd"
)

// Core writes a log to the journal. Each of zap's fields is one of the journal's,
// in capital letters; that of a pod is there as POD_NAMESPACE, POD_NAME and
// POD_UID too, as of the lines that its containers write. The message has them
// all once more, for people.
func (j *Journal) Core(level zapcore.LevelEnabler) zapcore.Core {
	return &core{LevelEnabler: level, journal: j}
}

type core struct {
	zapcore.LevelEnabler
	journal *Journal
	fields  []zapcore.Field
}

// With implements zapcore.Core.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{c.LevelEnabler, c.journal, slices.Concat(c.fields, fields)}
}

// Check implements zapcore.Core.
func (c *core) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core. It does not wait.
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	out := map[string]string{fieldIdentifier: identifier}
	message := strings.Builder{}
	message.WriteString(e.Message)
	for _, f := range slices.Concat(c.fields, fields) {
		value := text(f)
		name := fieldName(f.Key)
		out[name] = value
		switch name {
		case "POD":
			if namespace, pod, ok := strings.Cut(value, "/"); ok {
				out["POD_NAMESPACE"], out["POD_NAME"] = namespace, pod
			}
		case "UID":
			delete(out, name)
			out["POD_UID"] = value
		}
		if strings.ContainsAny(value, " \t\n\"=") || value == "" {
			value = strconv.Quote(value)
		}
		message.WriteString(" " + f.Key + "=" + value)
	}
	if e.Stack != "" {
		out["STACK"] = e.Stack
	}
	c.journal.Put(Entry{Message: message.String(), Priority: priority(e.Level), Fields: out})
	return nil
}

// Sync implements zapcore.Core.
func (c *core) Sync() error { return c.journal.Sync() }

func text(f zapcore.Field) string {
	enc := zapcore.NewMapObjectEncoder()
	f.AddTo(enc)
	v := enc.Fields[f.Key]
	if all, ok := v.([]any); ok {
		parts := make([]string, len(all))
		for i, one := range all {
			parts[i] = fmt.Sprint(one)
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v)
}

// fieldName is the journal's name of a field: it takes no others.
func fieldName(key string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
	name = strings.TrimLeft(name, "_0123456789")
	switch name {
	case "", "MESSAGE", "PRIORITY", fieldIdentifier:
		return "FIELD_" + name
	}
	return name
}

func priority(level zapcore.Level) int {
	switch {
	case level < zapcore.InfoLevel:
		return PriorityDebug
	case level < zapcore.WarnLevel:
		return PriorityInfo
	case level < zapcore.ErrorLevel:
		return PriorityWarning
	case level < zapcore.DPanicLevel:
		return PriorityError
	}
	return PriorityCritical
}
