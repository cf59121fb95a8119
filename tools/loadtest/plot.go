package loadtest

import (
	_ "embed"
	"math"
	"strings"
	"text/template"
)

// The layout of the plot, in pixels.
const (
	plotWidth  = 760
	barsLeft   = 170 // of it are the labels
	barsWidth  = 480
	barHeight  = 22
	barStep    = 30
	groupStep  = 34 // between the groups, for the title of a group
	headHeight = 56
	footHeight = 58
)

//go:embed plot.svg.tmpl
var plotSource string

var plotTemplate = template.Must(template.New("plot").Parse(plotSource))

// plot is a horizontal bar plot.
type plot struct {
	Title, Subtitle, XLabel, YLabel         string
	Width, Height, Left, Right, Top, Bottom int
	Middle                                  int // of the bars, vertically
	Groups                                  []plotGroup
	Ticks                                   []plotTick
}

type plotGroup struct {
	Title string
	Y     int // baseline of the title
	Bars  []plotBar
}

type plotBar struct {
	Label, Value, Class string
	Y, TextY, Length    int
	ValueX              int
}

type plotTick struct {
	X     int
	Label string
}

// Plot returns an SVG image of the throughput of all contenders for the headline review, or for the
// first review.
func (r *Result) Plot() string {
	review := r.reviews()[0]
	if r.find(r.Figures[0].Contender, r.Figures[0].Path, Headline) != nil {
		review = Headline
	}
	p := r.newPlot(review)
	var out strings.Builder
	if err := plotTemplate.Execute(&out, p); err != nil {
		panic(err) // the template does not fit the type
	}
	return out.String()
}

func (r *Result) newPlot(review string) plot {
	p := plot{
		Title: "Requests per second on one CPU", Subtitle: review + ", " + r.Machine.CPU,
		XLabel: "requests per second (more is better)", YLabel: "server",
		Width: plotWidth, Left: barsLeft, Right: barsLeft + barsWidth, Top: headHeight,
	}
	step, longest := tickStep(r.maxThroughput(review))
	scale := func(value float64) int { return int(math.Round(barsWidth * value / longest)) }
	y := headHeight
	for _, path := range []string{mutating, validating} {
		group := plotGroup{Title: path, Y: y + groupStep - 12}
		y += groupStep
		for _, f := range r.plotted(path, review) {
			group.Bars = append(group.Bars, newBar(f.Contender, r.throughput(f), y, scale(f.summary().Throughput)))
			y += barStep
		}
		p.Groups = append(p.Groups, group)
	}
	for value := 0.0; value <= longest; value += step {
		p.Ticks = append(p.Ticks, plotTick{barsLeft + scale(value), formatTick(value)})
	}
	p.Bottom, p.Height, p.Middle = y, y+footHeight, (headHeight+y)/2
	return p
}

func newBar(contender, value string, y, length int) plotBar {
	class := "other"
	switch contender {
	case Floor:
		class = "floor"
	case Webhook:
		class = "webhook"
	}
	const textOffset, gap = 16, 6
	return plotBar{
		Label: contender, Value: value, Class: class,
		Y: y, TextY: y + textOffset, Length: length, ValueX: barsLeft + length + gap,
	}
}

// plotted returns the figures of a path and a review, and those of the floor.
func (r *Result) plotted(path, review string) (all []*Figures) {
	for _, name := range ContenderNames() {
		for _, p := range []string{anyPath, path} {
			if f := r.find(name, p, review); f != nil {
				all = append(all, f)
			}
		}
	}
	return all
}

func (r *Result) maxThroughput(review string) (highest float64) {
	for _, f := range r.Figures {
		if f.Review == review {
			highest = max(highest, f.summary().Throughput)
		}
	}
	return highest
}

// tickStep returns a round step for about five ticks, and the value of the last tick.
func tickStep(highest float64) (step, last float64) {
	power := math.Pow(10, math.Floor(math.Log10(highest/5)))
	for _, factor := range []float64{1, 2, 5, 10} {
		step = factor * power
		if highest/step <= 5 {
			break
		}
	}
	return step, step * math.Ceil(highest/step)
}

// formatTick returns the label of a tick without unneeded digits.
func formatTick(value float64) string {
	if value < 100 {
		return strings.TrimSuffix(strings.TrimRight(formatCount(value), "0"), ".")
	}
	return formatCount(value)
}
