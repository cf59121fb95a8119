package apiserver

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// mortalScript asks for the signal first, and then looks whether it has come too late.
const mortalScript = `#!/bin/sh
exec %s --pdeathsig KILL sh -c '[ "$PPID" -eq %d ] && exec "$0" "$@"' %s "$@"
`

// mortal returns the programs, by name, as scripts that the kernel kills when this
// process ends, however it ends: envtest starts each in a process group of its own,
// where neither Ctrl-C nor the end of a test would reach it.
func (s *Server) mortal(p *kubebuild.Programs) (map[string]string, error) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		return nil, fmt.Errorf("install util-linux: its setpriv sees to it that the API server ends with what started it: %w", err)
	}
	dir, err := s.folder("bin")
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for _, name := range Needs {
		paths[name] = filepath.Join(dir, name)
		if err := writeProgram(paths[name], fmt.Sprintf(mortalScript, subprocess.ShellQuote(setpriv), os.Getpid(), subprocess.ShellQuote(p.Path(name)))); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// writeProgram writes what is run next. A process that is forked meanwhile would
// hold the file open for writing, and running it would fail (go.dev/issue/22315).
func writeProgram(path, content string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, []byte(content), 0o700)
}

// tailSize is how much of a log is shown with a failure.
const tailSize = 4 << 10

// tail returns the last lines of a log; empty if there are none.
func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil || len(content) <= tailSize {
		return string(content)
	}
	content = content[len(content)-tailSize:]
	return string(content[bytes.IndexByte(content, '\n')+1:])
}
