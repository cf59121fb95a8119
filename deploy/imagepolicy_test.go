package deploy_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The pairs that certificates.sh makes prove their owners, for what they are made for
// and for nothing else. (What is made of the other files is tested on an API server,
// in e2e/integration.)
func TestCertificatesForThePlugin(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("the script needs openssl")
	}
	dir := filepath.Join(t.TempDir(), "image-webhook")
	for range 2 { // also over those of last year
		if output, err := exec.CommandContext(t.Context(), "image-policy/certificates.sh", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
	}
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatal("the CA is none", err)
	}
	for _, tt := range []struct {
		name  string
		use   x509.ExtKeyUsage
		host  string
		wrong x509.ExtKeyUsage
	}{
		{"server", x509.ExtKeyUsageServerAuth, "127.0.0.1", x509.ExtKeyUsageClientAuth},
		{"client", x509.ExtKeyUsageClientAuth, "", x509.ExtKeyUsageServerAuth},
	} {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, tt.name+".crt"), filepath.Join(dir, tt.name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		options := x509.VerifyOptions{Roots: roots, DNSName: tt.host, KeyUsages: []x509.ExtKeyUsage{tt.use}}
		if _, err := pair.Leaf.Verify(options); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		options.KeyUsages = []x509.ExtKeyUsage{tt.wrong}
		if _, err := pair.Leaf.Verify(options); err == nil {
			t.Errorf("%s can be used as the other side", tt.name)
		}
		if info, err := os.Stat(filepath.Join(dir, tt.name+".key")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s.key has mode %v, %v", tt.name, info.Mode(), err)
		}
	}
}
