package main

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// writes records each write.
type writes struct {
	mu  sync.Mutex
	all []string
}

func (w *writes) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(b))
	return len(b), nil
}

func (w *writes) get() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all
}

// pending returns the number of bytes that wait.
func (b *logBuffer) pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.lines)
}

func TestLogBufferWritesLinesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got writes
		b := &logBuffer{out: &got}
		write := func(line string) {
			if n, err := b.Write([]byte(line)); n != len(line) || err != nil {
				t.Errorf("wrote %d bytes of %q: %v", n, line, err)
			}
		}
		write("a\n")
		time.Sleep(maxLogDelay - time.Nanosecond)
		write("b\n")
		if early := got.get(); len(early) > 0 {
			t.Errorf("wrote %q before the delay has passed", early)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		write("c\n")
		time.Sleep(maxLogDelay)
		synctest.Wait()
		write("d\n")
		if err := b.Flush(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * maxLogDelay)
		synctest.Wait()
		if diff := cmp.Diff([]string{"a\nb\n", "c\n", "d\n"}, got.get()); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
	})
}

func TestLogBufferIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got writes
		b := &logBuffer{out: &got}
		line := strings.Repeat("x", maxLogBuffer/4)
		for range 10 {
			if _, err := b.Write([]byte(line)); err != nil {
				t.Error(err)
			}
		}
		if n, waiting := len(got.get()), b.pending(); n != 2 || waiting != 2*len(line) {
			t.Errorf("%d writes, and %d bytes wait", n, waiting)
		}
		time.Sleep(maxLogDelay)
		synctest.Wait()
		if total := len(strings.Join(got.get(), "")); total != 10*len(line) {
			t.Errorf("wrote %d bytes", total)
		}
	})
}

// slowWriter blocks until it is closed.
type slowWriter chan struct{}

func (w slowWriter) Write(b []byte) (int, error) {
	<-w
	return len(b), nil
}

func TestLogBufferDoesNotWaitForASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := make(slowWriter)
		b := &logBuffer{out: out}
		write := func() {
			if _, err := b.Write([]byte("a\n")); err != nil {
				t.Error(err)
			}
		}
		write()
		time.Sleep(maxLogDelay)
		synctest.Wait()
		write() // while the first line is being written
		close(out)
		time.Sleep(maxLogDelay)
		synctest.Wait()
		if waiting := b.pending(); waiting > 0 {
			t.Errorf("%d bytes still wait", waiting)
		}
	})
}
