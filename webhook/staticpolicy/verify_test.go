package staticpolicy

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/webhook/generatedfiles"
)

// metricsOf returns metrics of an API server with these hashes of its plugins.
func metricsOf(hashes map[string]string) string {
	text := "# TYPE apiserver_manifest_admission_config_controller_last_config_info gauge\n"
	for name, hash := range hashes {
		text += fmt.Sprintf("apiserver_manifest_admission_config_controller_last_config_info{apiserver_id_hash=\"sha256:1\",hash=%q,plugin=%q} 1\n", hash, name)
	}
	return text + "apiserver_request_total{hash=\"x\",plugin=\"ValidatingAdmissionPolicy\"} 1\n"
}

// serve returns the address of an API server with metrics, which has no EndpointSlice.
func serve(t *testing.T, metrics func() (int, string)) *rest.Config {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.Error(w, "", http.StatusNotFound)
			return
		}
		status, text := metrics()
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

// hashes returns the hashes of the files by plugin.
func hashes(files []generatedfiles.File) map[string]string {
	found := map[string]string{}
	for i, p := range plugins {
		found[p.name] = hash(files[i].Content)
	}
	return found
}

func TestVerifyReturnsWhatAPIServersHaveLoaded(t *testing.T) {
	files := newFiles(t, mirrors)
	const (
		mutating, validating, webhooks = "MutatingAdmissionPolicy", "ValidatingAdmissionPolicy", "MutatingAdmissionWebhook"
		other                          = " has loaded other files: copy the files to the node, or read in the API server's log why it does not load them"
		none                           = " reads no files: add it to the file of --admission-control-config-file, and restart the API server"
	)
	loaded := hashes(files)
	with := func(changed map[string]string) map[string]string {
		found := maps.Clone(loaded)
		maps.Copy(found, changed)
		return found
	}
	for _, tt := range []struct {
		name   string
		status int
		hashes map[string]string
		want   string
	}{
		{"the files", 200, loaded, ""},
		{"an old file", 200, with(map[string]string{validating: "sha256:0"}), validating + other},
		{"the wrong directories", 200, with(map[string]string{mutating: loaded[validating], validating: loaded[mutating]}), mutating + other + "; " + validating + other},
		{"an empty directory", 200, with(map[string]string{validating: ""}), validating + " has loaded an empty directory: copy the files to the node"},
		{"old webhooks", 200, with(map[string]string{webhooks: "sha256:0"}), webhooks + other},
		{"only the plugins with objects", 200, map[string]string{mutating: loaded[mutating], validating: loaded[validating]}, ""},
		{"one plugin only", 200, map[string]string{validating: loaded[validating]}, mutating + none},
		{"no plugin", 200, nil, "reads no files: start it with --admission-control-config-file"},
		{"no right", 403, nil, "cannot read its metrics: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := serve(t, func() (int, string) { return tt.status, metricsOf(tt.hashes) })
			ctx, cancel := context.WithTimeout(t.Context(), verifyInterval/2) // it asks once
			defer cancel()
			states, err := Verify(ctx, config, files)
			if err != nil || len(states) != 1 {
				t.Fatal(states, err)
			}
			if got := states[0].Fault; !strings.HasPrefix(got, tt.want) || got != "" && tt.want == "" {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestVerifyWaits(t *testing.T) {
	files := newFiles(t, mirrors)
	var asked atomic.Int32
	config := serve(t, func() (int, string) {
		if asked.Add(1) == 1 {
			return 503, ""
		}
		return 200, metricsOf(hashes(files))
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	states, err := Verify(ctx, config, files)
	want := []State{{Server: strings.TrimPrefix(config.Host, "http://")}}
	if diff := cmp.Diff(want, states); diff != "" || err != nil || asked.Load() < 2 {
		t.Errorf("%v, asked %d times, states (-want +got):\n%s", err, asked.Load(), diff)
	}
}
