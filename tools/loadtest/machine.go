package loadtest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine describes where a run was measured.
type Machine struct {
	CPU     string // the model
	CPUs    int
	Kernel  string
	Go      string
	Date    string
	Servers string // the CPU of the servers; empty: not pinned
}

func readMachine(p placement) Machine {
	m := Machine{
		CPU: cpuModel(), CPUs: p.all.Count(), Kernel: kernelRelease(), Go: strings.TrimPrefix(runtime.Version(), "go"),
		Date: time.Now().UTC().Format(time.DateOnly),
	}
	if p.pinned {
		m.Servers = fmt.Sprint(listCPUs(p.server)[0])
	}
	return m
}

// cpuModel returns the model of the first CPU, or the architecture if the kernel does not name it.
func cpuModel() string {
	content, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(content)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return runtime.GOARCH
}

// kernelRelease returns the release of the kernel, such as 6.12.0.
func kernelRelease() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}

// clientCPUs returns the number of CPUs of the client.
func (m Machine) clientCPUs() int {
	if m.Servers == "" {
		return m.CPUs
	}
	return m.CPUs - 1
}

// String returns one line for a report.
func (m Machine) String() string {
	placed := "servers and client share its CPU"
	if m.Servers != "" {
		placed = "servers on CPU " + m.Servers + ", client on the others"
	}
	return fmt.Sprintf("%s, %s (%s), Linux %s, Go %s, %s", m.CPU, plural(m.CPUs, "CPU"), placed, m.Kernel, m.Go, m.Date)
}
