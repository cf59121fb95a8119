package certgen

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxEarlierCAs is the number of earlier CAs that stay in the bundle. Two are enough while
// two consecutive repairs reach the pods, and the bundle cannot grow without limit.
const maxEarlierCAs = 2

// parseCertificates parses PEM data that must contain only certificates. The
// webhook configurations publish the CA, so a private key in the data is an error.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for rest := bytes.TrimSpace(data); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("text that is not PEM")
		}
		if block.Type != certificateBlock {
			return nil, fmt.Errorf("unexpected PEM block %q: only certificates are allowed", block.Type)
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

// appendEarlierCAs appends the CAs of the old bundle that are still valid and not yet
// in the new bundle. Pods that still serve the old certificate stay trusted until the
// new Secret reaches them.
func appendEarlierCAs(bundle, old []byte, now time.Time) []byte {
	appended := 0
	present := parseValid(bundle)
	for _, c := range parseValid(old) {
		valid := c.IsCA && now.After(c.NotBefore) && now.Before(c.NotAfter)
		if valid && appended < maxEarlierCAs && !slices.ContainsFunc(present, c.Equal) {
			bundle = append(bundle, encodeCertificates(c)...)
			appended++
		}
	}
	return bundle
}

// parseValid returns the certificates that can be parsed and skips everything else.
func parseValid(data []byte) []*x509.Certificate {
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

func newPool(certificates []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certificates {
		p.AddCert(c)
	}
	return p
}
