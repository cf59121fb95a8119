package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// recheck is how long a certificate is served before its files are looked at
// again. The files are small and in memory (a mounted Secret), so comparing
// their content costs less than a handshake and cannot be fooled by times.
const recheck = time.Second

// Certificate is a key pair in two PEM files, read again when they change, so
// that a renewed Secret needs no restart. Whatever becomes of the files, the
// last good pair is served: while a Secret is replaced, they may for a moment
// not belong together.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu      sync.Mutex
	files   pem
	pair    *tls.Certificate
	checked time.Time
	problem string // logged already
}

// LoadCertificate reads the pair that is served first.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log, now: time.Now}
	c.checked = c.now()
	if _, err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// get is the GetCertificate of a tls.Config.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= recheck {
		c.checked = now
		c.reload()
	}
	return c.pair, nil
}

// reload takes over a changed pair, or logs, once, why it cannot.
func (c *Certificate) reload() {
	changed, err := c.load()
	switch {
	case err == nil:
		c.problem = ""
	case err.Error() != c.problem:
		c.problem = err.Error()
		c.log.Error("keeping the old certificate", "expires", c.expiry(), "problem", err)
	}
	if changed {
		c.log.Info("reloaded the certificate", "expires", c.expiry())
	}
}

// load reads the files and reports whether they hold another pair than before.
func (c *Certificate) load() (changed bool, err error) {
	files, err := readPEM(c.certFile, c.keyFile)
	if err != nil || c.pair != nil && files == c.files {
		return false, err
	}
	pair, err := tls.X509KeyPair([]byte(files.cert), []byte(files.key))
	if err != nil {
		return false, fmt.Errorf("%s with %s: %w", c.certFile, c.keyFile, err)
	}
	c.files, c.pair = files, &pair
	return true, nil
}

// expiry returns the day on which the served certificate ends.
func (c *Certificate) expiry() string {
	return c.pair.Leaf.NotAfter.Format(time.DateOnly)
}

// pem is the content of a certificate file and of its key's file.
type pem struct{ cert, key string }

func readPEM(certFile, keyFile string) (pem, error) {
	cert, err := readFile(certFile)
	if err != nil {
		return pem{}, err
	}
	key, err := readFile(keyFile)
	return pem{cert, key}, err
}

// maxFile bounds a file; a Secret has at most 1 MiB.
const maxFile = 1 << 20

// readFile refuses what is no ordinary file: a device or a pipe could keep the
// server from ever starting.
func readFile(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return "", fmt.Errorf("%s is no file of at most 1 MiB", name)
	}
	content, err := os.ReadFile(name)
	return string(content), err
}
