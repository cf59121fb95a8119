package chaos

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/podport"
	"github.com/image-webhook/image-webhook/tools/progress"
)

const (
	// servedLimit is how long replicas may serve the certificate of an earlier Secret: the kubelet
	// updates a mounted Secret after at most about 100 seconds.
	servedLimit = 3 * time.Minute

	// serverPort is the port of the pods.
	serverPort = 8443

	// handshakeLimit is how long a replica may take to send its certificate.
	handshakeLimit = 10 * time.Second
)

// waitServed waits until all replicas serve the certificate of the Secret.
func (c *cluster) waitServed(ctx context.Context, step *progress.Step) error {
	err := waitUntil(ctx, servedLimit, step, func(ctx context.Context) error {
		want, err := c.certificate(ctx)
		if err != nil {
			return err
		}
		served, err := c.servedCertificates(ctx)
		for pod, certificate := range served {
			if !certificate.Equal(want) {
				err = errors.Join(err, fmt.Errorf("pod %s serves another certificate than that of the Secret", pod))
			}
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("wait until all replicas serve the certificate: %w", err)
	}
	return err
}

// certificate returns the certificate of the Secret.
func (c *cluster) certificate(ctx context.Context) (*x509.Certificate, error) {
	secret, err := c.client.CoreV1().Secrets(webhookNamespace).Get(ctx, webhookSecret, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(bytes.TrimSpace(secret.Data["cert"]))
	if block == nil {
		return nil, fmt.Errorf("the key cert of Secret %s has no certificate", webhookSecret)
	}
	return x509.ParseCertificate(block.Bytes)
}

// servedCertificates returns the certificate that each replica serves, by the name of its pod. The
// error names the replicas that do not answer.
func (c *cluster) servedCertificates(ctx context.Context) (map[string]*x509.Certificate, error) {
	pods, err := c.Servers(ctx)
	if err != nil {
		return nil, err
	}
	served := map[string]*x509.Certificate{}
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		certificate, failed := c.servedCertificate(ctx, pod.Name)
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("get the certificate of pod %s: %w", pod.Name, failed))
			continue
		}
		served[pod.Name] = certificate
	}
	return served, err
}

// servedCertificate returns the certificate that a replica serves. It sends no request.
func (c *cluster) servedCertificate(ctx context.Context, pod string) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	address, stop, err := podport.Forward(ctx, c.config, webhookNamespace, pod, serverPort)
	if err != nil {
		return nil, err
	}
	defer stop()
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	server := tls.Client(connection, &tls.Config{InsecureSkipVerify: true}) // the certificate itself is the result
	if err := server.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return server.ConnectionState().PeerCertificates[0], nil
}
