// Package servertest provides key pairs, client CAs and log buffers for tests of
// programs that serve TLS.
package servertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// KeyPair is a certificate for localhost and its private key in two PEM files.
type KeyPair struct {
	CertFile, KeyFile string
	Leaf              *x509.Certificate
}

// New writes a new self-signed key pair to dir. It overwrites an existing pair.
func New(t testing.TB, dir string) KeyPair {
	t.Helper()
	key := newKey(t)
	leaf := sign(t, newTemplate(t), nil, key, key)
	return writePair(t, filepath.Join(dir, "cert"), filepath.Join(dir, "key"), leaf, key)
}

func writePair(t testing.TB, certFile, keyFile string, leaf *x509.Certificate, key any) KeyPair {
	t.Helper()
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	return KeyPair{
		CertFile: write(t, certFile, "CERTIFICATE", leaf.Raw),
		KeyFile:  write(t, keyFile, "PRIVATE KEY", private),
		Leaf:     leaf,
	}
}

// Client returns a client that trusts the pair and keeps its connections. It always
// presents the client certificate, if one is given, even if the server asks for a
// certificate of another CA.
func (k KeyPair) Client(t testing.TB, presented ...tls.Certificate) *http.Client {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	config.RootCAs.AddCert(k.Leaf)
	if len(presented) > 0 {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &presented[0], nil }
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// CA signs client certificates.
type CA struct {
	File string // PEM file of the CA's own certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA writes the certificate of a new CA to dir. It overwrites an existing one.
func NewCA(t testing.TB, dir string) CA {
	t.Helper()
	key := newKey(t)
	cert := sign(t, newTemplate(t), nil, key, key)
	return CA{write(t, filepath.Join(dir, "ca"), "CERTIFICATE", cert.Raw), cert, key}
}

// Issue returns a new certificate for the uses; without uses, it is valid for any.
func (c CA) Issue(t testing.TB, uses ...x509.ExtKeyUsage) tls.Certificate {
	t.Helper()
	key, template := newKey(t), newTemplate(t)
	template.IsCA, template.ExtKeyUsage = false, uses
	leaf := sign(t, template, c.cert, key, c.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// Write issues a certificate and writes it and its key to name.crt and name.key in
// dir.
func (c CA) Write(t testing.TB, dir, name string, uses ...x509.ExtKeyUsage) KeyPair {
	t.Helper()
	pair := c.Issue(t, uses...)
	return writePair(t, filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"), pair.Leaf, pair.PrivateKey)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func newTemplate(t testing.TB) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	check(t, err)
	return &x509.Certificate{
		SerialNumber: serial,
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
}

// sign returns a certificate for a key. Without a parent, it is self-signed.
func sign(t testing.TB, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return cert
}

func write(t testing.TB, file, blockType string, der []byte) string {
	t.Helper()
	check(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}), 0o600))
	return file
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
