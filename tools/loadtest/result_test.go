package loadtest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSummaryIsTheMedianOfEachFigure(t *testing.T) {
	f := Figures{Rounds: []Round{
		{Throughput: 1, CPU: 30, ClientCPU: 6, Latency: Latency{20, 100}, Paced: Latency{2, 3}, Unsent: 9},
		{Throughput: 3, CPU: 10, ClientCPU: 5, Latency: Latency{30, 200}, Paced: Latency{3, 1}, Unsent: 0},
		{Throughput: 2, CPU: 20, ClientCPU: 7, Latency: Latency{10, 300}, Paced: Latency{1, 2}, Unsent: 0},
	}}
	want := Round{Throughput: 2, CPU: 20, ClientCPU: 6, Latency: Latency{20, 200}, Paced: Latency{2, 2}}
	if diff := cmp.Diff(want, f.summary()); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func TestNewRoundCountsPerRequest(t *testing.T) {
	unlimited := sample{latencies: []time.Duration{4, 1, 3, 2}, elapsed: 2 * time.Second}
	paced := sample{latencies: []time.Duration{9, 8}, unsent: 5}
	want := Round{Throughput: 2, CPU: 250, ClientCPU: 50, Latency: Latency{2, 4}, Paced: Latency{8, 9}, Unsent: 5}
	if diff := cmp.Diff(want, newRound(unlimited, cpuTimes{server: 1000, client: 200}, paced)); diff != "" {
		t.Errorf("round (-want +got):\n%s", diff)
	}
}

func TestEveryContenderIsFirstOnce(t *testing.T) {
	var first string
	for round := range 4 {
		got := rotate([]string{"a", "b", "c"}, round)
		first += got[0]
		if len(got) != 3 || got[0] == got[1] || got[1] == got[2] || got[0] == got[2] {
			t.Errorf("round %d: %v", round, got)
		}
	}
	if first != "abca" {
		t.Errorf("first of each round: %s, want abca", first)
	}
}

func TestFiguresHaveUnits(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{formatDuration(0), "0.00 µs"},
		{formatDuration(9_990), "9.99 µs"},
		{formatDuration(9_996), "10.0 µs"},
		{formatDuration(123_456), "123 µs"},
		{formatDuration(12_345_678), "12.3 ms"},
		{formatDuration(90 * time.Second), "90.0 s"},
		{formatSize(0), "0 B"},
		{formatSize(999), "999 B"},
		{formatSize(4_809), "4.81 KB"},
		{formatSize(15_728_640), "15.7 MB"},
		{formatCount(999.6), "1,000"},
		{formatCount(1_234_567), "1,234,567"},
		{formatTick(0), "0"},
		{formatTick(0.5), "0.5"},
		{formatTick(20), "20"},
		{formatTick(20_000), "20,000"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}
