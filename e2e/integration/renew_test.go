package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
	"github.com/image-webhook/image-webhook/webhook/certgen"
)

// replicaAddress is the address of the webhook's process in its EndpointSlice. An EndpointSlice
// cannot contain the address on which it listens.
const replicaAddress = "10.9.9.9"

// renewal is an API server with the webhook, whose Secret is mounted as by a kubelet.
type renewal struct {
	*testServer
	installed *localinstall.Installation
}

func startRenewal(t *testing.T) *renewal {
	t.Helper()
	server, err := startServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, server) })
	installed, err := server.installWith(localinstall.Options{})
	if err != nil {
		t.Fatal(err)
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "webhook", Labels: map[string]string{discoveryv1.LabelServiceName: "webhook"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{replicaAddress}}},
		Ports:       []discoveryv1.EndpointPort{{Port: new(int32(8443))}},
	}
	if _, err := server.client.DiscoveryV1().EndpointSlices("image-webhook").Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return &renewal{server, installed}
}

// certgen runs a command of certgen with the permissions of a service account, and returns its
// output.
func (r *renewal) certgen(ctx context.Context, account string, args ...string) (string, error) {
	var output bytes.Buffer
	worker := certgen.Worker{
		Config: r.As("system:serviceaccount:image-webhook:" + account),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if !strings.HasPrefix(address, replicaAddress+":") {
				return r.Services.Dial(ctx, network, address)
			}
			process, err := r.installed.Process("webhook")
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, process.Addr)
		},
		Stdout: &output, Stderr: &output,
	}
	command, err := certgen.Parse(args, io.Discard)
	if err != nil {
		return "", err
	}
	err = worker.Do(ctx, command)
	return output.String(), err
}

var createArgs = []string{"--host=webhook.image-webhook.svc", "--namespace=image-webhook", "--secret-name=webhook-tls", "--settle=200ms"}

func (r *renewal) renew(ctx context.Context) error {
	output, err := r.certgen(ctx, "renew", append([]string{"renew"}, createArgs...)...)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return nil
}

// requestCertificate requests a new certificate, as after a leak of the key.
func (r *renewal) requestCertificate(ctx context.Context) error {
	patch := []byte(`{"metadata":{"annotations":{"image-webhook.dev/renew":"true"}}}`)
	_, err := r.client.CoreV1().Secrets("image-webhook").Patch(ctx, "webhook-tls", types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// underLoad calls f while a kubelet updates the mounted Secret and clients create pods. Each pod
// must be mirrored or denied. It returns the number of pods.
func (r *renewal) underLoad(t *testing.T, f func(context.Context) error) int64 {
	t.Helper()
	config := rest.CopyConfig(r.Config)
	config.WarningHandler = rest.NoWarnings{}
	client, err := clientset.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	group := errgroup.Group{}
	var pods atomic.Int64
	for range 4 {
		group.Go(func() error {
			for ctx.Err() == nil {
				if err := checkVerdicts(t.Context(), client); err != nil {
					return fmt.Errorf("after %d pods: %w", pods.Load(), err)
				}
				pods.Add(2)
			}
			return nil
		})
	}
	group.Go(func() error {
		return ignoreEnd(wait.PollUntilContextCancel(ctx, 300*time.Millisecond, true, func(context.Context) (bool, error) {
			err := r.installed.UpdateVolumes(t.Context())
			if err != nil && strings.Contains(err.Error(), "not found") {
				err = nil // like a kubelet, keep the files of a Secret that was deleted
			}
			return false, err
		}))
	})
	failed := f(ctx)
	stop()
	if err := errors.Join(failed, group.Wait()); err != nil {
		t.Error(err)
	}
	return pods.Load()
}

func ignoreEnd(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// checkVerdicts returns an error unless one pod is mirrored and another one denied.
func checkVerdicts(ctx context.Context, client clientset.Interface) error {
	create := func(image string) (*corev1.Pod, error) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "p-"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}}}
		return client.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	}
	mirrored, err := create("nginx:1.25")
	if err != nil {
		return fmt.Errorf("refused: %w", err)
	}
	if got := mirrored.Spec.Containers[0].Image; got != "docker.mirror.example/library/nginx:1.25" {
		return fmt.Errorf("not mirrored: %s", got)
	}
	if _, err := create("nginx:latest"); err == nil || !strings.Contains(err.Error(), `tag "latest" is not allowed`) {
		return fmt.Errorf("not denied by the webhook: %w", err)
	}
	return nil
}

// webhookCAs returns the number of CAs in each webhook's caBundle, and its failure policy.
func (r *renewal) webhookCAs(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	add := func(name string, bundle []byte, policy *admissionregistrationv1.FailurePolicyType) {
		found[name] = fmt.Sprintf("%d CA, %s", bytes.Count(bundle, []byte("BEGIN CERTIFICATE")), *policy)
	}
	validating, mutating := r.configurations(t)
	for _, c := range validating {
		for _, w := range c.Webhooks {
			add(w.Name, w.ClientConfig.CABundle, w.FailurePolicy)
		}
	}
	for _, c := range mutating {
		for _, w := range c.Webhooks {
			add(w.Name, w.ClientConfig.CABundle, w.FailurePolicy)
		}
	}
	return found
}

var oneCAEach = map[string]string{
	"validating.image-webhook.dev":   "1 CA, Fail",
	"warn.image-webhook.dev":         "1 CA, Ignore",
	"workloads.image-webhook.dev":    "1 CA, Ignore",
	"unknown-mode.image-webhook.dev": "1 CA, Ignore",
	"mutating.image-webhook.dev":     "1 CA, Ignore",
}

// TestRenewal shares one API server, because each start takes seconds.
func TestRenewal(t *testing.T) {
	t.Parallel()
	r := startRenewal(t)
	t.Run("loses no review", func(t *testing.T) { testRenewalLosesNoReview(t, r) })
	t.Run("keeps its fields although a GitOps tool applies", func(t *testing.T) { testGitOpsTools(t, r) })
	t.Run("repairs the drift of another tool", func(t *testing.T) { testDrift(t, r) })
	t.Run("refuses the old certificate", func(t *testing.T) { testOldCertificate(t, r) }) // the last one
}

func testRenewalLosesNoReview(t *testing.T, r *renewal) {
	secrets := r.client.CoreV1().Secrets("image-webhook")
	for _, event := range []struct {
		name string
		run  func(ctx context.Context) error
	}{
		{"a renewal", func(ctx context.Context) error { return errors.Join(r.requestCertificate(ctx), r.renew(ctx)) }},
		{"two runs at once", func(ctx context.Context) error {
			if err := r.requestCertificate(ctx); err != nil {
				return err
			}
			runs, ctx := errgroup.WithContext(ctx)
			for range 2 {
				runs.Go(func() error { return r.renew(ctx) })
			}
			return runs.Wait()
		}},
		{"03, new files, 06", func(ctx context.Context) error {
			if err := r.requestCertificate(ctx); err != nil {
				return err
			}
			output, err := r.certgen(ctx, "certgen", append([]string{"create"}, createArgs...)...)
			if err != nil {
				return fmt.Errorf("%w\n%s", err, output)
			}
			return errors.Join(r.installed.UpdateVolumes(ctx), r.patch(ctx))
		}},
		{"06, 03, 06", func(ctx context.Context) error {
			_, err := r.certgen(ctx, "certgen", append([]string{"create"}, createArgs...)...)
			return errors.Join(r.patch(ctx), r.requestCertificate(ctx), err, r.patch(ctx))
		}},
		{"a deleted Secret", func(ctx context.Context) error {
			return errors.Join(secrets.Delete(ctx, "webhook-tls", metav1.DeleteOptions{}), r.renew(ctx))
		}},
		{"a key that does not match", func(ctx context.Context) error {
			patch := []byte(`{"data":{"key":"bm8="}}`) // "no"
			_, err := secrets.Patch(ctx, "webhook-tls", types.MergePatchType, patch, metav1.PatchOptions{})
			return errors.Join(err, r.renew(ctx))
		}},
	} {
		t.Run(event.name, func(t *testing.T) {
			pods := r.underLoad(t, func(ctx context.Context) error { return errors.Join(event.run(ctx), r.renew(ctx)) })
			t.Logf("%d pods", pods)
			r.expectOneCAEach(t)
		})
	}
}

// expectOneCAEach expects that runs remove the earlier CAs. The server checks its files only once a second,
// so during the last run of an event it can still serve the earlier certificate, whose CA that run keeps.
func (r *renewal) expectOneCAEach(t *testing.T) {
	t.Helper()
	waitUntil(t, "a run removes the earlier CAs", func() bool {
		if cmp.Equal(oneCAEach, r.webhookCAs(t)) {
			return true
		}
		if err := r.renew(t.Context()); err != nil {
			t.Error(err)
		}
		return false
	})
}

// patch does what the container of 06 for the webhook that denies does.
func (r *renewal) patch(ctx context.Context) error {
	output, err := r.certgen(ctx, "patch-webhookconfigure", "patch", "--webhook-name=image-webhook", "--namespace=image-webhook", "--secret-name=webhook-tls",
		"--patch-mutating=false", "--patch-failure-policy=Fail")
	if err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return nil
}

func testOldCertificate(t *testing.T, r *renewal) {
	// The kubelet does not update the Secret: the process serves the old certificate, whose key has leaked.
	limited, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := r.requestCertificate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.renew(limited); err == nil {
		t.Error("the run succeeds although a replica serves the old certificate")
	}
	if err := checkVerdicts(t.Context(), r.client); err != nil {
		t.Errorf("before the replica serves the new certificate: %v", err)
	}
	if err := r.client.DiscoveryV1().EndpointSlices("image-webhook").Delete(t.Context(), "webhook", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := r.renew(t.Context()); err != nil { // no replica needs the old CA any more
		t.Fatal(err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := checkVerdicts(ctx, r.client)
		return err != nil && strings.Contains(err.Error(), "certificate signed by unknown authority"), nil
	})
	if err != nil {
		t.Errorf("the API server still trusts the old certificate: %v", err)
	}
}

func TestRegistrationStaysOnIgnoreWithoutVerdicts(t *testing.T) {
	t.Parallel()
	server, err := startServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, server) })
	t.Run("created by a GitOps tool", func(t *testing.T) { testGitOpsToolsCreateOnIgnore(t, server) })
	ca := filepath.Join(server.Dir, "clients.crt")
	write(t, ca, server.Config.CAData)
	var manifests []deploy.File
	for _, file := range deploy.Files() {
		file.Content = strings.ReplaceAll(file.Content, "- --patch-failure-policy=Fail", "- --patch-failure-policy=Fail\n            - --timeout=3s")
		manifests = append(manifests, file)
	}
	_, err = server.installWith(localinstall.Options{Manifests: manifests, Args: map[string][]string{"image-webhook": {"--client-ca-file=" + ca}}})
	for _, want := range []string{
		"ValidatingWebhookConfiguration image-webhook: failurePolicy Fail not set: API server ",
		"it gets no verdict from the webhook: the webhook answers 401 to callers without a client certificate, because of its flag --client-ca-file: " +
			"configure the client certificate in the API server, or remove the flag",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	configuration, err := server.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), "image-webhook", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if policy := *configuration.Webhooks[0].FailurePolicy; policy != admissionregistrationv1.Ignore {
		t.Errorf("failurePolicy is %s", policy)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "nginx:1.25"}}}}
	if _, err := server.client.CoreV1().Pods(metav1.NamespaceDefault).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Errorf("no pod can be created: %v", err)
	}
}
