// Package progress tells a person what a long task is doing.
//
// A task is a row of steps. Every step ends in one line with the time it took:
//
//	✓ kube-apiserver (4m12s)
//	✗ kubelet (3s)
//
// While a step runs, a terminal shows a spinner with the last line of its
// output; anything else (a CI log, a file) gets a line every few seconds, so
// that nothing is ever silent for long. On a terminal the marks are in colour, unless
// NO_COLOR is set (https://no-color.org). A dumb terminal is treated as none.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

const (
	// logInterval keeps a log that is not a terminal from being silent.
	logInterval = 10 * time.Second
	// frameInterval is how often a terminal's spinner turns.
	frameInterval = 150 * time.Millisecond
	// detailWidth cuts a step's last line.
	detailWidth = 60
	// wideRunes is room for the symbols of kind's messages, which take two
	// columns each.
	wideRunes = 4
)

// What sets a terminal's colours.
const (
	green = "\033[32m"
	red   = "\033[31m"
	plain = "\033[0m"
)

var frames = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// Reporter writes the progress of steps to one writer, one step at a time.
type Reporter struct {
	w        io.Writer
	columns  func() int // of the terminal; nil: w is none
	colour   bool
	interval time.Duration
}

// New returns a Reporter that writes to w, with a spinner and in colour if w is a
// terminal.
func New(w io.Writer) *Reporter {
	f, ok := terminal(w)
	if !ok {
		return &Reporter{w: w, interval: logInterval}
	}
	columns := func() int {
		width, _, err := term.GetSize(int(f.Fd()))
		if err != nil || width <= 0 {
			return 80
		}
		return width
	}
	return &Reporter{w: w, columns: columns, colour: Coloured(w), interval: frameInterval}
}

// Coloured says whether what is written to w may be in colour.
func Coloured(w io.Writer) bool {
	_, ok := terminal(w)
	return ok && os.Getenv("NO_COLOR") == ""
}

// terminal returns w if it is a terminal that can do more than lines.
func terminal(w io.Writer) (f *os.File, ok bool) {
	f, ok = w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// Note prints one line that belongs to no step.
func (r *Reporter) Note(format string, args ...any) {
	fmt.Fprintf(r.w, format+"\n", args...)
}

// Step runs do and reports it under name. What do writes to the Step is the
// detail shown while it runs. The error of do is returned as it is.
func (r *Reporter) Step(name string, do func(*Step) error) error {
	step := &Step{}
	started := time.Now()
	stop := r.watch(name, step, started)
	err := do(step)
	stop()
	r.end(name, step, time.Since(started), err)
	return err
}

// Background starts do beside the steps that follow. It is shown, as a step, only
// while the returned function waits for its end, and with the time that do took.
func (r *Reporter) Background(name string, do func(*Step) error) (wait func() error) {
	step := &Step{}
	started := time.Now()
	var err error
	var took time.Duration
	var running sync.WaitGroup
	running.Go(func() {
		err = do(step)
		took = time.Since(started)
	})
	return func() error {
		stop := r.watch(name, step, started)
		running.Wait()
		stop()
		r.end(name, step, took, err)
		return err
	}
}

// end is the line of a step that ended with err.
func (r *Reporter) end(name string, step *Step, took time.Duration, err error) {
	r.Note("%s %s%s (%s)", r.mark(err), name, step.suffix(), Elapsed(took))
}

func (r *Reporter) mark(err error) string {
	mark, paint := "✓", green
	if err != nil {
		mark, paint = "✗", red
	}
	if !r.colour {
		return mark
	}
	return paint + mark + plain
}

// watch shows that the step is alive until the returned function is called.
func (r *Reporter) watch(name string, step *Step, started time.Time) (stop func()) {
	done := make(chan struct{})
	var finished sync.WaitGroup
	finished.Go(func() {
		ticker := time.NewTicker(r.interval)
		defer ticker.Stop()
		for frame := 0; ; frame++ {
			select {
			case <-done:
				r.clear()
				return
			case <-ticker.C:
				r.tick(frame, name, step.shown(), time.Since(started))
			}
		}
	})
	return func() {
		close(done)
		finished.Wait()
	}
}

func (r *Reporter) tick(frame int, name, detail string, elapsed time.Duration) {
	if detail != "" {
		detail = ": " + detail
	}
	if r.columns != nil {
		line := fmt.Sprintf("%s %s %s%s", frames[frame%len(frames)], name, Elapsed(elapsed), detail)
		fmt.Fprint(r.w, "\r\033[K"+shorten(line, r.columns()-wideRunes))
		return
	}
	r.Note("  … %s, %s so far%s", name, Elapsed(elapsed), detail)
}

func (r *Reporter) clear() {
	if r.columns != nil {
		fmt.Fprint(r.w, "\r\033[K")
	}
}

// Step is a running step. It is an io.Writer for the output of the programs
// that the step runs; it may be written to from several goroutines.
type Step struct {
	mu     sync.Mutex
	detail string
	result string
}

// Write keeps the last line that is not blank as the step's detail.
func (s *Step) Write(p []byte) (int, error) {
	lines := strings.FieldsFunc(string(p), func(r rune) bool { return r == '\n' || r == '\r' })
	for i := len(lines) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(lines[i]); line != "" {
			s.SetDetail(line)
			break
		}
	}
	return len(p), nil
}

// SetDetail sets what is shown beside the step while it runs.
func (s *Step) SetDetail(detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detail = shorten(detail, detailWidth)
}

// shorten cuts s to at most width characters: a line that wraps could not be
// overwritten by the next.
func shorten(s string, width int) string {
	runes := []rune(s)
	if len(runes) <= width || width < 1 {
		return s
	}
	return string(runes[:width-1]) + "…"
}

// shown returns what is shown beside the step while it runs.
func (s *Step) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.detail
}

// SetResult adds what came out of the step to its last line.
func (s *Step) SetResult(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result = fmt.Sprintf(format, args...)
}

func (s *Step) suffix() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.result == "" {
		return ""
	}
	return ": " + s.result
}

// Elapsed renders d as a person says it: 0.4s, 12s, 4m12s.
func Elapsed(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
