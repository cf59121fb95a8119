package nodemirrors

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/tools/devcluster/mirror"
)

// validity is longer than a development cluster exists.
const validity = 10 * 365 * 24 * time.Hour

// certificate returns the certificate of the registries, which the nodes must trust. It creates the
// Secret with it, unless there is one.
func (i installer) certificate(ctx context.Context) (string, error) {
	secrets := i.client.CoreV1().Secrets(mirror.Namespace)
	secret, err := secrets.Get(ctx, secretName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if secret, err = newSecret(); err == nil {
			secret, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
		}
	}
	if err != nil {
		return "", fmt.Errorf("create the certificate of the mirrors: %w", err)
	}
	return string(secret.Data[corev1.TLSCertKey]), nil
}

// newSecret returns a Secret with a new key and a certificate that it has signed.
func newSecret() (*corev1.Secret, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "mirrors of a development cluster"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(validity),
		DNSNames: slices.Concat(mirrorHosts, []string{originHost}), IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: secretName},
		Type:       corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		},
	}, nil
}
