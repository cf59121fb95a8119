package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// issued is a server certificate with its key and its CA, in PEM.
type issued struct{ ca, cert, key []byte }

// data returns the content of the Secret.
func (i issued) data() map[string][]byte {
	return map[string][]byte{"ca": i.ca, "cert": i.cert, "key": i.key}
}

// issue creates a CA, and a certificate of it that is valid for one year.
func issue(host string) issued {
	GinkgoHelper()
	year := time.Now().Add(365 * 24 * time.Hour)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: year,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: year,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caKey, leafKey := newECKey(), newECKey()
	der, err := x509.MarshalPKCS8PrivateKey(leafKey)
	Expect(err).NotTo(HaveOccurred())
	return issued{
		ca: signCertificate(ca, ca, caKey, caKey), cert: signCertificate(leaf, ca, leafKey, caKey),
		key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}
}

func newECKey() *ecdsa.PrivateKey {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	return key
}

// signCertificate returns a certificate for key, signed by the parent.
func signCertificate(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) []byte {
	GinkgoHelper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	Expect(err).NotTo(HaveOccurred())
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
