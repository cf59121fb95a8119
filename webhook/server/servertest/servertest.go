// Package servertest makes key pairs for tests that serve TLS.
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

// KeyPair is a self-signed certificate for localhost in two PEM files.
type KeyPair struct {
	CertFile, KeyFile string
	Leaf              *x509.Certificate
}

// New writes a new key pair into dir, over the one that is there.
func New(t testing.TB, dir string) KeyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: serial,
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	leaf, err := x509.ParseCertificate(cert)
	check(t, err)
	return KeyPair{
		CertFile: write(t, filepath.Join(dir, "cert"), "CERTIFICATE", cert),
		KeyFile:  write(t, filepath.Join(dir, "key"), "PRIVATE KEY", private),
		Leaf:     leaf,
	}
}

// Client returns a client that trusts the pair and keeps its connections.
func (k KeyPair) Client(t testing.TB) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(k.Leaf)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

func write(t testing.TB, file, kind string, der []byte) string {
	t.Helper()
	check(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return file
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
