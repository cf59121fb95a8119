package integration

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
)

// policyDenial begins the message of a denial in the hybrid form.
const policyDenial = `ValidatingAdmissionPolicy 'image-webhook' with binding 'image-webhook' denied request: `

// judged is what a user gets for a new pod.
type judged struct {
	Denied   bool     // by the policy
	Image    string   // that is stored; empty: the pod is denied
	Warnings []string // about the tag latest
}

// judge creates a pod as a dry run. It fails the test if anything except the policy refuses the pod.
func judge(t *testing.T, server *testServer, namespace, image string) (got judged) {
	t.Helper()
	ctx, texts := collectWarnings(t.Context())
	pod, err := server.client.CoreV1().Pods(namespace).Create(ctx, newPod(namespace, "judged", image), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	for _, text := range *texts {
		if strings.Contains(text, "latest") {
			got.Warnings = append(got.Warnings, text)
		}
	}
	switch {
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), policyDenial):
		got.Denied = true
	case err != nil:
		t.Errorf("%s in %s: %v", image, namespace, err)
	default:
		got.Image = pod.Spec.Containers[0].Image
	}
	return got
}

func TestHybridFormDeniesWithoutAServer(t *testing.T) {
	t.Parallel()
	server, err := startServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, server) })
	installed, err := server.installWith(localinstall.Options{Hybrid: true})
	if err != nil {
		t.Fatal(err)
	}
	namespaces := map[string]string{"kube-system": "kube-system"}
	for _, m := range modes {
		namespaces[m.name] = server.namespace(t, m.labels())
	}
	const mirrored, latest = "docker.mirror.example/library/nginx:1.25", "docker.mirror.example/library/nginx:latest"
	warning := []string{"use `latest` tag is not allowed: container \"it\" (spec.containers[0].image) has image \"nginx:latest\""}
	check := func(want map[string]map[string]judged) {
		t.Helper()
		for image, byMode := range want {
			for mode, want := range byMode {
				if diff := cmp.Diff(want, judge(t, server, namespaces[mode], image)); diff != "" {
					t.Errorf("%s in mode %s (-want +got):\n%s", image, mode, diff)
				}
			}
		}
	}
	denied, onMirror := judged{Denied: true, Warnings: warning}, judged{Image: mirrored}
	check(map[string]map[string]judged{
		"nginx:latest": {"none": denied, "deny": denied, "of": denied, "warn": {Image: latest, Warnings: warning}, "off": {Image: "nginx:latest"}, "kube-system": {Image: "nginx:latest"}},
		"nginx:1.25":   {"none": onMirror, "deny": onMirror, "of": onMirror, "warn": onMirror, "off": {Image: "nginx:1.25"}, "kube-system": {Image: "nginx:1.25"}},
	})
	if err := installed.Stop(); err != nil {
		t.Fatal(err)
	}
	silent, asWritten := judged{Denied: true}, judged{Image: "nginx:1.25"}
	check(map[string]map[string]judged{
		"nginx:latest": {"none": silent, "deny": silent, "of": silent, "warn": {Image: "nginx:latest"}, "off": {Image: "nginx:latest"}, "kube-system": {Image: "nginx:latest"}},
		"nginx:1.25":   {"none": asWritten, "deny": asWritten, "of": asWritten, "warn": asWritten, "off": asWritten, "kube-system": asWritten},
	})
}

// Each switch applies the manifests of the other form, and deletes what only the earlier one has.
func TestSwitchBetweenTheFormsAlwaysDenies(t *testing.T) {
	t.Parallel()
	server, err := startServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, server) })
	installed, err := server.installWith(localinstall.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, installed) })
	namespace := server.namespace(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var creates, policies atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ; ctx.Err() == nil; creates.Add(1) {
			_, err := server.client.CoreV1().Pods(namespace).Create(ctx, newPod(namespace, "latest", "nginx:latest"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if ctx.Err() == nil && !apierrors.IsForbidden(err) {
				t.Errorf("create a pod with latest: got error %v, want a denial", err)
			}
			if err != nil && strings.Contains(err.Error(), policyDenial) {
				policies.Add(1)
			}
		}
	}()
	for _, hybrid := range []bool{true, false} {
		next, err := server.installWith(localinstall.Options{Hybrid: hybrid})
		if err != nil {
			t.Fatalf("hybrid: %t: %v", hybrid, err)
		}
		t.Cleanup(func() { stop(t, next) })
	}
	cancel()
	<-done
	if policies.Load() == 0 || policies.Load() == creates.Load() {
		t.Errorf("the policy denied %d of %d pods, want some", policies.Load(), creates.Load())
	}
	t.Logf("%d pods were denied, %d of them by the policy", creates.Load(), policies.Load())
}
