package main

import (
	"io"
	"sync"
	"time"
)

const (
	// maxLogDelay is how long a log line waits for more lines. It is short enough for a user
	// who follows the log.
	maxLogDelay = 10 * time.Millisecond
	// maxLogBuffer is the size in bytes of the lines that wait. A review whose line does not
	// fit waits too.
	maxLogBuffer = 256 << 10
)

// logBuffer writes the log lines of a moment together, while reviews continue. Each write to a
// container's log wakes up the container runtime, which takes longer than a review. A killed
// process loses the lines of the last maxLogDelay; a panic of the Go runtime is not buffered.
type logBuffer struct {
	out io.Writer

	writing sync.Mutex // locked before mu
	written []byte     // the lines that are being written

	mu      sync.Mutex
	lines   []byte // the lines that wait
	waiting bool   // whether a Flush is scheduled
}

// Write adds a line.
func (b *logBuffer) Write(line []byte) (int, error) {
	for !b.add(line) {
		if err := b.Flush(); err != nil {
			return 0, err
		}
	}
	return len(line), nil
}

// add adds a line and schedules a Flush. It returns false if the line does not fit.
func (b *logBuffer) add(line []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines) > 0 && len(b.lines)+len(line) > maxLogBuffer {
		return false
	}
	b.lines = append(b.lines, line...)
	if !b.waiting {
		b.waiting = true
		time.AfterFunc(maxLogDelay, func() { _ = b.Flush() }) // nobody to tell
	}
	return true
}

// Flush writes the lines that wait.
func (b *logBuffer) Flush() error {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	b.lines, b.written, b.waiting = b.written[:0], b.lines, false
	b.mu.Unlock()
	if len(b.written) == 0 {
		return nil
	}
	_, err := b.out.Write(b.written)
	return err
}
