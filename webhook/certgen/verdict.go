package certgen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// probeNamespace returns the namespace for probe pods, for the namespace of the Secret. Its
// ResourceQuota admits no pod, so the right to create pods there cannot be abused.
func probeNamespace(namespace string) string { return namespace + "-probe" }

// probeImage is an invalid reference, which the webhook denies with any flags, and which no node
// could run. The API server itself does not check references.
const probeImage = "image-webhook.dev/Probe"

// probePod returns a pod that the API server would store without the webhook and the quota. It
// meets the Pod Security Standard restricted.
func probePod() *corev1.Pod {
	yes, no := true, false
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"},
		Spec: corev1.PodSpec{
			ServiceAccountName:           "probe",
			AutomountServiceAccountToken: &no,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   &yes,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "probe", Image: probeImage,
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no,
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

// waitForVerdicts waits until each API server has called the webhook for a pod and got a verdict.
// This also proves what a connection from this pod cannot: that the API server reaches the
// webhook, trusts its certificate and is trusted by it.
func (s session) waitForVerdicts(ctx context.Context, found configuration, namespace string, timeout time.Duration) error {
	servers, err := s.servers(ctx)
	if err != nil {
		return err
	}
	for _, server := range servers {
		err := s.try(ctx, timeout, func() error { return server.checkVerdict(ctx, namespace) })
		if errors.Is(err, errNoVerdict) {
			err = fmt.Errorf("%w: %s", err, s.diagnose(found))
		}
		if err != nil {
			return fmt.Errorf("API server %s after %s: %w", server.address, timeout, err)
		}
		s.report("API server %s gets verdicts from the webhook", server.address)
	}
	return nil
}

// errNoVerdict means that the request passed all webhooks.
var errNoVerdict = errors.New("it gets no verdict from the webhook")

// checkVerdict creates a probe pod as a dry run. It returns nil if the webhook denied it.
func (server apiServer) checkVerdict(ctx context.Context, namespace string) error {
	_, err := server.core.Pods(namespace).Create(ctx, probePod(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil: // also without a controller that computes the quota
		return errNoVerdict
	case strings.Contains(err.Error(), "ValidatingAdmissionPolicy '"): // they are evaluated before webhooks are called
		return fmt.Errorf("a policy refused a probe pod in namespace %[1]s before the webhook's verdict: %[2]w: exclude %[1]s in the bindings of the policy", namespace, err)
	case strings.Contains(err.Error(), `uses image "`+probeImage+`"`):
		return nil
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "quota"): // the quota is checked after all webhooks
		return errNoVerdict
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err) && strings.Contains(err.Error(), "cannot create resource"):
		return explain(err, "pods in namespace "+namespace, namespaceManifest)
	}
	return fmt.Errorf("a probe pod in namespace %s was refused before the webhook's verdict: %w", namespace, err)
}

// diagnose asks the webhook directly, and returns why the API server may get no verdict.
func (s session) diagnose(found configuration) string {
	for _, hook := range found.webhooks {
		if cause := s.diagnoseWebhook(hook); cause != "" {
			return cause
		}
	}
	return "the webhook answers this pod: check what is between the API server and the webhook, such as a NetworkPolicy, a firewall or a proxy"
}

// diagnoseWebhook returns the problem of a server, with which it cannot answer this pod, or an
// empty string.
func (s session) diagnoseWebhook(hook webhook) string {
	roots := NewPool(parseValid(hook.client.CABundle))
	transport := &http.Transport{
		DialContext:       s.dial,
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	path := ""
	if hook.client.Service != nil && hook.client.Service.Path != nil {
		path = *hook.client.Service.Path
	}
	response, err := client.Post("https://"+hook.address()+path, "application/json", strings.NewReader("{}"))
	if err != nil {
		return fmt.Sprintf("the webhook does not answer this pod either: %v: check that its pods are ready and serve the certificate of the Secret", err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusUnauthorized:
		return "the webhook answers 401 to callers without a client certificate, because of its flag --client-ca-file: configure the client certificate in the API server, or remove the flag"
	case http.StatusNotFound:
		return fmt.Sprintf("the webhook has no path %q: apply %s", path, registrationManifest)
	}
	return ""
}
