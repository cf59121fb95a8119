package loadtest

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// placement is the CPUs of the servers and of the client.
type placement struct {
	all, server, client unix.CPUSet
	pinned              bool // false: this machine has only one CPU
}

// newPlacement gives the servers the last CPU that this process may use, and the client the others.
func newPlacement() (p placement, err error) {
	if err := unix.SchedGetaffinity(0, &p.all); err != nil {
		return p, fmt.Errorf("read the CPUs of this process: %w", err)
	}
	p.client, p.pinned = p.all, p.all.Count() > 1
	if !p.pinned {
		p.server = p.all
		return p, nil
	}
	last := listCPUs(p.all)[p.all.Count()-1]
	p.server.Set(last)
	p.client.Clear(last)
	return p, nil
}

// listCPUs returns the numbers of the CPUs of a set.
func listCPUs(set unix.CPUSet) (cpus []int) {
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// pinClient keeps all threads of this process on the CPUs of the client, until release is called.
func (p placement) pinClient() (release func(), err error) {
	processors := runtime.GOMAXPROCS(p.client.Count())
	release = func() {
		_ = setThreads(p.all) // a later phase is then slower, not wrong
		runtime.GOMAXPROCS(processors)
	}
	return release, setThreads(p.client)
}

// setThreads sets the CPUs of all threads of this process. It runs twice, because a thread that
// has the old CPUs may have started another.
func setThreads(cpus unix.CPUSet) error {
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err == nil {
				err = unix.SchedSetaffinity(id, &cpus)
			}
			if err != nil && err != unix.ESRCH { // the thread may have ended
				return fmt.Errorf("choose the CPUs of this process: %w", err)
			}
		}
	}
	return nil
}

// startServer calls start on a thread whose child processes run on the CPU of the servers.
func (p placement) startServer(start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, &p.server); err != nil {
		return fmt.Errorf("choose the CPU of a server: %w", err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }() // cannot fail: the CPUs were valid before
	return start()
}
