package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
)

// Clients are the callers that may ask the handlers: those that show a
// certificate, made for clients, of a CA in a PEM file, which is read again when
// it changes. Without Clients (nil), everybody may ask.
type Clients struct {
	cas *reloaded[bundle]
}

// LoadClients reads the CAs that are trusted first.
func LoadClients(caFile string, log *slog.Logger) (*Clients, error) {
	cas, err := reload(source[bundle]{
		name:  "client CAs",
		files: []string{caFile},
		parse: func(contents []string) (bundle, error) {
			b, err := parseBundle(contents[0])
			if err != nil {
				return bundle{}, fmt.Errorf("%s %w", caFile, err)
			}
			return b, nil
		},
		about: bundle.size,
	}, log)
	if err != nil {
		return nil, err
	}
	return &Clients{cas}, nil
}

// tlsConfig asks callers for a certificate of the CAs as they are now. A probe
// shows none; whoever shows one that does not hold ends the handshake.
func (c *Clients) tlsConfig(base *tls.Config) *tls.Config {
	if c == nil {
		return base
	}
	config := base.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := base.Clone()
		now.ClientAuth, now.ClientCAs = tls.VerifyClientCertIfGiven, c.cas.get().pool
		return now, nil
	}
	return config
}

// only lets a handler answer the clients, and answers all others with 401.
func (c *Clients) only(h http.Handler) http.Handler {
	if c == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.know(r.TLS) {
			h.ServeHTTP(w, r)
			return
		}
		const reason = "only callers that show a client certificate of a trusted CA are answered"
		c.cas.log.Warn("refused a request", "path", r.URL.Path, "status", http.StatusUnauthorized, "reason", reason, "from", r.RemoteAddr)
		http.Error(w, reason, http.StatusUnauthorized)
	})
}

// know reports whether a caller's certificate holds still: API servers keep their
// connections, perhaps for longer than a CA is trusted.
func (c *Clients) know(connection *tls.ConnectionState) bool {
	cas, now := c.cas.get(), c.cas.now()
	return slices.ContainsFunc(connection.VerifiedChains, func(chain []*x509.Certificate) bool {
		return cas.holds(chain, now)
	})
}
