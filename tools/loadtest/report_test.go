package loadtest

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// update writes the golden reports: go test ./tools/loadtest -update.
var update = flag.Bool("update", false, "write the golden reports in testdata")

// exampleResult returns figures of all contenders for two reviews.
func exampleResult() *Result {
	r := &Result{
		Options: Options{Duration: 500 * time.Millisecond, Rounds: 3, Connections: 8, Rate: 500},
		Machine: Machine{CPU: "Example <1 & 2>", CPUs: 2, Kernel: "6.12.0", Go: "1.26.8", Date: "2026-01-31", Servers: "1"},
		Footprint: &Footprint{
			Program: 7_500_000, Starts: []time.Duration{12e6, 14e6, 13e6}, Connections: 64,
			Idle: 8_000_000, Loaded: 15_000_000, Peak: 16_000_000, Settled: 12_000_000, SettledAfter: 150 * time.Second,
		},
	}
	for i, c := range contenders {
		for _, path := range c.paths {
			for _, sent := range []review{{name: ReviewNames[0], body: make([]byte, 2939)}, {name: Headline, body: make([]byte, 4809)}} {
				r.addExample(c.name, path, sent, i+1)
			}
		}
		r.Servers = append(r.Servers, Server{c.name, 10_000_000, 12_000_000 * int64(i+1), 11_000_000})
	}
	return r
}

// addExample adds figures that get worse with each contender. The last one is too slow for the rate.
func (r *Result) addExample(contender, path string, sent review, worse int) {
	f := r.figures(contender, path, sent)
	f.Bytes, f.Allocations = float64(1800*worse), float64(25*worse)
	for round := range 3 {
		d := time.Duration(worse*(10+round)) * time.Microsecond
		f.Rounds = append(f.Rounds, Round{
			Throughput: float64(24_000+100*round) / float64(worse), CPU: d, ClientCPU: 10 * time.Microsecond,
			Latency: Latency{10 * d, 50 * d}, Paced: Latency{3 * d, 100 * d}, Unsent: 50 * (worse / 4),
		})
	}
}

// compare compares text with a golden file, or writes the file.
func compare(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestReportsAreGolden(t *testing.T) {
	r := exampleResult()
	compare(t, "report.txt", r.Text())
	compare(t, "page.txt", r.Markdown("performance.svg"))
	compare(t, "plot.svg", r.Plot())
}

func TestReportOfOneContender(t *testing.T) {
	r := exampleResult()
	r.Figures, r.Servers, r.Footprint = nil, nil, nil
	r.addExample(Webhook, mutating, review{name: ReviewNames[0]}, 1)
	for _, text := range []string{r.Text(), r.Markdown("performance.svg")} {
		if !strings.Contains(text, Webhook+" /mutating") || strings.Contains(text, "\n  floor") || strings.Contains(text, "| floor") || strings.Contains(text, "%") || strings.Contains(text, "NaN") {
			t.Errorf("report:\n%s", text)
		}
	}
	if labels := plotTexts(t, r.Plot()); !labels["image-webhook"] || labels[Floor] {
		t.Errorf("texts of the plot: %v", labels)
	}
}

// plotTexts returns the texts of an SVG image. It fails if the image is not valid XML.
func plotTexts(t *testing.T, image string) map[string]bool {
	t.Helper()
	texts := map[string]bool{}
	decoder := xml.NewDecoder(strings.NewReader(image))
	for inText := false; ; {
		token, err := decoder.Token()
		switch token := token.(type) {
		case xml.StartElement:
			inText = token.Name.Local == "text"
		case xml.CharData:
			if inText {
				texts[string(token)] = true
			}
		case xml.EndElement:
			inText = false
		}
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, image)
		}
	}
}

func TestPlotShowsEveryFigureOfTheHeadline(t *testing.T) {
	r := exampleResult()
	texts := plotTexts(t, r.Plot())
	want := []string{Headline + ", Example <1 & 2>", mutating, validating, "requests per second (more is better)", "server", "0", "25,000", "> 24,100"}
	want = append(want, ContenderNames()...)
	for _, f := range r.Figures {
		if f.Review == Headline {
			want = append(want, r.throughput(f))
		}
	}
	for _, text := range want {
		if !texts[text] {
			t.Errorf("the plot does not show %q: %v", text, texts)
		}
	}
	if bars := strings.Count(r.Plot(), `height="22"`); bars != 8 {
		t.Errorf("%d bars, want those of 4 contenders for 2 paths", bars)
	}
}

func TestLimitOfTheClientIsShown(t *testing.T) {
	for name, test := range map[string]struct {
		client                 time.Duration // CPU time per request; the server has 100
		cpus                   int           // of the machine; one is the server's
		throughput, ofTheFloor string
	}{
		"fast client":      {90, 2, "1,000", "100%"},
		"slow client":      {91, 2, "> 1,000", "< 100%"},
		"two CPUs":         {180, 3, "1,000", "100%"},
		"two CPUs, slower": {182, 3, "> 1,000", "< 100%"},
	} {
		r := &Result{Machine: Machine{CPUs: test.cpus, Servers: "1"}}
		f, floor := &Figures{Rounds: []Round{{Throughput: 1000, CPU: 100, ClientCPU: test.client}}}, &Figures{Rounds: []Round{{Throughput: 1000, CPU: 100, ClientCPU: test.client}}}
		if throughput, share := r.throughput(f), r.share(f, floor); throughput != test.throughput || share != test.ofTheFloor {
			t.Errorf("%s: %s and %s, want %s and %s", name, throughput, share, test.throughput, test.ofTheFloor)
		}
	}
	if shared := (Machine{CPUs: 1}).clientCPUs(); shared != 1 {
		t.Errorf("a client that shares one CPU has %d", shared)
	}
}

func TestTicksAreRound(t *testing.T) {
	for highest, want := range map[float64][2]float64{
		24_100: {5000, 25_000}, 10: {2, 10}, 11: {5, 15}, 99: {20, 100}, 1: {0.2, 1}, 0.7: {0.2, 0.8},
	} {
		step, last := tickStep(highest)
		if diff := cmp.Diff(want, [2]float64{step, last}, equalTo(1e-9)); diff != "" {
			t.Errorf("%g: step and last tick (-want +got):\n%s", highest, diff)
		}
	}
}

// equalTo compares numbers that rounding can make differ.
func equalTo(tolerance float64) cmp.Option {
	return cmp.Comparer(func(a, b float64) bool { return a-b < tolerance && b-a < tolerance })
}

func TestWritePageKeepsTheRestOfThePage(t *testing.T) {
	const before, after = "# Performance\n\n<!-- begin handlers: written by `make bench` -->", "<!-- end handlers -->\n\ntext\n"
	root := t.TempDir()
	page := filepath.Join(root, Page)
	if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(content string) error {
		if err := os.WriteFile(page, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return exampleResult().WritePage(root)
	}
	if err := write("# Performance\n"); err == nil || !strings.Contains(err.Error(), Page) || !strings.Contains(err.Error(), "begin handlers") {
		t.Errorf("without markers: %v", err)
	}
	if err := write(before + "\nold\n" + after); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if want := before + "\n\n" + strings.TrimSpace(exampleResult().Markdown("performance.svg")) + "\n\n" + after; string(content) != want {
		t.Errorf("page (-want +got):\n%s", cmp.Diff(want, string(content)))
	}
	plot, err := os.ReadFile(filepath.Join(root, "docs/performance.svg"))
	if err != nil || string(plot) != exampleResult().Plot() {
		t.Errorf("plot: %v", err)
	}
}

func TestJSONHasEveryRound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "result.json")
	if err := exampleResult().WriteJSON(file); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got Result
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*exampleResult(), got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}
