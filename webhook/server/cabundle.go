package server

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// caBundle contains the CAs of one PEM file.
type caBundle struct {
	cas  []*x509.Certificate
	pool *x509.CertPool
}

// parseCABundle parses PEM text, which must contain at least one certificate.
func parseCABundle(text string) (caBundle, error) {
	cas, err := parseCertificates(text)
	if err != nil {
		return caBundle{}, err
	}
	if len(cas) == 0 {
		return caBundle{}, errors.New("no PEM certificate")
	}
	bundle := caBundle{cas, x509.NewCertPool()}
	for _, ca := range cas {
		bundle.pool.AddCert(ca)
	}
	return bundle, nil
}

// certificateBlock is the type of PEM blocks that hold a certificate.
const certificateBlock = "CERTIFICATE"

// parseCertificates returns all certificates of a PEM text. It returns an error if one
// is invalid or truncated, so that no CA is ignored silently.
func parseCertificates(text string) (certs []*x509.Certificate, err error) {
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != certificateBlock {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("invalid certificate: %w", err)
		}
		certs = append(certs, cert)
	}
	if len(certs) < strings.Count(text, "-----BEGIN "+certificateBlock+"-----") {
		return nil, errors.New("truncated certificate")
	}
	return certs, nil
}

// logAttr returns the log attribute that describes the bundle.
func (b caBundle) logAttr() slog.Attr { return slog.Int("certificates", len(b.cas)) }

// trusts reports whether a chain that was verified earlier is still valid: its
// certificate has not expired and its CA is still in the bundle.
func (b caBundle) trusts(chain []*x509.Certificate, now time.Time) bool {
	return now.Before(chain[0].NotAfter) && slices.ContainsFunc(b.cas, chain[len(chain)-1].Equal)
}
