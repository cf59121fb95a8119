package progress

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/checks/terminaltest"
)

func TestStepEndsWithOneLine(t *testing.T) {
	failure := errors.New("no space left")
	tests := []struct {
		name string
		do   func(*Step) error
		err  error  // returned by Step
		line string // output, with T for the duration
	}{
		{
			name: "success",
			do:   func(*Step) error { return nil },
			line: "✓ build (T)\n",
		},
		{
			name: "failure",
			do:   func(*Step) error { return failure },
			err:  failure,
			line: "✗ build (T)\n",
		},
		{
			name: "result",
			do:   func(s *Step) error { s.SetResult("%d MB", 12); return nil },
			line: "✓ build: 12 MB (T)\n",
		},
	}
	durations := regexp.MustCompile(`\([0-9.]+s\)`)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := New(&out).Step("build", test.do); err != test.err {
				t.Errorf("Step returned %v, want %v", err, test.err)
			}
			if diff := cmp.Diff(test.line, durations.ReplaceAllString(out.String(), "(T)")); diff != "" {
				t.Errorf("output differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMarksAreColoredOnTerminals(t *testing.T) {
	const green, red, plain = "\r\033[K\033[32m✓\033[0m ", "\r\033[K\033[31m✗\033[0m ", "\r\033[K"
	tests := []struct {
		name    string
		term    string // TERM
		noColor string // NO_COLOR
		fails   bool
		want    string // printed before the name
	}{
		{"done", "xterm", "", false, green},
		{"failed", "xterm", "", true, red},
		{"no color", "xterm", "1", false, plain + "✓ "},
		{"no color, any value", "xterm", "0", true, plain + "✗ "},
		{"dumb", "dumb", "", true, "✗ "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("TERM", test.term)
			t.Setenv("NO_COLOR", test.noColor)
			screen := terminaltest.Capture(t, func(terminal *os.File) {
				_ = New(terminal).Step("build", func(*Step) error {
					if test.fails {
						return errors.New("no space left")
					}
					return nil
				})
			})
			if want := test.want + "build ("; !strings.Contains(screen, want) {
				t.Errorf("the terminal shows %q, want %q", screen, want)
			}
			if test.term == "dumb" && strings.Contains(screen, "\033") {
				t.Errorf("the terminal shows %q, want no escape sequence", screen)
			}
		})
	}
}

func TestBackgroundStepIsShownOnlyOnWait(t *testing.T) {
	failure := errors.New("no space left")
	var out bytes.Buffer
	report := New(&out)
	first := make(chan struct{})
	wait := report.Background("base", func(s *Step) error {
		<-first
		s.SetResult("12 MB")
		return failure
	})
	if err := report.Step("build", func(*Step) error { close(first); return nil }); err != nil {
		t.Error(err)
	}
	if err := wait(); err != failure {
		t.Errorf("got %v, want %v", err, failure)
	}
	got := regexp.MustCompile(`\([0-9.]+s\)`).ReplaceAllString(out.String(), "(T)")
	if diff := cmp.Diff("✓ build (T)\n✗ base: 12 MB (T)\n", got); diff != "" {
		t.Errorf("output differs (-want +got):\n%s", diff)
	}
}

func TestLogShowsRunningStep(t *testing.T) {
	lines := make(chan string, 100)
	report := &Reporter{w: lineWriter(lines), interval: time.Millisecond}
	err := report.Step("build", func(s *Step) error {
		fmt.Fprintln(s, "compiling net/http")
		if line := <-lines; !strings.Contains(line, "build") || !strings.Contains(line, "so far") {
			return fmt.Errorf("unexpected line %q", line)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSpinnerStaysOnOneRow(t *testing.T) {
	for _, columns := range []int{20, 80, 200} {
		var out bytes.Buffer
		report := &Reporter{w: &out, columns: func() int { return columns }}
		report.showFrame(3, strings.Repeat("long name ", 8), strings.Repeat("detail ", 8), time.Minute)
		if row := strings.TrimPrefix(out.String(), "\r\033[K"); len([]rune(row)) >= columns {
			t.Errorf("%d characters in %d columns: %q", len([]rune(row)), columns, row)
		}
	}
}

type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	select {
	case w <- string(p):
	default: // the test no longer reads
	}
	return len(p), nil
}

func TestDetailIsLastLine(t *testing.T) {
	long := strings.Repeat("ä", detailWidth+1)
	tests := []struct {
		name    string
		written []string // one write each
		detail  string
	}{
		{"nothing", nil, ""},
		{"last line", []string{"one\ntwo\n"}, "two"},
		{"blank lines", []string{"one\n\n  \n"}, "one"},
		{"progress bar with carriage returns", []string{"10%\r20%\r"}, "20%"},
		{"last write", []string{"one\n", "two\n"}, "two"},
		{"long line cut between characters", []string{long}, strings.Repeat("ä", detailWidth-1) + "…"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var step Step
			for _, text := range test.written {
				fmt.Fprint(&step, text)
			}
			if diff := cmp.Diff(test.detail, step.currentDetail()); diff != "" {
				t.Errorf("detail differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestElapsedRoundsForUsers(t *testing.T) {
	for d, want := range map[time.Duration]string{
		40 * time.Millisecond:          "0.0s",
		1240 * time.Millisecond:        "1.2s",
		12*time.Second + 400_000_000:   "12s",
		4*time.Minute + 12*time.Second: "4m12s",
	} {
		if got := Elapsed(d); got != want {
			t.Errorf("Elapsed(%s) = %q, want %q", d, got, want)
		}
	}
}
