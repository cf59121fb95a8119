package certgen

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	leafLifetime = 365 * 24 * time.Hour

	// renewBefore is how long before its expiry a certificate is renewed. If create
	// runs once a month, it can fail once: at least two runs are within ninety days.
	renewBefore = 90 * 24 * time.Hour

	// clockSkew is how far a client's clock may be behind when a certificate is issued.
	clockSkew = time.Hour
)

// issuedCertificate holds a new server certificate, its key and its CA, in PEM.
type issuedCertificate struct {
	ca, cert, key []byte
	notAfter      time.Time
}

// issue creates a CA and one server certificate. It does not return the CA's key, so
// that the CA can never sign again and the key cannot be stolen.
func issue(hosts []string, now time.Time) (issuedCertificate, error) {
	ca, caKey, err := newCA(now)
	if err != nil {
		return issuedCertificate{}, err
	}
	template := newTemplate("webhook server", now, leafLifetime)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames, template.IPAddresses = splitHosts(hosts)
	leaf, key, err := sign(template, ca, caKey)
	if err != nil {
		return issuedCertificate{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return issuedCertificate{}, err
	}
	return issuedCertificate{ca: encodeCertificates(ca), cert: encodeCertificates(leaf), key: encodeKey(der), notAfter: leaf.NotAfter}, nil
}

// newCA creates a root CA. Its subject contains its serial number: with two roots of
// the same name in a bundle, a verifier could try the wrong one.
func newCA(now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	template := newTemplate("certgen CA", now, caLifetime)
	template.Subject.SerialNumber = fmt.Sprintf("%x", template.SerialNumber)
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign
	return sign(template, nil, nil)
}

func newTemplate(name string, now time.Time, lifetime time.Duration) *x509.Certificate {
	serial := make([]byte, 16)
	rand.Read(serial)                 // never returns an error; it crashes the program instead
	serial[0] = serial[0]&0x7f | 0x40 // positive, and always of the same length
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(lifetime),
	}
}

// sign creates a key and a certificate for it. Without a parent, the certificate is
// self-signed.
func sign(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

func splitHosts(hosts []string) (names []string, addresses []net.IP) {
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			addresses = append(addresses, ip)
		} else {
			names = append(names, host)
		}
	}
	return names, addresses
}

func encodeCertificates(certificates ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certificates {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: c.Raw})...)
	}
	return out
}

func encodeKey(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

const certificateBlock = "CERTIFICATE"
