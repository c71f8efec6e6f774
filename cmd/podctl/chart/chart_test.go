package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/ anew")

var t0 = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }

func bar(kind string, wanted, began, ended int) Bar {
	return Bar{Kind: kind, Wanted: at(wanted), Began: at(began), Ended: at(ended), Said: fmt.Sprintf("%s at %d", kind, wanted)}
}

func example() Chart {
	failed, open := bar("PullImage", 90, 120, 400), bar("PullImage", 500, 500, 900)
	failed.Failed, open.Open = true, true
	return Chart{
		Title: "Start of podd <at> 12:00", Subtitle: "1 of 2 pods & more", From: at(0), To: at(900),
		Groups: []Group{
			{Name: "podd", From: at(0), To: at(85), Said: "ready after 85 ms", Marks: []Mark{{at(85), "ready"}}, Rows: []Row{
				{Name: "prepare", Bars: []Bar{bar("podd", 0, 0, 15)}}, {Name: "containerd up", Bars: []Bar{bar("podd", 15, 15, 85)}},
			}},
			{Name: "a-namespace-that-is-long/a-pod-whose-name-is-even-longer-0123456789", From: at(90), To: at(330), Said: "ready after 240 ms", Marks: []Mark{{at(300), "running"}, {at(330), "ready"}}, Rows: []Row{
				{Name: "cgroup", Bars: []Bar{bar("CreateCgroup", 90, 90, 91)}},
				{Name: "volume/data", Bars: []Bar{bar("SetupVolume", 90, 90, 95)}},
				{Name: "network", Bars: []Bar{bar("SetupNetwork", 91, 110, 140)}},
				{Name: "sandbox", Bars: []Bar{bar("CreateSandbox", 91, 140, 210)}},
				{Name: "container/web", Bars: []Bar{bar("CreateContainer", 211, 230, 240), bar("StartContainer", 240, 240, 300)}},
				{Name: "probe/web/readiness", Bars: []Bar{bar("RunProbe", 310, 310, 312), bar("RunProbe", 328, 328, 330)}},
			}},
			{Name: "bad", From: at(90), To: at(900), Said: "not over after 810 ms", Rows: []Row{{Name: "image/nowhere", Bars: []Bar{failed, open}}}},
			{Name: "old", Said: "ran on"},
		},
	}
}

func drawn(t *testing.T, c Chart) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, c); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestGolden(t *testing.T) {
	const golden = "testdata/example.svg"
	got := drawn(t, example())
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -rewrite writes it anew, look at it then):\n%s", golden, diff)
	}
}

// TestWhatIsNamedCantBreakTheXML, whatever it is.
func TestWhatIsNamedCantBreakTheXML(t *testing.T) {
	for _, name := range []string{"web", `</text><script>alert(1)</script>`, `"&'<>`, "ünï €", "\x00\x1b[31m", strings.Repeat("<", 400), "]]>"} {
		c := example()
		c.Title, c.Subtitle = name, name
		for i := range c.Groups {
			g := &c.Groups[i]
			g.Name, g.Said = name, name
			for j := range g.Marks {
				g.Marks[j].Name = name
			}
			for j := range g.Rows {
				g.Rows[j].Name = name
				for k := range g.Rows[j].Bars {
					g.Rows[j].Bars[k].Said, g.Rows[j].Bars[k].Kind = name, name
				}
			}
		}
		checkXML(t, drawn(t, c), name)
	}
}

func checkXML(t *testing.T, text, about string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Errorf("%q: %v", about, err)
			return
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "script" {
			t.Errorf("%q: a script is in it", about)
		}
	}
}

func TestAnEmptyChartIsOne(t *testing.T) {
	checkXML(t, drawn(t, Chart{From: t0, To: t0}), "empty")
}

func TestTick(t *testing.T) {
	for span, want := range map[time.Duration]time.Duration{
		time.Millisecond:       time.Millisecond,
		60 * time.Millisecond:  5 * time.Millisecond,
		900 * time.Millisecond: 100 * time.Millisecond,
		7 * time.Second:        time.Second,
		time.Minute:            5 * time.Second,
		time.Hour:              500 * time.Second,
	} {
		if got := tick(span); got != want {
			t.Errorf("%s: %s", span, got)
		}
	}
}

func TestTook(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 40 * time.Microsecond: "0.0 ms", 1234 * time.Microsecond: "1.2 ms", 62400 * time.Microsecond: "62 ms",
		1234 * time.Millisecond: "1.23 s", 12345 * time.Millisecond: "12.3 s", 75 * time.Second: "1m15s",
	} {
		if got := Took(d); got != want {
			t.Errorf("%d: %s, not %s", d, got, want)
		}
	}
}

func TestFit(t *testing.T) {
	for text, want := range map[string]string{"short": "short", "exactly-10": "exactly-10", "longer-than-10": "longe…n-10"} {
		if got := fit(text, 10); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
