package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// followLog reads a log that is followed, and goes on where it was when podd is
// restarted. podd is asked for the time of each line, by which lines are told
// apart; nothing is printed twice, and nothing is lost as long as the container
// is not restarted meanwhile, too.
func followLog(ctx context.Context, c *client, req *poddv1.LogsRequest, w io.Writer) error {
	cur := &cursor{w: w, stamps: req.GetTimestamps()}
	req = forContainer(req, req.GetContainer())
	req.Timestamps = true
	var lost time.Time
	for {
		began := time.Now()
		err := readOnce(ctx, c, req, cur)
		st, answered := grpcStatus(err)
		if err == nil || !answered || st.Code() != codes.Unavailable || cur.begun == 0 {
			return err
		}
		if lost.IsZero() || time.Since(began) > away { // it stood meanwhile
			lost = time.Now()
		}
		if time.Since(lost) > away {
			return err
		}
		req.Tail, req.SinceTime = nil, timestamppb.New(cur.last)
		cur.resume()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryEvery):
		}
	}
}

// cursor passes lines on without their times, unless these are wanted, and
// knows where it is.
type cursor struct {
	w      io.Writer
	stamps bool

	// last is the time of the last line that was begun, begun how many lines of
	// that time were, and shown how many bytes of the last one, its time apart.
	last  time.Time
	begun int
	shown int
	ended bool // the last line has ended

	// stamp is the beginning of a line whose time is not whole yet; inside a
	// line there is none.
	stamp  []byte
	inside bool

	// again is how many lines of the time last come again after a resumption,
	// and hide how many bytes of the present line were shown before.
	again int
	hide  int
}

func (c *cursor) resume() {
	c.again, c.stamp, c.inside, c.hide = c.begun, nil, false, 0
}

func (c *cursor) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		var err error
		if c.inside {
			rest, err = c.text(rest)
		} else {
			rest, err = c.time(rest)
		}
		if err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// time reads a line's time.
func (c *cursor) time(p []byte) (rest []byte, err error) {
	end := bytes.IndexByte(p, ' ')
	if end < 0 {
		c.stamp = append(c.stamp, p...)
		return nil, nil
	}
	stamp := string(append(c.stamp, p[:end]...))
	c.stamp, c.inside = nil, true
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return nil, errors.New("podd sent a line without its time: " + stamp)
	}
	if c.again > 0 && at.Equal(c.last) { // it was begun before
		c.again--
		c.hide = -1
		if c.again == 0 && !c.ended {
			c.hide = c.shown
		}
		return p[end+1:], nil
	}
	c.again, c.hide, c.shown, c.ended = 0, 0, 0, false
	if !at.Equal(c.last) {
		c.last, c.begun = at, 0
	}
	c.begun++
	if c.stamps {
		_, err = io.WriteString(c.w, stamp+" ")
	}
	return p[end+1:], err
}

// text passes a line's text on, but for what was shown before: all of it if
// hide is less than 0.
func (c *cursor) text(p []byte) (rest []byte, err error) {
	text := p
	if end := bytes.IndexByte(p, '\n'); end >= 0 {
		text, rest, c.inside = p[:end+1], p[end+1:], false
	}
	if c.hide < 0 {
		return rest, nil
	}
	hidden := min(c.hide, len(text))
	c.hide -= hidden
	if text = text[hidden:]; len(text) == 0 {
		return rest, nil
	}
	c.shown += len(text)
	c.ended = !c.inside
	_, err = c.w.Write(text)
	return rest, err
}
