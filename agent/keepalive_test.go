package agent_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/test/bufconn"
)

// dialRaw speaks HTTP/2 to podd by hand: it has said who it is, and no more.
func (r *rig) dialRaw() (conn net.Conn, frames *http2.Framer) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	lis := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- r.life.agent.Serve(ctx, lis) }()
	r.t.Cleanup(func() { cancel(); <-served })
	conn, err := lis.Dial()
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		r.t.Fatal(err)
	}
	frames = http2.NewFramer(conn, conn)
	if err := frames.WriteSettings(); err != nil {
		r.t.Fatal(err)
	}
	return conn, frames
}

// TestACallerThatIsGoneWithoutAWord: who does not answer pings is gone.
func TestACallerThatIsGoneWithoutAWord(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		conn, _ := r.dialRaw()
		began := time.Now()
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("it ends with %v", err)
		}
		if took := time.Since(began); took < time.Minute || took > 2*time.Minute {
			t.Errorf("it is closed after %v", took)
		}
	})
}

// TestACallerThatPingsWithoutEnd is told to calm down, and closed.
func TestACallerThatPingsWithoutEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		conn, frames := r.dialRaw()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for frames.WritePing(false, [8]byte{}) == nil {
				time.Sleep(time.Second)
			}
		}()
		began := time.Now()
		calm := false
		for {
			f, err := frames.ReadFrame()
			if err != nil {
				break
			}
			if away, ok := f.(*http2.GoAwayFrame); ok && away.ErrCode == http2.ErrCodeEnhanceYourCalm {
				calm = true
			}
		}
		if took := time.Since(began); !calm || took > 10*time.Second {
			t.Errorf("told to calm down: %v, closed after %v", calm, took)
		}
		conn.Close()
		<-ended
	})
}
