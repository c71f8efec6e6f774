package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestTheCursorShowsEachByteOnce, wherever the stream is cut, in whatever
// pieces it comes, and however many lines have the same time.
func TestTheCursorShowsEachByteOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 2000 {
		var stamps, lines []string
		second := 0
		for i := range 1 + rng.IntN(12) {
			second += rng.IntN(2)
			stamps = append(stamps, fmt.Sprintf("2026-01-02T03:04:%02dZ", second))
			lines = append(lines, strings.Repeat(string(rune('a'+i)), rng.IntN(5))+"\n")
		}
		// from is everything whose time is not before that of the i-th line.
		from := func(i int) string {
			var b strings.Builder
			for j := range lines {
				if stamps[j] >= stamps[i] {
					b.WriteString(stamps[j] + " " + lines[j])
				}
			}
			return b.String()
		}
		var out bytes.Buffer
		stamped := round%2 == 0
		c := &cursor{w: &out, stamps: stamped}
		feed := func(text string) {
			for len(text) > 0 {
				n := 1 + rng.IntN(len(text))
				if _, err := c.Write([]byte(text[:n])); err != nil {
					t.Fatal(err)
				}
				text = text[n:]
			}
		}
		whole := from(0)
		feed(whole[:rng.IntN(len(whole)+1)])
		for range rng.IntN(4) {
			if c.begun == 0 {
				break // podctl does not resume what has not begun
			}
			c.resume()
			i := 0
			for stamps[i] != c.last.Format("2006-01-02T15:04:05Z") {
				i++
			}
			text := from(i)
			feed(text[:rng.IntN(len(text)+1)])
		}
		if c.begun > 0 {
			c.resume()
			i := 0
			for stamps[i] != c.last.Format("2006-01-02T15:04:05Z") {
				i++
			}
			feed(from(i))
		} else {
			c = &cursor{w: &out, stamps: stamped}
			feed(whole)
		}
		want := strings.Join(lines, "")
		if stamped {
			want = whole
		}
		if out.String() != want {
			t.Fatalf("round %d: %q, want %q", round, out.String(), want)
		}
	}
}
