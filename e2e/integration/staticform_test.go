package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
	"github.com/image-webhook/image-webhook/tools/probe"
	"github.com/image-webhook/image-webhook/tools/progress"
)

// The files mirror and deny first, so only other signs show what is installed beside them, and that it serves.
func TestFormIsFoundBesideStaticFiles(t *testing.T) {
	t.Parallel()
	s := startStaticServer(t, staticPolicy)
	s.waitForState(t, "judges")
	mustHaveForm(t, s.testServer, probe.Form{Static: true})
	installed, err := s.installWith(localinstall.Options{Hybrid: true})
	if err != nil {
		t.Fatal(err)
	}
	mustHaveForm(t, s.testServer, probe.Form{Hybrid: true, Static: true})
	stop(t, installed)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err = probe.WaitServing(ctx, s.Config, &progress.Step{})
	if err == nil || !strings.Contains(err.Error(), "the webhook does not warn about a Deployment") {
		t.Errorf("without a server, WaitServing returns %v", err)
	}
}

func mustHaveForm(t *testing.T, server *testServer, want probe.Form) {
	t.Helper()
	got, err := probe.FindForm(t.Context(), server.Config)
	if err != nil || got != want {
		t.Errorf("form %+v, %v, want %+v", got, err, want)
	}
}
