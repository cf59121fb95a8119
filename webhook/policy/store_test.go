package policy

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
)

// write replaces the content of a file.
func write(t *testing.T, file string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(header+strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// watched is a store that is watched in a bubble of package synctest, so that time passes at once.
type watched struct {
	*Store
	file    string
	log     bytes.Buffer
	changes []string // the mirrors of the rules that changed was called with
}

func watch(t *testing.T, lines ...string) *watched {
	t.Helper()
	w := &watched{file: filepath.Join(t.TempDir(), "policy.yaml")}
	write(t, w.file, lines...)
	tags, err := image.ParseTags("latest")
	if err != nil {
		t.Fatal(err)
	}
	w.Store, err = Open(w.file, Flags{Rules: admission.Rules{Policy: image.Policy{Disallowed: tags}}}, slog.New(slog.NewTextHandler(&w.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go w.Watch(ctx, func(r *admission.Rules) { w.changes = append(w.changes, r.Changes.Mirrors.String()) })
	return w
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestStoreLoadsAChangedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, toOld)
		before := w.Rules()
		pass(time.Minute)
		if w.Rules() != before || len(w.changes) != 0 {
			t.Errorf("rules change without a change of the file: %q", w.changes)
		}
		write(t, w.file, toNew)
		pass(2 * pollInterval)
		if got := w.Rules(); got.Changes.Mirrors.String() != "docker.io=new.example" || got.Version == before.Version {
			t.Errorf("rules %s, version %s", applied(got), got.Version)
		}
		if got := w.Reloads(); got.Succeeded != 1 || got.Failed != 0 || got.Failing {
			t.Errorf("reloads %+v", got)
		}
		if want := `msg="reloaded the policy" version=` + w.Rules().Version; !strings.Contains(w.log.String(), want) {
			t.Errorf("log %s, want %s", w.log.String(), want)
		}
		pass(3 * maxSkew)
		if want := []string{"docker.io=new.example", "docker.io=new.example"}; strings.Join(w.changes, " ") != strings.Join(want, " ") {
			t.Errorf("changes %q, want %q: the new mirrors, then without the former ones", w.changes, want)
		}
	})
}

func TestStoreDelaysOtherMirrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, toOld, only)
		write(t, w.file, toNew, onlyNew)
		pass(2 * pollInterval)
		if got := applied(w.Rules()); got != "docker.io=old.example accepting [docker.io=old.example]" {
			t.Error(got)
		}
		if !strings.Contains(w.log.String(), `msg="images are sent to the old mirrors until all replicas have the new policy" version=`+w.Rules().Version+" until=") {
			t.Errorf("log %s", w.log.String())
		}
		pass(maxSkew)
		if got := applied(w.Rules()); got != "docker.io=new.example accepting [docker.io=old.example]" {
			t.Error(got)
		}
		pass(maxSkew)
		if got := applied(w.Rules()); got != "docker.io=new.example accepting []" {
			t.Error(got)
		}
	})
}

func TestStoreKeepsTheLastValidFile(t *testing.T) {
	const invalid = "unknown: []"
	changes := map[string]func(t *testing.T, file string){
		"empty":        func(t *testing.T, file string) { truncate(t, file, 0) },
		"half written": func(t *testing.T, file string) { truncate(t, file, 70) },
		"10 MB":        func(t *testing.T, file string) { truncate(t, file, 10<<20) },
		"invalid":      func(t *testing.T, file string) { write(t, file, invalid) },
		"removed":      func(t *testing.T, file string) { remove(t, file) },
		"a directory": func(t *testing.T, file string) {
			remove(t, file)
			if err := os.Mkdir(file, 0o700); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := watch(t, toOld, only)
				before := w.Rules()
				change(t, w.file)
				pass(time.Minute)
				if w.Rules() != before {
					t.Error("the rules have changed")
				}
				if got := w.Reloads(); got.Succeeded != 0 || got.Failed != 1 || !got.Failing {
					t.Errorf("reloads %+v", got)
				}
				if lines := strings.Split(strings.TrimSpace(w.log.String()), "\n"); len(lines) != 1 || !strings.Contains(lines[0], `msg="keeping the old policy" version=`+before.Version+" problem=") {
					t.Errorf("log %q, want one line", lines)
				}
				remove(t, w.file)
				write(t, w.file, toOld, only, latest)
				pass(2 * pollInterval)
				if got := w.Reloads(); got.Succeeded != 1 || got.Failing || w.Rules() == before {
					t.Errorf("after it was repaired: reloads %+v", got)
				}
			})
		})
	}
}

func truncate(t *testing.T, file string, size int64) {
	t.Helper()
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.RemoveAll(file); err != nil {
		t.Fatal(err)
	}
}
