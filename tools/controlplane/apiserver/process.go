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

// wrapperScript asks the kernel to kill the program when its parent ends, and then checks that the
// parent has not already ended.
const wrapperScript = `#!/bin/sh
exec %s --pdeathsig KILL sh -c '[ "$PPID" -eq %d ] && exec "$0" "$@"' %s "$@"
`

// wrapPrograms writes a script for each program, and returns the scripts by program name. With
// the scripts, the programs end when this process ends. envtest starts each in its own process
// group, where Ctrl-C does not reach it.
func (s *Server) wrapPrograms(p *kubebuild.Programs, names []string) (map[string]string, error) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		return nil, fmt.Errorf("find setpriv, which ends the API server together with this process: %w: install util-linux", err)
	}
	dir, err := s.mkdir("bin")
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for _, name := range names {
		paths[name] = filepath.Join(dir, name)
		if err := writeProgram(paths[name], fmt.Sprintf(wrapperScript, subprocess.ShellQuote(setpriv), os.Getpid(), subprocess.ShellQuote(p.Path(name)))); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// writeProgram writes an executable file. It prevents forks meanwhile: a forked process would keep
// the file open for writing, and the file could not be executed (go.dev/issue/22315).
func writeProgram(path, content string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, []byte(content), 0o700)
}

// tailSize is the maximum size of a log in an error.
const tailSize = 4 << 10

// tail returns the last lines of a log, or an empty string if it cannot be read.
func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil || len(content) <= tailSize {
		return string(content)
	}
	content = content[len(content)-tailSize:]
	return string(content[bytes.IndexByte(content, '\n')+1:])
}
