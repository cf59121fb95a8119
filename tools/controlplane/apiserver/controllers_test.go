package apiserver

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	clientset "k8s.io/client-go/kubernetes"

	"github.com/image-webhook/image-webhook/tools/progress"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// startWithControllers returns a server with these controllers, and a client of it.
func startWithControllers(t *testing.T, controllers ...string) (*Server, clientset.Interface) {
	t.Helper()
	s, err := Start(t.Context(), Options{Programs: openPrograms(t), Controllers: controllers}, progress.New(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	client, err := clientset.NewForConfig(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	return s, client
}

func createNamespace(t *testing.T, client clientset.Interface, name string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until a condition is true, and logs how long it took.
func eventually(t *testing.T, what string, limit time.Duration, condition func(context.Context) (bool, error)) {
	t.Helper()
	started := time.Now()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, limit, true, condition); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	t.Logf("%s after %s", what, time.Since(started).Round(time.Millisecond))
}

// exists is the condition that an object can be read.
func exists[T any](get func(context.Context, string, metav1.GetOptions) (T, error), name string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		_, err := get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	}
}

func TestControllersReconcileObjects(t *testing.T) {
	s, client := startWithControllers(t, "resourcequota-controller", "namespace-controller",
		"serviceaccount-controller", "root-ca-certificate-publisher-controller")
	createNamespace(t, client, "team")
	hard := corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1"), corev1.ResourceRequestsCPU: resource.MustParse("2")}
	quotas := client.CoreV1().ResourceQuotas("team")
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "quota"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}
	if _, err := quotas.Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the quota's status is complete", 20*time.Second, func(ctx context.Context) (bool, error) {
		got, err := quotas.Get(ctx, "quota", metav1.GetOptions{})
		return err == nil && cmp.Equal(got.Status.Hard, hard) && len(got.Status.Used) == len(hard), err
	})
	eventually(t, "the service account exists", 20*time.Second, exists(client.CoreV1().ServiceAccounts("team").Get, "default"))
	eventually(t, "the CA is published", 20*time.Second, exists(client.CoreV1().ConfigMaps("team").Get, "kube-root-ca.crt"))
	if err := client.CoreV1().Namespaces().Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deleted namespace is gone", time.Minute, func(ctx context.Context) (bool, error) {
		found, err := exists(client.CoreV1().Namespaces().Get, "team")(ctx)
		return !found, err
	})
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if s.controllers.endError() == nil {
		t.Error("kube-controller-manager still runs")
	}
}

func TestStopReportsControllersThatEnded(t *testing.T) {
	s, _ := startWithControllers(t, "namespace-controller")
	s.controllers.kill()
	var output strings.Builder
	subprocess.Print(&output, "tool", s.Stop())
	for _, want := range []string{"tool: stop the API server: kube-controller-manager ended early: signal: killed\n", "  | ", runningMessage} {
		if !strings.Contains(output.String(), want) {
			t.Errorf("no %q in the output:\n%s", want, output.String())
		}
	}
}

func TestFailedStartOfControllersShowsLog(t *testing.T) {
	_, err := Start(t.Context(), Options{Programs: openPrograms(t), Controllers: []string{"no-such-controller"}}, progress.New(io.Discard))
	var output strings.Builder
	subprocess.Print(&output, "tool", err)
	for _, want := range []string{"tool: start kube-controller-manager: exit status 1\n", "is not in the list of known controllers"} {
		if !strings.Contains(output.String(), want) {
			t.Errorf("no %q in the output:\n%s", want, output.String())
		}
	}
}
