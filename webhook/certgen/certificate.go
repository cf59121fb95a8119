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
	// defaultValidity is how long a new server certificate is valid.
	defaultValidity = 365 * 24 * time.Hour

	// caLifetimes is how many times longer than the server certificate its CA is valid.
	caLifetimes = 10

	// clockSkew is how far a clock may be behind when a certificate is issued. It also allows
	// for two runs whose clocks differ: neither must take the other's certificate for invalid.
	clockSkew = 2 * time.Hour
)

// RenewalTime returns when a certificate is due: when a quarter of its lifetime is left, which
// is 91 days of a year. The hourly run then has many attempts before the certificate expires.
func RenewalTime(c *x509.Certificate) time.Time {
	lifetime := c.NotAfter.Sub(c.NotBefore) - clockSkew
	return c.NotAfter.Add(-max(lifetime, 0) / 4)
}

// issuedCertificate holds a new server certificate, its key and its CA, in PEM.
type issuedCertificate struct {
	ca, cert, key []byte
}

// issue creates a CA and one server certificate. It does not return the CA's key, so
// that the CA can never sign again and the key cannot be stolen.
func issue(hosts []string, validity time.Duration, now time.Time) (issuedCertificate, error) {
	ca, caKey, err := newCA(caLifetimes*validity, now)
	if err != nil {
		return issuedCertificate{}, err
	}
	template := newTemplate("webhook server", now, validity)
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
	return issuedCertificate{ca: encodeCertificates(ca), cert: encodeCertificates(leaf), key: encodeKey(der)}, nil
}

// data returns the certificate under the keys of the Secret.
func (i issuedCertificate) data() map[string][]byte {
	return map[string][]byte{caKey: i.ca, certKey: i.cert, keyKey: i.key}
}

// newCA creates a root CA. Its subject contains its serial number: with two roots of
// the same name in a bundle, a verifier could try the wrong one.
func newCA(lifetime time.Duration, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	template := newTemplate("certgen CA", now, lifetime)
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
