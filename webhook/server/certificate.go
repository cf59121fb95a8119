package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/image-webhook/image-webhook/webhook/reload"
)

// Certificate is the server's certificate and private key in two PEM files. It is
// reloaded when the files change.
type Certificate struct {
	pair *reload.Value[*tls.Certificate]
}

// LoadCertificate loads the certificate and its key.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	pair, err := reload.New(reload.Source[*tls.Certificate]{
		Name:  "certificate",
		Files: []string{certFile, keyFile},
		Parse: func(contents []string) (*tls.Certificate, error) {
			pair, err := tls.X509KeyPair([]byte(contents[0]), []byte(contents[1]))
			if err != nil {
				return nil, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
			}
			return &pair, nil
		},
		LogAttr: expiryDate,
	}, log)
	if err != nil {
		return nil, err
	}
	return &Certificate{pair}, nil
}

// NotAfter returns when the current certificate expires.
func (c *Certificate) NotAfter() time.Time { return c.pair.Get().Leaf.NotAfter }

// Reloads returns the reloads of the certificate.
func (c *Certificate) Reloads() reload.Reloads { return c.pair.Reloads() }

// expiryDate returns the expiry date of a certificate as a log attribute.
func expiryDate(pair *tls.Certificate) slog.Attr {
	return slog.String("expires", pair.Leaf.NotAfter.Format(time.DateOnly))
}

// tlsConfig returns a configuration that uses the current certificate in each
// handshake.
func (c *Certificate) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		// Otherwise Go sends the first 128 KiB of a connection in packets of 1.4 KB, each with
		// a system call. That helps browsers, which can use a part of an answer.
		DynamicRecordSizingDisabled: true,
		GetCertificate:              func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Get(), nil },
	}
}
