package devcluster

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"sigs.k8s.io/kind/pkg/exec"
	"sigs.k8s.io/kind/pkg/log"

	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// kindLog writes kind's progress to the running step. It drops kind's warnings about podman
// and cgroup v1, because this project handles both.
type kindLog struct {
	mu  sync.Mutex
	out io.Writer
}

var _ log.Logger = (*kindLog)(nil)

// setOutput sends later messages to out, or drops them if out is nil.
func (l *kindLog) setOutput(out io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = out
}

func (l *kindLog) write(message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out != nil {
		fmt.Fprintln(l.out, strings.TrimLeft(message, " •✓✗"))
	}
}

func (l *kindLog) Warn(string)          {}
func (l *kindLog) Warnf(string, ...any) {}
func (l *kindLog) Error(message string) { l.write(message) }
func (l *kindLog) Errorf(format string, args ...any) {
	l.write(fmt.Sprintf(format, args...))
}

// V returns a logger for kind's messages to users. It drops debug messages.
func (l *kindLog) V(level log.Level) log.InfoLogger {
	if level > 0 {
		return log.NoopInfoLogger{}
	}
	return kindInfo{l}
}

type kindInfo struct{ log *kindLog }

func (i kindInfo) Info(message string)              { i.log.write(message) }
func (i kindInfo) Infof(format string, args ...any) { i.log.write(fmt.Sprintf(format, args...)) }
func (i kindInfo) Enabled() bool                    { return true }

// explainKind adds the output of the failed program to an error of kind.
func explainKind(err error) error {
	failed := exec.RunErrorForError(err)
	if failed == nil {
		return err
	}
	return &subprocess.Error{Err: err, Output: string(failed.Output)}
}
