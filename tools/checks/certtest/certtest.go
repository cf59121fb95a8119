// Package certtest issues server certificates for tests. Each certificate has a CA of its own.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// Issued is a server certificate with its key and its CA, in PEM.
type Issued struct{ CA, Cert, Key []byte }

// Data returns the content of a Secret with the certificate, under the keys that certgen uses.
func (i Issued) Data() map[string][]byte {
	return map[string][]byte{"ca": i.CA, "cert": i.Cert, "key": i.Key}
}

// caMargin is how much longer than its certificate a CA is valid, at both ends.
const caMargin = 10 * 365 * 24 * time.Hour

// Issue creates a CA, and a certificate of it for a host. The certificate is valid between the
// two times.
func Issue(t testing.TB, host string, notBefore, notAfter time.Time) Issued {
	t.Helper()
	ca := &x509.Certificate{
		SerialNumber: newSerial(t), Subject: pkix.Name{CommonName: "certtest"},
		NotBefore: notBefore.Add(-caMargin), NotAfter: notAfter.Add(caMargin),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: newSerial(t), DNSNames: []string{host}, NotBefore: notBefore, NotAfter: notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caKey, leafKey := newKey(t), newKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(leafKey)
	check(t, err)
	return Issued{
		CA: sign(t, ca, ca, caKey, caKey), Cert: sign(t, leaf, ca, leafKey, caKey),
		Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}
}

func newSerial(t testing.TB) *big.Int {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	check(t, err)
	return serial
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

// sign returns a certificate for key, signed by the parent.
func sign(t testing.TB, template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	check(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
