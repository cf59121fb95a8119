package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRefusalLimitDropsOnlyRefusals(t *testing.T) {
	var logged bytes.Buffer
	handler := newRefusalLimit(slog.NewTextHandler(&logged, nil))
	now := time.Now()
	write := func(message string, n int) {
		t.Helper()
		for range n {
			if err := handler.Handle(t.Context(), slog.NewRecord(now, slog.LevelWarn, message, 0)); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("refused a request", 100)
	write("denied", 100)
	now = now.Add(time.Second)
	write("connection failed", 2)

	lines := strings.Split(strings.TrimSpace(logged.String()), "\n")
	counts := map[string]int{}
	for _, line := range lines {
		_, text, _ := strings.Cut(line, "level=WARN ")
		counts[text]++
	}
	want := map[string]int{
		`msg="refused a request"`:            refusalsPerSecond,
		`msg=denied`:                         100,
		`msg="connection failed" dropped=90`: 1,
		`msg="connection failed"`:            1,
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}
