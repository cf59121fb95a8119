// Package progress shows users the steps of a long task. It does not know what the steps do.
//
// Each step ends with one line and its duration:
//
//	✓ kube-apiserver (4m12s)
//	✗ kubelet (3s)
//
// While a step runs, a terminal shows a spinner with the last line of the step's output. A
// CI log or a file gets a line every few seconds instead. On a terminal the marks are in
// color, unless NO_COLOR is set (https://no-color.org). A dumb terminal is treated like a
// file.
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
	// logInterval is the time between two lines of a running step in a log.
	logInterval = 10 * time.Second
	// frameInterval is the time between two frames of the spinner.
	frameInterval = 150 * time.Millisecond
	// detailWidth is the maximum length of a step's detail.
	detailWidth = 60
	// wideRunes is the space for symbols of two columns in kind's messages.
	wideRunes = 4
)

// green, red and plain are escape sequences that set a terminal's color.
const (
	green = "\033[32m"
	red   = "\033[31m"
	plain = "\033[0m"
)

var frames = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// Reporter writes the progress of steps, one step at a time.
type Reporter struct {
	w        io.Writer
	columns  func() int // width of the terminal; nil: w is not a terminal
	color    bool
	interval time.Duration
}

// New returns a Reporter that writes to w. If w is a terminal, it shows a spinner and
// colors.
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
	return &Reporter{w: w, columns: columns, color: Colored(w), interval: frameInterval}
}

// Colored reports whether output to w may have colors.
func Colored(w io.Writer) bool {
	_, ok := terminal(w)
	return ok && os.Getenv("NO_COLOR") == ""
}

// terminal returns w as a file, and whether it is a terminal that supports escape sequences.
func terminal(w io.Writer) (f *os.File, ok bool) {
	f, ok = w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// Note prints a line outside of any step.
func (r *Reporter) Note(format string, args ...any) {
	fmt.Fprintf(r.w, format+"\n", args...)
}

// Step runs run, shows it under the name, and returns its error unchanged. While run runs, the
// last line that it writes to the Step is shown as the detail.
func (r *Reporter) Step(name string, run func(*Step) error) error {
	step := &Step{}
	started := time.Now()
	stop := r.showRunning(name, step, started)
	err := run(step)
	stop()
	r.printEnd(name, step, time.Since(started), err)
	return err
}

// Background runs run concurrently with the steps that follow. wait waits for its end and shows
// the step with its full duration.
func (r *Reporter) Background(name string, run func(*Step) error) (wait func() error) {
	step := &Step{}
	started := time.Now()
	var err error
	var duration time.Duration
	var running sync.WaitGroup
	running.Go(func() {
		err = run(step)
		duration = time.Since(started)
	})
	return func() error {
		stop := r.showRunning(name, step, started)
		running.Wait()
		stop()
		r.printEnd(name, step, duration, err)
		return err
	}
}

// printEnd prints the last line of a step.
func (r *Reporter) printEnd(name string, step *Step, duration time.Duration, err error) {
	r.Note("%s %s%s (%s)", r.mark(err), name, step.suffix(), Elapsed(duration))
}

func (r *Reporter) mark(err error) string {
	mark, paint := "✓", green
	if err != nil {
		mark, paint = "✗", red
	}
	if !r.color {
		return mark
	}
	return paint + mark + plain
}

// showRunning shows that the step is running until the returned function is called.
func (r *Reporter) showRunning(name string, step *Step, started time.Time) (stop func()) {
	done := make(chan struct{})
	var finished sync.WaitGroup
	finished.Go(func() {
		ticker := time.NewTicker(r.interval)
		defer ticker.Stop()
		for frame := 0; ; frame++ {
			select {
			case <-done:
				r.clearLine()
				return
			case <-ticker.C:
				r.showFrame(frame, name, step.currentDetail(), time.Since(started))
			}
		}
	})
	return func() {
		close(done)
		finished.Wait()
	}
}

func (r *Reporter) showFrame(frame int, name, detail string, elapsed time.Duration) {
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

func (r *Reporter) clearLine() {
	if r.columns != nil {
		fmt.Fprint(r.w, "\r\033[K")
	}
}

// Step is a running step, and an io.Writer for the output of its programs. Several goroutines
// may use it.
type Step struct {
	mu     sync.Mutex
	detail string
	result string
}

// Write sets the last non-blank line as the detail.
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

// SetDetail sets the text after the name of a running step.
func (s *Step) SetDetail(detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detail = shorten(detail, detailWidth)
}

// shorten returns at most width characters of s. A line that wraps cannot be overwritten.
func shorten(s string, width int) string {
	runes := []rune(s)
	if len(runes) <= width || width < 1 {
		return s
	}
	return string(runes[:width-1]) + "…"
}

func (s *Step) currentDetail() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.detail
}

// SetResult adds a result to the last line of the step.
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

// Elapsed formats a duration for users: 0.4s, 12s, 4m12s.
func Elapsed(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
