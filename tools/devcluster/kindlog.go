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

// kindLog passes kind's own progress on to the step that runs. Its warnings
// speak of podman being experimental and of cgroup v1, on every call: they are
// left out, as the tools here take care of both.
type kindLog struct {
	mu  sync.Mutex
	out io.Writer
}

var _ log.Logger = (*kindLog)(nil)

// to sends what follows to out; nil: nowhere.
func (l *kindLog) to(out io.Writer) {
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

// V returns kind's messages for users, and drops its debugging.
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

// explainKind brings to light what a program that kind ran has printed: the
// message of kind's own error leaves it out.
func explainKind(err error) error {
	failed := exec.RunErrorForError(err)
	if failed == nil {
		return err
	}
	return &subprocess.Error{Err: err, Output: string(failed.Output)}
}
