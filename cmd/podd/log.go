package main

import (
	"context"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"github.com/podd-io/podd/systemd"
)

// newLog writes to the journal, for a service of systemd's, or to standard error:
// for people, with colours, if that is a terminal, else JSON. end sends what waits
// for the journal, if it can.
func newLog(level zapcore.LevelEnabler) (log *zap.Logger, end func()) {
	if systemd.UnderJournal() {
		j := systemd.NewJournal()
		return zap.New(j.Core(level)), func() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			j.Close(ctx)
		}
	}
	encoder := zapcore.NewJSONEncoder(jsonLog())
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err == nil {
		c := zap.NewDevelopmentEncoderConfig()
		c.EncodeLevel = zapcore.CapitalColorLevelEncoder
		encoder = zapcore.NewConsoleEncoder(c)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), level)), func() {}
}

func jsonLog() zapcore.EncoderConfig {
	c := zap.NewProductionEncoderConfig()
	c.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	c.EncodeDuration = zapcore.StringDurationEncoder
	return c
}
