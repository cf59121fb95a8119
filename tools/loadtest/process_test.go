package loadtest

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestCPUTimeGrows(t *testing.T) {
	read := func() (total int64) {
		t.Helper()
		now, err := cpuTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		return int64(now)
	}
	before := read()
	for read() <= before { // ends when this loop has used CPU time
		runtime.Gosched()
	}
	if ticks, err := cpuTicks(os.Getpid()); err != nil || ticks < 0 || ticks%tick != 0 {
		t.Errorf("CPU time %s, %v", ticks, err)
	}
}

func TestProcessFilesOfAnotherFormAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":      `expected more than 1 words: ""`,
		"1":     `expected more than 1 words: "1"`,
		"1 x 3": `strconv.ParseInt: parsing "x": invalid syntax`,
	} {
		if _, err := numberAt([]byte(text), 1); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	if _, err := parseKilobytes(" 12 MB"); err == nil {
		t.Error("12 MB is parsed as kilobytes")
	}
}

func TestMemoryIsReadInBytes(t *testing.T) {
	m, err := readMemory(os.Getpid())
	if err != nil || m.Resident < 1<<20 || m.Peak < m.Resident || m.Resident%1024 != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if size, err := parseKilobytes("\t    1024 kB\n"); err != nil || size != 1<<20 {
		t.Errorf("1024 kB = %d, %v", size, err)
	}
}

func TestServersAndClientHaveDifferentCPUs(t *testing.T) {
	p, err := newPlacement()
	if err != nil {
		t.Fatal(err)
	}
	if p.pinned != (p.all.Count() > 1) || p.server.Count() != 1 && p.pinned || p.client.Count() == 0 {
		t.Errorf("placement %+v", p)
	}
	for _, cpu := range listCPUs(p.all) {
		if p.pinned && p.server.IsSet(cpu) == p.client.IsSet(cpu) {
			t.Errorf("CPU %d of %v: server %t, client %t", cpu, listCPUs(p.all), p.server.IsSet(cpu), p.client.IsSet(cpu))
		}
	}
}

func TestServerStartsOnItsCPU(t *testing.T) {
	p, err := newPlacement()
	if err != nil {
		t.Fatal(err)
	}
	var status []byte
	err = p.startServer(func() (err error) {
		status, err = exec.CommandContext(t.Context(), "cat", "/proc/self/status").Output()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "\nCpus_allowed_list:\t")
	allowed, _, _ := strings.Cut(after, "\n")
	if want := strconv.Itoa(listCPUs(p.server)[0]); p.pinned && allowed != want {
		t.Errorf("the process runs on CPUs %q, want %s", allowed, want)
	}
	if got := threadCPUs(t); !cmp.Equal(got, listCPUs(p.all)) {
		t.Errorf("this process then runs on CPUs %v, want %v", got, listCPUs(p.all))
	}
}

// threadCPUs returns the CPUs that any thread of this process may use.
func threadCPUs(t *testing.T) []int {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var all unix.CPUSet
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(id, &set); err != nil {
			continue // it has ended
		}
		for _, cpu := range listCPUs(set) {
			all.Set(cpu)
		}
	}
	return listCPUs(all)
}

func TestClientKeepsItsCPUsUntilReleased(t *testing.T) {
	p, err := newPlacement()
	if err != nil {
		t.Fatal(err)
	}
	processors := runtime.GOMAXPROCS(0)
	release, err := p.pinClient()
	if err != nil {
		t.Fatal(err)
	}
	if got := threadCPUs(t); !cmp.Equal(got, listCPUs(p.client)) || runtime.GOMAXPROCS(0) != p.client.Count() {
		t.Errorf("CPUs %v, GOMAXPROCS %d, want %v", got, runtime.GOMAXPROCS(0), listCPUs(p.client))
	}
	release()
	if got := threadCPUs(t); !cmp.Equal(got, listCPUs(p.all)) || runtime.GOMAXPROCS(0) != processors {
		t.Errorf("after the release: CPUs %v, GOMAXPROCS %d, want %v, %d", got, runtime.GOMAXPROCS(0), listCPUs(p.all), processors)
	}
}
