package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hostWebhook is an admission webhook that the test process itself serves, for
// the specs that need one beside ours.
type hostWebhook struct {
	URL      string // what the API server calls
	CABundle []byte // what it trusts
}

// judge answers a review; body is that review as the API server sent it. It runs
// beside the spec. The response's UID is filled in for it.
type judge func(review *admissionv1.AdmissionReview, body []byte) *admissionv1.AdmissionResponse

// startHostWebhook serves judge until the spec ends. It skips the spec where the
// API server has no way to this process.
func startHostWebhook(ctx context.Context, judge judge) hostWebhook {
	GinkgoHelper()
	ip := hostIP(ctx)
	certificate := selfSigned(ip)
	listener, err := net.Listen("tcp", net.JoinHostPort(ip.String(), "0"))
	Expect(err).NotTo(HaveOccurred())
	server := &http.Server{
		Handler:   judge,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		ErrorLog:  log.New(GinkgoWriter, "host webhook: ", 0),
	}
	go func() {
		defer GinkgoRecover()
		Expect(server.ServeTLS(listener, "", "")).To(MatchError(http.ErrServerClosed))
	}()
	DeferCleanup(server.Shutdown)
	return hostWebhook{
		URL:      "https://" + listener.Addr().String(),
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}),
	}
}

// ServeHTTP leaves it to the API server to report what it cannot use.
func (j judge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer GinkgoRecover() // judge may expect
	body, err := io.ReadAll(r.Body)
	var review admissionv1.AdmissionReview
	err = errors.Join(err, json.Unmarshal(body, &review))
	if err != nil || review.Request == nil {
		http.Error(w, "this is no AdmissionReview", http.StatusBadRequest)
		return
	}
	response := j(&review, body)
	response.UID = review.Request.UID
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: response})
}

// registerMutating has the API server ask the webhook until the spec ends. The
// name decides the order: the API server asks in the order of names. Each of
// hooks needs a name, rules and a selector; what could harm the rest of the
// cluster is set here.
//
// The API server takes a moment to learn of it: wait until it asks.
func (w hostWebhook) registerMutating(ctx context.Context, name string, hooks ...admissionregistrationv1.MutatingWebhook) {
	GinkgoHelper()
	ignore, none, seconds := admissionregistrationv1.Ignore, admissionregistrationv1.SideEffectClassNone, int32(5)
	for i := range hooks {
		hook := &hooks[i]
		Expect(hook.NamespaceSelector).NotTo(BeNil(), "%s would meddle with every namespace", hook.Name)
		hook.ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &w.URL, CABundle: w.CABundle}
		hook.FailurePolicy, hook.SideEffects, hook.TimeoutSeconds = &ignore, &none, &seconds
		hook.AdmissionReviewVersions = []string{"v1"}
	}
	config := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels(managed)}, Webhooks: hooks}
	unregister(ctx, config) // a run that was killed leaves it behind
	Expect(client.Resources().Create(ctx, config)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { unregister(ctx, config) }) // before the server stops
}

func unregister(ctx context.Context, config *admissionregistrationv1.MutatingWebhookConfiguration) {
	GinkgoHelper()
	if err := client.Resources().Delete(ctx, config); !apierrors.IsNotFound(err) {
		Expect(err).NotTo(HaveOccurred())
	}
}

// hostIP is this machine's address in the nodes' network: a bridge of podman or
// of Docker, for example.
func hostIP(ctx context.Context) net.IP {
	GinkgoHelper()
	addresses, err := net.InterfaceAddrs()
	Expect(err).NotTo(HaveOccurred())
	nodes := nodeIPs(ctx)
	for _, address := range addresses {
		subnet, ok := address.(*net.IPNet)
		for _, node := range nodes {
			if ok && subnet.Contains(node) {
				return subnet.IP
			}
		}
	}
	Skip("no network interface of this machine shares a subnet with the node, so the API server cannot reach a webhook that runs here")
	return nil
}

func nodeIPs(ctx context.Context) (ips []net.IP) {
	GinkgoHelper()
	var nodes corev1.NodeList
	Expect(client.Resources().List(ctx, &nodes)).To(Succeed())
	for _, node := range nodes.Items {
		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP {
				ips = append(ips, net.ParseIP(address.Address))
			}
		}
	}
	return ips
}

// selfSigned is a certificate for ip that is its own authority.
func selfSigned(ip net.IP) tls.Certificate {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		IPAddresses:  []net.IP{ip},
		NotBefore:    time.Now().Add(-time.Hour), // the clocks may differ
		NotAfter:     time.Now().Add(24 * time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	Expect(err).NotTo(HaveOccurred())
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
