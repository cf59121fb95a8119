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

// mergeBundle returns a bundle of the required CAs, followed by those CAs of the present bundle
// that are valid and for which keep returns true. Equal inputs give equal bundles, so that
// concurrent runs agree.
func mergeBundle(required []*x509.Certificate, present []byte, keep func(*x509.Certificate) bool, now time.Time) []byte {
	var bundle []*x509.Certificate
	for _, c := range required {
		if !slices.ContainsFunc(bundle, c.Equal) {
			bundle = append(bundle, c)
		}
	}
	for _, c := range parseValid(present) {
		if isValidCA(c, now) && !slices.ContainsFunc(bundle, c.Equal) && keep(c) {
			bundle = append(bundle, c)
		}
	}
	return encodeCertificates(bundle...)
}

func isValidCA(c *x509.Certificate, now time.Time) bool {
	return c.IsCA && now.After(c.NotBefore) && now.Before(c.NotAfter)
}

func keepAll(*x509.Certificate) bool { return true }

// signs reports whether a chain, which begins with the server's certificate, is valid with ca as
// the only root.
func signs(ca *x509.Certificate, chain []*x509.Certificate, now time.Time) bool {
	options := x509.VerifyOptions{Roots: NewPool([]*x509.Certificate{ca}), Intermediates: NewPool(chain[1:]), CurrentTime: now}
	_, err := chain[0].Verify(options)
	return err == nil
}

// containsAll reports whether a bundle contains all of the CAs.
func containsAll(bundle []byte, cas []*x509.Certificate) bool {
	return countMissing(bundle, encodeCertificates(cas...)) == 0
}

// countMissing returns how many certificates of wanted a bundle does not contain.
func countMissing(bundle, wanted []byte) (count int) {
	present := parseValid(bundle)
	for _, c := range parseValid(wanted) {
		if !slices.ContainsFunc(present, c.Equal) {
			count++
		}
	}
	return count
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

// NewPool returns a pool of certificates.
func NewPool(certificates []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certificates {
		p.AddCert(c)
	}
	return p
}
