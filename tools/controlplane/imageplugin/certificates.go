package imageplugin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity is how long the certificates are valid: longer than an API server of a checkout runs.
const validity = 365 * 24 * time.Hour

// writeCertificates writes the files that certificates.sh creates, except the key of the CA, without openssl.
func writeCertificates(directory string) error {
	ca, key, err := issue(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "image-webhook-ca"}}, nil, nil)
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(directory, "ca.crt"), "CERTIFICATE", ca.Raw); err != nil {
		return err
	}
	for name, template := range map[string]*x509.Certificate{
		"server": {IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
		"client": {ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
	} {
		template.Subject.CommonName = "image-webhook-" + name
		if err := writePair(filepath.Join(directory, name), template, ca, key); err != nil {
			return err
		}
	}
	return nil
}

// writePair issues a certificate and writes it and its key to files with the endings .crt and .key.
func writePair(path string, template, ca *x509.Certificate, caKey *ecdsa.PrivateKey) error {
	certificate, key, err := issue(template, ca, caKey)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(path+".key", "PRIVATE KEY", der); err != nil {
		return err
	}
	return writePEM(path+".crt", "CERTIFICATE", certificate.Raw)
}

// issue creates a key and a certificate for it. Without a parent, the certificate is self-signed.
func issue(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parent == nil {
		parent, signer = template, key
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, nil, err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(validity)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return certificate, key, err
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
