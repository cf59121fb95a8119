package loadtest

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pace returns a channel with the times at which n requests are due, one in each interval after
// start. The channel has a time when it has come. It uses a timer of the kernel, because Go's timers
// are up to a millisecond late while a process waits for the network.
func pace(start time.Time, interval time.Duration, n int) (<-chan time.Time, error) {
	timer, err := newTimer(interval)
	if err != nil {
		return nil, err
	}
	due := make(chan time.Time, n) // never blocks the timer
	go func() {
		defer timer.Close()
		defer close(due)
		for sent := 0; sent < n; {
			expired, err := waitForTimer(timer)
			if err != nil {
				return // the requests that are missing count as unsent
			}
			for range min(expired, n-sent) {
				sent++
				due <- start.Add(time.Duration(sent) * interval)
			}
		}
	}()
	return due, nil
}

// newTimer returns a timer that expires at the end of each interval.
func newTimer(interval time.Duration) (*os.File, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create a timer: %w", err)
	}
	every := unix.NsecToTimespec(interval.Nanoseconds())
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: every, Interval: every}, nil); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("start a timer: %w", err)
	}
	return os.NewFile(uintptr(fd), "timer"), nil
}

// waitForTimer waits until the timer expires, and returns how often it has.
func waitForTimer(timer *os.File) (expired int, err error) {
	var count [8]byte
	_, err = timer.Read(count[:])
	return int(binary.NativeEndian.Uint64(count[:])), err
}
