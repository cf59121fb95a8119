package apiserver

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/image-webhook/image-webhook/tools/kubernetes"
	"github.com/image-webhook/image-webhook/tools/shellenv"
)

// mortal returns the programs, by name, as scripts that the kernel kills when this
// process ends, however it ends: envtest starts each in a process group of its own,
// where neither Ctrl-C nor the end of a test would reach it.
func (s *Server) mortal(p *kubernetes.Programs) (map[string]string, error) {
	with := ""
	if setpriv, err := exec.LookPath("setpriv"); err == nil { // of util-linux: it is hardly ever missing
		with = shellenv.Quote(setpriv) + " --pdeathsig KILL "
	}
	dir, err := s.folder("bin")
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for _, name := range Needs {
		paths[name] = filepath.Join(dir, name)
		if err := writeProgram(paths[name], fmt.Sprintf("#!/bin/sh\nexec %s%s \"$@\"\n", with, shellenv.Quote(p.Path(name)))); err != nil {
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
