package loadtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cpuTime returns the CPU time that a process has used.
func cpuTime(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	if len(files) == 0 { // the kernel has no CONFIG_SCHED_INFO
		return cpuTicks(pid)
	}
	var total time.Duration
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		onCPU, err := numberAt(content, 0)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", file, err)
		}
		total += time.Duration(onCPU)
	}
	return total, nil
}

// tick is the unit of times in /proc/PID/stat, on every architecture that Go supports.
const tick = 10 * time.Millisecond

// cpuTicks returns the CPU time of a process in steps of a tick.
func cpuTicks(pid int) (time.Duration, error) {
	file := fmt.Sprintf("/proc/%d/stat", pid)
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	const userTime, systemTime = 11, 12                     // after the name of the program
	fields := content[bytes.LastIndexByte(content, ')')+1:] // the name can contain spaces
	user, err := numberAt(fields, userTime)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", file, err)
	}
	system, err := numberAt(fields, systemTime)
	return time.Duration(user+system) * tick, err
}

// numberAt returns the number at an index of the words of a text.
func numberAt(text []byte, index int) (int64, error) {
	words := bytes.Fields(text)
	if index >= len(words) {
		return 0, fmt.Errorf("expected more than %d words: %q", index, text)
	}
	return strconv.ParseInt(string(words[index]), 10, 64)
}

// Memory is the resident memory of a process in bytes.
type Memory struct{ Resident, Peak int64 }

// readMemory returns the memory of a process.
func readMemory(pid int) (m Memory, err error) {
	file := fmt.Sprintf("/proc/%d/status", pid)
	content, err := os.ReadFile(file)
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "VmRSS":
			m.Resident, err = parseKilobytes(value)
		case "VmHWM":
			m.Peak, err = parseKilobytes(value)
		}
		if err != nil {
			return m, fmt.Errorf("read %s: %w", file, err)
		}
	}
	return m, nil
}

// parseKilobytes parses a size such as "1024 kB".
func parseKilobytes(text string) (int64, error) {
	size, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
	return size << 10, err
}
