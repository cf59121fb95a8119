package status

import (
	"context"
	"crypto/x509"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/webhook/certgen"
)

// servedChain returns the certificates that a pod presents for a host name. It sends no request.
func servedChain(ctx context.Context, config *rest.Config, pod corev1.Pod, host string) ([]*x509.Certificate, error) {
	forwarded, err := forward(ctx, config, pod, containerPort(pod))
	if err != nil {
		return nil, fmt.Errorf("connect to the pod: %w", err)
	}
	defer forwarded.Close()
	chain, err := certgen.PresentedChain(ctx, forwarded, host)
	if err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", forwarded.cause(ctx, err))
	}
	return chain, nil
}

// containerPort returns the port to which the Service of the manifest forwards.
func containerPort(pod corev1.Pod) int32 {
	target := manifests(pod.Namespace).service.Spec.Ports[0].TargetPort
	for _, c := range pod.Spec.Containers {
		for _, port := range c.Ports {
			if target.Type == intstr.String && port.Name == target.StrVal {
				return port.ContainerPort
			}
		}
	}
	return 8443
}
