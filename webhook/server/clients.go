package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/image-webhook/image-webhook/webhook/reload"
)

// Clients admits only callers that present a client certificate of a CA in a PEM file.
// The file is reloaded when it changes. A nil Clients admits all callers.
type Clients struct {
	cas *reload.Value[caBundle]
	log *slog.Logger
}

// LoadClients loads the CAs from a PEM file.
func LoadClients(caFile string, log *slog.Logger) (*Clients, error) {
	cas, err := reload.New(reload.Source[caBundle]{
		Name:  "client CAs",
		Files: []string{caFile},
		Parse: func(contents []string) (caBundle, error) {
			bundle, err := parseCABundle(contents[0])
			if err != nil {
				return caBundle{}, fmt.Errorf("%s: %w", caFile, err)
			}
			return bundle, nil
		},
		LogAttr: caBundle.logAttr,
	}, log)
	if err != nil {
		return nil, err
	}
	return &Clients{cas, log}, nil
}

// Reloads returns the reloads of the CAs.
func (c *Clients) Reloads() reload.Reloads { return c.cas.Reloads() }

// tlsConfig returns base with client authentication. The handshake requests a client
// certificate and verifies it with the current CAs. It succeeds without a certificate,
// because probes have none, and fails with an invalid one.
func (c *Clients) tlsConfig(base *tls.Config) *tls.Config {
	if c == nil {
		return base
	}
	config := base.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		current := base.Clone()
		current.ClientAuth, current.ClientCAs = tls.VerifyClientCertIfGiven, c.cas.Get().pool
		return current, nil
	}
	return config
}

// requireCertificate returns h with authentication: callers without a trusted
// certificate get 401, which refused counts.
func (c *Clients) requireCertificate(h http.Handler, refused func(status int)) http.Handler {
	if c == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.trusts(r.TLS) {
			h.ServeHTTP(w, r)
			return
		}
		refused(http.StatusUnauthorized)
		const reason = "client certificate required: present one that a trusted CA has signed"
		c.log.Warn("refused a request", "path", r.URL.Path, "status", http.StatusUnauthorized, "reason", reason, "from", r.RemoteAddr)
		http.Error(w, reason, http.StatusUnauthorized)
	})
}

// trusts reports whether the certificate of a connection is still valid. API servers
// can keep a connection open for longer than its CA is trusted.
func (c *Clients) trusts(connection *tls.ConnectionState) bool {
	cas, now := c.cas.Get(), c.cas.Now()
	return slices.ContainsFunc(connection.VerifiedChains, func(chain []*x509.Certificate) bool {
		return cas.trusts(chain, now)
	})
}
