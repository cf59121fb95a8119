package main

import (
	"bufio"
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var badRequestCount = flag.Int("bad-requests", 3000, "the `number` of requests of TestBadRequestsLeaveNothingBehind")

const (
	// badClients is how many clients send bad requests at the same time.
	badClients = 4
	// maxHeapGrowth is the maximum difference in bytes of the memory in use.
	maxHeapGrowth = 2 << 20
)

func TestBadRequestsLeaveNothingBehind(t *testing.T) {
	s := startServe(t)
	s.waitUntilServing(t)
	lines := countLines(s.log)
	config := clientConfig(t, s.pair)
	requests := answeredRequests(t, s.addr, config)
	before, start := usedResources(t), time.Now()
	repeatRequests(t, newClients(t, s.addr, config), requests)
	t.Logf("sent %d bad requests of %d kinds in %.1f s; the log has %d lines", *badRequestCount, len(requests), time.Since(start).Seconds(), lines.Load())
	compareResources(t, before, usedResources(t))
	s.stop()
	if code := <-s.code; code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}

// compareResources logs what the process uses before and after the requests. It must use the
// same.
func compareResources(t *testing.T, before, after resources) {
	t.Helper()
	t.Logf("before: %s", before)
	t.Logf("after:  %s", after)
	if after.goroutines != before.goroutines {
		t.Errorf("got %d goroutines, want %d as before", after.goroutines, before.goroutines)
	}
	if growth := int64(after.heap) - int64(before.heap); growth > maxHeapGrowth {
		t.Errorf("the heap has grown by %d KiB, want at most %d KiB", growth>>10, maxHeapGrowth>>10)
	}
}

// countLines counts the lines of a log in the background.
func countLines(log *bufio.Scanner) *atomic.Int64 {
	var lines atomic.Int64
	go func() {
		for log.Scan() {
			lines.Add(1)
		}
	}()
	return &lines
}

// answeredRequest is a bad request and what its client must get.
type answeredRequest struct {
	badRequest
	want outcome
}

// answeredRequests sends each request that can be repeated fast once, and returns it with what
// its client got.
func answeredRequests(t *testing.T, addr string, config *tls.Config) (requests []answeredRequest) {
	t.Helper()
	for _, group := range badRequestGroups() {
		for _, r := range group.requests {
			if !r.large {
				requests = append(requests, answeredRequest{r, outcomeOf(t, addr, config, r)})
			}
		}
	}
	return requests
}

// newClients returns badClients clients.
func newClients(t *testing.T, addr string, config *tls.Config) (clients []*tlsClient) {
	t.Helper()
	for range badClients {
		clients = append(clients, newTLSClient(t, addr, config))
	}
	return clients
}

// repeatRequests sends badRequestCount requests. Each client keeps its connection until the
// server closes it.
func repeatRequests(t *testing.T, clients []*tlsClient, requests []answeredRequest) {
	t.Helper()
	var next atomic.Int64
	var sending sync.WaitGroup
	for _, client := range clients {
		sending.Go(func() {
			defer client.close()
			for i := next.Add(1); i <= int64(*badRequestCount); i = next.Add(1) {
				if !client.repeat(t, requests[i%int64(len(requests))]) {
					return
				}
			}
		})
	}
	sending.Wait()
}

// repeat sends a request again. It reports whether the client got the same answer.
func (c *tlsClient) repeat(t *testing.T, r answeredRequest) bool {
	got := c.request(r.badRequest)
	if got != r.want.answer {
		t.Errorf("%s: got answer %q, want %q as before", r.name, got, r.want.answer)
	}
	if !r.want.open && r.attempt == nil {
		c.close()
	}
	return got == r.want.answer
}

// resources is what this process uses, which contains the server and its clients.
type resources struct {
	goroutines int
	heap       uint64 // bytes in use
	resident   string // memory, with its unit
}

func (r resources) String() string {
	return fmt.Sprintf("%d goroutines, heap %d KiB, resident memory %s", r.goroutines, r.heap>>10, r.resident)
}

// usedResources returns what this process uses when the server has closed all connections.
func usedResources(t *testing.T) resources {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for isBusy() {
		<-poll.C
	}
	var memory runtime.MemStats
	runtime.GC()
	runtime.GC() // empties the pools
	runtime.ReadMemStats(&memory)
	return resources{runtime.NumGoroutine(), memory.HeapAlloc, residentMemory(t)}
}

// isBusy reports whether a connection is still served or a log line is being written.
func isBusy() bool {
	stacks := make([]byte, 1<<20)
	text := string(stacks[:runtime.Stack(stacks, true)])
	return strings.Contains(text, "net/http.(*conn).serve") || strings.Contains(text, ".(*logBuffer).Flush")
}

// residentMemory returns the resident memory of this process.
func residentMemory(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}
