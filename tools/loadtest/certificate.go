package loadtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// loopback is the host of all servers.
const loopback = "127.0.0.1"

// certificate is a self-signed certificate for loopback, and its key, in two PEM files. Its key has
// the type of the keys that certgen creates.
type certificate struct {
	certFile, keyFile string
	trusted           *x509.CertPool // of clients
}

// newCertificate writes a certificate to dir.
func newCertificate(dir string) (c certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IPAddresses: []net.IP{net.ParseIP(loopback)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return c, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return c, err
	}
	return writeCertificate(dir, der, private)
}

func writeCertificate(dir string, der, key []byte) (c certificate, err error) {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return c, err
	}
	c = certificate{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), x509.NewCertPool()}
	c.trusted.AddCert(leaf)
	if err := writePEM(c.certFile, "CERTIFICATE", der); err != nil {
		return c, err
	}
	return c, writePEM(c.keyFile, "PRIVATE KEY", key)
}

func writePEM(file, kind string, content []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600)
}
