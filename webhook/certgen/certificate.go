package certgen

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	leafLifetime = 365 * 24 * time.Hour

	// renewBefore is how long before its end a certificate counts as due.
	// Of the runs of create once a month, two fall into ninety days for certain, so
	// that one may fail.
	renewBefore = 90 * 24 * time.Hour

	// clockSkew is how far behind a client's clock may be on the day of issue.
	clockSkew = time.Hour

	// keptCAs is how many earlier CAs stay in the bundle: enough for two
	// repairs in a row to reach the Pods, few enough for the bundle not to grow.
	keptCAs = 2
)

// issued is a fresh certificate with the CA that signed it, all in PEM.
type issued struct {
	ca, cert, key []byte
	notAfter      time.Time
}

// issue makes a CA and one server certificate. The CA's key is forgotten here:
// nothing can be signed in its name later, and nobody can steal it.
func issue(hosts []string, now time.Time) (issued, error) {
	ca, caKey, err := newCA(now)
	if err != nil {
		return issued{}, err
	}
	template := newTemplate("webhook server", now, leafLifetime)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames, template.IPAddresses = subjects(hosts)
	leaf, key, err := sign(template, ca, caKey)
	if err != nil {
		return issued{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return issued{}, err
	}
	return issued{ca: encode(ca), cert: encode(leaf), key: encodeKey(der), notAfter: leaf.NotAfter}, nil
}

// newCA makes a root. Its subject carries its serial number: two roots of one
// name in a bundle would have a verifier try the wrong one.
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
	rand.Read(serial)                 // never fails: it ends the program instead
	serial[0] = serial[0]&0x7f | 0x40 // positive, and always of the same length
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(lifetime),
	}
}

// sign makes a key and a certificate for it; without a parent it signs itself.
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

func subjects(hosts []string) (names []string, addresses []net.IP) {
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			addresses = append(addresses, ip)
		} else {
			names = append(names, host)
		}
	}
	return names, addresses
}

func encode(certificates ...*x509.Certificate) []byte {
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

// parseCertificates reads PEM that must hold certificates and nothing else:
// what it accepts as a CA is published in the webhook configurations, and a
// private key that strayed into it must not be.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for rest := bytes.TrimSpace(data); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("text that is not PEM")
		}
		if block.Type != certificateBlock {
			return nil, fmt.Errorf("a PEM block %q where only certificates may be", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, c)
	}
	if len(certificates) == 0 {
		return nil, errors.New("no certificate")
	}
	return certificates, nil
}

// withEarlier puts the CAs of the old bundle that are still good, and not in the
// new one already, behind the new one, so that Pods that go on serving the old
// certificate until the Secret reaches them stay trusted.
func withEarlier(ca, old []byte, now time.Time) []byte {
	kept := 0
	present := readable(ca)
	for _, c := range readable(old) {
		valid := c.IsCA && now.After(c.NotBefore) && now.Before(c.NotAfter)
		if valid && kept < keptCAs && !slices.ContainsFunc(present, c.Equal) {
			ca = append(ca, encode(c)...)
			kept++
		}
	}
	return ca
}

// readable returns the certificates that can be read and passes over the rest.
func readable(data []byte) []*x509.Certificate {
	var certificates []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return certificates
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == certificateBlock {
			certificates = append(certificates, c)
		}
	}
}
