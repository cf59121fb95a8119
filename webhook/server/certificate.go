package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"
)

// Certificate is the key pair of the server in two PEM files, read again when
// they change.
type Certificate struct {
	pair *reloaded[*tls.Certificate]
}

// LoadCertificate reads the pair that is served first.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	pair, err := reload(source[*tls.Certificate]{
		name:  "certificate",
		files: []string{certFile, keyFile},
		parse: func(contents []string) (*tls.Certificate, error) {
			pair, err := tls.X509KeyPair([]byte(contents[0]), []byte(contents[1]))
			if err != nil {
				return nil, fmt.Errorf("%s with %s: %w", certFile, keyFile, err)
			}
			return &pair, nil
		},
		about: expiry,
	}, log)
	if err != nil {
		return nil, err
	}
	return &Certificate{pair}, nil
}

// expiry is the day on which a certificate ends.
func expiry(pair *tls.Certificate) slog.Attr {
	return slog.String("expires", pair.Leaf.NotAfter.Format(time.DateOnly))
}

// tlsConfig shows the certificate as it is now to everybody.
func (c *Certificate) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.get(), nil },
	}
}
