package nodemirrors

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestPolicyHasTheMirrorsThatTheNodesReach(t *testing.T) {
	policy, err := readPolicy()
	if err != nil {
		t.Fatal(err)
	}
	want := "origin.example=docker.mirror.example/origin,docker.io=docker.mirror.example,registry.k8s.io=k8s.mirror.example"
	if diff := cmp.Diff(want, policy.mirrors.String()); diff != "" {
		t.Errorf("rules (-want +got): change mirrorHosts too\n%s", diff)
	}
	if len(policy.version) != 12 {
		t.Errorf("the version is %q, want 12 digits", policy.version)
	}
}

func TestCertificateIsTrustedForEachName(t *testing.T) {
	secret, err := newSecret()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(secret.Data[corev1.TLSCertKey])
	for _, host := range []string{"docker.mirror.example", "k8s.mirror.example", "origin.example"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: trusted}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}
