package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newSite returns a directory with the page of an image and a page of a mounted volume.
func newSite(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{"index.html": "This is app:1.\n", "files/www/index.html": "This is files:1.\n"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestServesPagesUntilSignal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	output, stdout := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"--addr=127.0.0.1:0", "--root=" + newSite(t)}, stdout, &stderr) }()
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr, page, _ := strings.Cut(strings.TrimPrefix(line, "serving on "), ": ")
	if page != "This is app:1.\n" {
		t.Errorf("printed %q", line)
	}
	for path, want := range map[string]string{"/": "This is app:1.\n", "/files/www/": "This is files:1.\n"} {
		response, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || string(page) != want {
			t.Errorf("%s is %q, %v; want %q", path, page, err, want)
		}
	}
	cancel()
	if code := <-ended; code != 0 || stderr.Len() > 0 {
		t.Errorf("exit code %d, stderr %q", code, &stderr)
	}
}

func TestPrintWritesPageAndEnds(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"--print", "--root=" + newSite(t)}, &stdout, &stderr)
	if code != 0 || stdout.String() != "This is app:1.\n" || stderr.Len() > 0 {
		t.Errorf("got %d, %q, %q", code, &stdout, &stderr)
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	root := newSite(t)
	tests := []struct {
		name string
		args []string
		code int
		want string // standard error
	}{
		{
			"port in use", []string{"--root=" + root, "--addr=" + taken.Addr().String()}, 1,
			"sample: listen tcp " + taken.Addr().String() + ": bind: address already in use: set another address with --addr",
		},
		{"missing page", []string{"--root=" + filepath.Join(root, "none")}, 1, "sample: open " + filepath.Join(root, "none", "index.html") + ": no such file or directory"},
		{"unknown flag", []string{"--port=80"}, 2, "sample: flag provided but not defined: -port"},
		{"unexpected argument", []string{"serve"}, 2, `sample: unexpected argument "serve"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), test.args, &stdout, &stderr)
			if got := stderr.String(); code != test.code || got != test.want+"\n" {
				t.Errorf("got %d, %q; want %d, %q", code, got, test.code, test.want)
			}
		})
	}
}
