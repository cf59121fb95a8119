package main

import (
	"fmt"
	"io"
	"time"
)

// progress shows one line on a terminal, which the next one replaces. On anything else it shows nothing.
type progress struct {
	out   io.Writer // nil: no terminal
	next  time.Time // when a line is shown
	shown bool
}

// progressPause is the time before the first line and between two lines.
const progressPause = 200 * time.Millisecond

func newProgress(stderr io.Writer) *progress {
	p := &progress{next: time.Now().Add(progressPause)}
	if isTerminal(stderr) {
		p.out = stderr
	}
	return p
}

// show replaces the line.
func (p *progress) show(format string, args ...any) {
	if p.out == nil || time.Now().Before(p.next) {
		return
	}
	p.next, p.shown = time.Now().Add(progressPause), true
	fmt.Fprintf(p.out, "\r\x1b[K"+format, args...)
}

// clear removes the line.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.shown = false
	}
}

// before returns a writer that removes the line before it writes to out.
func (p *progress) before(out io.Writer) io.Writer { return clearingWriter{p, out} }

type clearingWriter struct {
	progress *progress
	out      io.Writer
}

func (w clearingWriter) Write(b []byte) (int, error) {
	w.progress.clear()
	return w.out.Write(b)
}
