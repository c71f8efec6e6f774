package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// Chart is what is drawn. From is at the left, To at the right.
type Chart struct {
	Title, Subtitle string
	From, To        time.Time
	Groups          []Group
}

// Group is what belongs together, such as a pod.
type Group struct {
	Name string
	// Said stands behind the last thing in its own row.
	Said string
	// From and To are the whole of it; without From there is no bar of its own.
	From, To time.Time
	Marks    []Mark
	Rows     []Row
}

// Mark is a moment.
type Mark struct {
	At   time.Time
	Name string
}

// Row is a line of bars.
type Row struct {
	Name string
	Bars []Bar
}

// Bar is something that was done.
type Bar struct {
	// Kind is its colour's; see Kinds.
	Kind string
	// Wanted to Began it waited, Began to Ended it worked.
	Wanted, Began, Ended time.Time
	// Failed and Open: it failed; it has not ended.
	Failed, Open bool
	// Said is shown by a viewer that is asked about the bar.
	Said string
}

// The measures, in pixels.
const (
	width    = 1280
	left     = 250 // of the axis
	right    = width - 190
	top      = 104
	rowH     = 20
	groupGap = 10
	barH     = 12
	minBar   = 1.5
	charW    = 6.3 // about, at 11 px
)

// Write draws a chart.
func Write(w io.Writer, c Chart) error {
	d := &drawing{chart: c, span: max(c.To.Sub(c.From), time.Millisecond)}
	y := float64(top)
	for _, g := range c.Groups {
		y = d.group(g, y) + groupGap
	}
	height := int(y) + 34
	var out bytes.Buffer
	fmt.Fprintf(&out, `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="system-ui, 'Helvetica Neue', 'DejaVu Sans', sans-serif" font-size="11">
<title>%s</title>
<style>
%s</style>
<rect class="page" width="100%%" height="100%%"/>
`, width, height, width, height, escaped(c.Title), style())
	fmt.Fprintf(&out, "<text class=\"ink title\" x=\"16\" y=\"28\">%s</text>\n<text class=\"dim\" x=\"16\" y=\"46\">%s</text>\n", escaped(c.Title), escaped(c.Subtitle))
	d.legend(&out)
	d.axis(&out, y)
	out.Write(d.body.Bytes())
	out.WriteString("</svg>\n")
	_, err := out.WriteTo(w)
	return err
}

// drawing is a chart's rows as they grow.
type drawing struct {
	chart Chart
	span  time.Duration
	body  bytes.Buffer
}

// x is where a time is on the axis; what is beyond its ends is at the end.
func (d *drawing) x(at time.Time) float64 {
	part := float64(at.Sub(d.chart.From)) / float64(d.span)
	return left + (right-left)*min(max(part, 0), 1)
}

// group draws a group from y on and returns where it ends.
func (d *drawing) group(g Group, y float64) float64 {
	fmt.Fprintf(&d.body, "<g>\n<rect class=\"band\" x=\"8\" y=\"%.1f\" width=\"%d\" height=\"%d\" rx=\"3\"/>\n", y, width-16, rowH)
	d.text("ink name", 16, y, fit(g.Name, (left-24)/charW*0.95), "start")
	end := float64(left)
	if !g.From.IsZero() {
		from, to := d.x(g.From), d.x(g.To)
		fmt.Fprintf(&d.body, "<rect class=\"whole\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"3\" rx=\"1.5\"/>\n", from, y+rowH/2-1.5, max(to-from, minBar))
		end = max(end, to)
	}
	for _, m := range g.Marks {
		x := d.x(m.At)
		fmt.Fprintf(&d.body, "<path class=\"mark\" d=\"M%.1f %.1f l4 5 -4 5 -4 -5z\"><title>%s</title></path>\n", x, y+rowH/2-5, escaped(m.Name))
		end = max(end, x)
	}
	d.label(g.Said, end, end, y, "ink")
	y += rowH
	for _, r := range g.Rows {
		d.row(r, y)
		y += rowH
	}
	d.body.WriteString("</g>\n")
	return y
}

func (d *drawing) row(r Row, y float64) {
	d.text("dim", left-10, y, fit(r.Name, (left-40)/charW), "end")
	first, last, worked := math.Inf(1), 0.0, time.Duration(0)
	waited := time.Duration(0)
	for _, b := range r.Bars {
		from, to := d.bar(b, y)
		first, last = min(first, from), max(last, to)
		worked += b.Ended.Sub(b.Began)
		waited += b.Began.Sub(b.Wanted)
	}
	if len(r.Bars) == 0 {
		return
	}
	said := Took(worked)
	if waited >= time.Millisecond {
		said += " + " + Took(waited) + " waiting"
	}
	d.label(said, first, last, y, "dim")
}

// bar draws a bar and returns where it begins and ends.
func (d *drawing) bar(b Bar, y float64) (from, to float64) {
	wanted, began, ended := d.x(b.Wanted), d.x(b.Began), d.x(b.Ended)
	ended = max(ended, began+minBar)
	at := y + (rowH-barH)/2
	class := "k" + fmt.Sprint(index(b.Kind))
	fmt.Fprintf(&d.body, "<g><title>%s</title>", escaped(b.Said))
	if began-wanted > 0.2 {
		fmt.Fprintf(&d.body, "<rect class=\"%s wait\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>", class, wanted, at, began-wanted, barH)
	}
	switch {
	case b.Failed:
		class += " failed"
	case b.Open:
		class += " open"
	}
	fmt.Fprintf(&d.body, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/></g>\n", class, began, at, ended-began, barH)
	return wanted, ended
}

// label writes text behind what ends at end; if there is no room, before what
// begins at begin, or over it.
func (d *drawing) label(text string, begin, end, y float64, class string) {
	if text == "" {
		return
	}
	long := float64(len([]rune(text))) * charW
	switch {
	case end+8+long <= width-12:
		d.text(class, end+8, y, text, "start")
	case begin-6-long >= left:
		d.text(class, begin-6, y, text, "end")
	default:
		d.text(class+" over", width-12, y, text, "end")
	}
}

func (d *drawing) text(class string, x, y float64, text, anchor string) {
	fmt.Fprintf(&d.body, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", class, x, y+rowH/2+4, anchor, escaped(text))
}

// axis draws the grid down to y, and times above and below it.
func (d *drawing) axis(w io.Writer, y float64) {
	step := tick(d.span)
	for at := time.Duration(0); at <= d.span; at += step {
		x := d.x(d.chart.From.Add(at))
		fmt.Fprintf(w, "<path class=\"grid\" d=\"M%.1f %d V%.1f\"/>\n", x, top-6, y)
		for _, below := range []float64{top - 12, y + 16} {
			fmt.Fprintf(w, "<text class=\"dim\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", x, below, Took(at))
		}
	}
}

// tick is a round time of which the span has 5 to 12.
func tick(span time.Duration) time.Duration {
	for unit := time.Millisecond; ; unit *= 10 {
		for _, n := range []time.Duration{1, 2, 5} {
			if span/(n*unit) <= 12 {
				return n * unit
			}
		}
	}
}

// legend shows the kinds that are there.
func (d *drawing) legend(w io.Writer) {
	x := 16.0
	entry := func(class, name string) {
		fmt.Fprintf(w, "<rect class=\"%s\" x=\"%.1f\" y=\"57\" width=\"%d\" height=\"10\"/><text class=\"dim\" x=\"%.1f\" y=\"66\">%s</text>\n", class, x, barH, x+17, name)
		x += 17 + float64(len(name))*charW + 16
	}
	used := map[int]bool{}
	for _, g := range d.chart.Groups {
		for _, r := range g.Rows {
			for _, b := range r.Bars {
				used[index(b.Kind)] = true
			}
		}
	}
	for i, k := range kinds() {
		if used[i] {
			entry(fmt.Sprintf("k%d", i), k.name)
		}
	}
	if len(used) > 0 {
		entry("k0 wait", "lighter: waiting for its turn")
		entry("k0 failed", "failed")
		entry("k0 open", "not over")
	}
}

// kind is a colour's.
type kind struct {
	name, colour string
	of           []string
}

// kinds have colours that can be told apart by those who don't see all of them,
// on white and on black. The first is for what is none of the others.
func kinds() []kind {
	return []kind{
		{"other", "#8a94a3", nil},
		{"podd", "#6f7fb0", []string{"podd"}},
		{"hold", "#b8a98a", []string{"Hold"}},
		{"cgroup", "#a0785a", []string{"CreateCgroup"}},
		{"volume", "#56b4e9", []string{"SetupVolume"}},
		{"network", "#009e73", []string{"SetupNetwork"}},
		{"sandbox", "#3f7fd0", []string{"CreateSandbox"}},
		{"pull", "#e69f00", []string{"PullImage"}},
		{"create", "#a06cd5", []string{"CreateContainer"}},
		{"start", "#d95f2b", []string{"StartContainer"}},
		{"hook", "#cc79a7", []string{"RunHook"}},
		{"probe", "#c9b400", []string{"RunProbe"}},
	}
}

func index(of string) int {
	return max(0, slices.IndexFunc(kinds(), func(k kind) bool { return slices.Contains(k.of, of) }))
}

func style() string {
	var s bytes.Buffer
	s.WriteString(`.page{fill:#fff}.ink{fill:#1f2328}.dim{fill:#656d76}.title{font-size:16px;font-weight:600}.name{font-weight:600}
.band{fill:#f0f3f6}.grid{stroke:#d8dee4;stroke-width:1}.whole{fill:#9aa4af}.mark{fill:#1a7f37}
.over{paint-order:stroke;stroke:#fff;stroke-width:3px}.wait{fill-opacity:.35}.failed{stroke:#d1242f;stroke-width:1.6}.open{stroke:#656d76;stroke-width:1;stroke-dasharray:2 2;fill-opacity:.6}
`)
	for i, k := range kinds() {
		fmt.Fprintf(&s, ".k%d{fill:%s}", i, k.colour)
	}
	s.WriteString(`
@media (prefers-color-scheme:dark){.page{fill:#0d1117}.ink{fill:#e6edf3}.dim{fill:#9198a1}.band{fill:#1b222b}.grid{stroke:#2a313a}.whole{fill:#656d76}.mark{fill:#3fb950}.over{stroke:#0d1117}.failed{stroke:#f85149}.open{stroke:#9198a1}}
`)
	return s.String()
}

// Took is a duration with as many digits as are of use.
func Took(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// fit cuts a text to about so many characters, in its middle.
func fit(text string, most float64) string {
	r, n := []rune(text), int(most)
	if len(r) <= n {
		return text
	}
	return string(r[:n/2]) + "…" + string(r[len(r)-(n-n/2-1):])
}

func escaped(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a buffer takes everything
	return b.String()
}
