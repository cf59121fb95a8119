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

// hostWebhook is an admission webhook that the test process serves, for specs that need
// a second webhook in the cluster.
type hostWebhook struct {
	URL      string // for the API server
	CABundle []byte // for the API server
}

// reviewFunc answers a review; body is the review as the API server sent it. It runs
// concurrently with the spec. The caller sets the UID of the response.
type reviewFunc func(review *admissionv1.AdmissionReview, body []byte) *admissionv1.AdmissionResponse

// startHostWebhook serves review until the spec ends. It skips the spec if the API server
// cannot reach this process.
func startHostWebhook(ctx context.Context, review reviewFunc) hostWebhook {
	GinkgoHelper()
	ip := hostIP(ctx)
	certificate := selfSigned(ip)
	listener, err := net.Listen("tcp", net.JoinHostPort(ip.String(), "0"))
	Expect(err).NotTo(HaveOccurred())
	server := &http.Server{
		Handler:   review,
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

// ServeHTTP ignores write errors: the API server reports a response that it cannot use.
func (f reviewFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer GinkgoRecover() // f may contain assertions
	body, err := io.ReadAll(r.Body)
	var review admissionv1.AdmissionReview
	err = errors.Join(err, json.Unmarshal(body, &review))
	if err != nil || review.Request == nil {
		http.Error(w, "the request body is not an AdmissionReview", http.StatusBadRequest)
		return
	}
	response := f(&review, body)
	response.UID = review.Request.UID
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: response})
}

// registerMutating registers the webhook until the spec ends. The API server calls
// mutating webhooks in the order of the names of their configurations. Each of hooks
// needs a name, rules and a namespace selector. The caller must wait until the API server
// calls the webhook, which takes a moment.
func (w hostWebhook) registerMutating(ctx context.Context, name string, hooks ...admissionregistrationv1.MutatingWebhook) {
	GinkgoHelper()
	ignore, none, seconds := admissionregistrationv1.Ignore, admissionregistrationv1.SideEffectClassNone, int32(5)
	for i := range hooks {
		hook := &hooks[i]
		Expect(hook.NamespaceSelector).NotTo(BeNil(), "webhook %q has no namespace selector: it would apply to all namespaces", hook.Name)
		hook.ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &w.URL, CABundle: w.CABundle}
		hook.FailurePolicy, hook.SideEffects, hook.TimeoutSeconds = &ignore, &none, &seconds
		hook.AdmissionReviewVersions = []string{"v1"}
	}
	config := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labelMap(managedByLabel)}, Webhooks: hooks}
	unregister(ctx, config) // a killed run may have left it behind
	Expect(client.Resources().Create(ctx, config)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { unregister(ctx, config) }) // before the server stops
}

func unregister(ctx context.Context, config *admissionregistrationv1.MutatingWebhookConfiguration) {
	GinkgoHelper()
	if err := client.Resources().Delete(ctx, config); !apierrors.IsNotFound(err) {
		Expect(err).NotTo(HaveOccurred())
	}
}

// hostIP returns this machine's address in the nodes' network, for example the address
// of a Docker or podman bridge.
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
	Skip("this machine has no network interface in the subnet of a node, so the API server cannot reach a webhook on this machine")
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

// selfSigned returns a self-signed certificate for ip.
func selfSigned(ip net.IP) tls.Certificate {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		IPAddresses:  []net.IP{ip},
		NotBefore:    time.Now().Add(-time.Hour), // clocks may differ
		NotAfter:     time.Now().Add(24 * time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	Expect(err).NotTo(HaveOccurred())
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
