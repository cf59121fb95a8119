package staticpolicy

import (
	"encoding/base64"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/image-webhook/image-webhook/webhook/celpolicy"
	"github.com/image-webhook/image-webhook/webhook/generatedfiles"
	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

// called is how an API server calls a webhook.
type called struct {
	URL        string
	Failure    admissionregistrationv1.FailurePolicyType
	Conditions []string
}

// calledWebhooks returns the webhooks in the files, by their configuration and name.
func calledWebhooks(t *testing.T, w *Webhook) map[string]called {
	t.Helper()
	files, err := Files(&celpolicy.Objects{}, Options{Path: "/etc/x", Webhook: w})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]called{}
	for _, file := range files[:len(plugins)] {
		for _, object := range objectsIn(t, file) {
			if !strings.HasSuffix(object.GetKind(), "WebhookConfiguration") {
				continue
			}
			// The fields that are read are the same for validating and mutating webhooks.
			var configuration admissionregistrationv1.ValidatingWebhookConfiguration
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &configuration); err != nil {
				t.Fatal(err)
			}
			for _, webhook := range configuration.Webhooks {
				c := called{URL: *webhook.ClientConfig.URL, Failure: *webhook.FailurePolicy}
				for _, condition := range webhook.MatchConditions {
					c.Conditions = append(c.Conditions, condition.Name)
				}
				if webhook.ClientConfig.Service != nil || string(webhook.ClientConfig.CABundle) != string(w.CA) {
					t.Errorf("%s: the client configuration is %v", webhook.Name, webhook.ClientConfig)
				}
				found[strings.ReplaceAll(file.Path+" "+configuration.Name+" "+webhook.Name, "/image-webhook.yaml", "")] = c
			}
		}
	}
	return found
}

func TestWebhooksAreThoseOfTheForm(t *testing.T) {
	const (
		mutating = "mutating-webhooks image-webhook.static.k8s.io mutating.image-webhook.dev"
		warnings = "validating-webhooks image-webhook-warnings.static.k8s.io "
	)
	pods := []string{"images-are-new", "not-a-static-pod", "not-cloudnative-pg"}
	webhook := map[string]called{
		mutating: {"https://127.0.0.1:9443/mutating", "Ignore", pods},
		"validating-webhooks image-webhook.static.k8s.io validating.image-webhook.dev": {
			"https://127.0.0.1:9443/validating", "Fail", []string{"images-are-new", "not-a-static-pod", "not-a-probe"},
		},
		warnings + "warn.image-webhook.dev":         {"https://127.0.0.1:9443/validating/warn", "Ignore", []string{"spec-changed", "pod-or-no-controller", "not-a-static-pod"}},
		warnings + "workloads.image-webhook.dev":    {"https://127.0.0.1:9443/validating", "Ignore", []string{"spec-changed", "no-controller"}},
		warnings + "unknown-mode.image-webhook.dev": {"https://127.0.0.1:9443/validating/unknown-mode", "Ignore", nil},
	}
	hybrid := map[string]called{
		mutating:                                    {"https://127.0.0.1:9443/mutating/warn", "Ignore", pods},
		warnings + "warn.image-webhook.dev":         {"https://127.0.0.1:9443/validating/warn", "Ignore", []string{"spec-changed", "pod-or-no-controller"}},
		warnings + "workloads.image-webhook.dev":    webhook[warnings+"workloads.image-webhook.dev"],
		warnings + "unknown-mode.image-webhook.dev": webhook[warnings+"unknown-mode.image-webhook.dev"],
	}
	for _, tt := range []struct {
		name   string
		hybrid bool
		want   map[string]called
	}{{"webhook", false, webhook}, {"hybrid", true, hybrid}} {
		t.Run(tt.name, func(t *testing.T) {
			got := calledWebhooks(t, &Webhook{URL: "https://127.0.0.1:9443", CA: []byte("the CA"), Hybrid: tt.hybrid})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("webhooks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKubeconfigHasTheHostOfTheWebhook(t *testing.T) {
	for url, want := range map[string]string{"": "127.0.0.1:9443", "https://[::1]:8443": "'[::1]:8443'"} {
		options := Options{Path: "/etc/x"}
		if url != "" {
			options.Webhook = &Webhook{URL: url}
		}
		files, err := Files(&celpolicy.Objects{}, options)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(files, func(f generatedfiles.File) bool { return f.Path == kubeconfigFile })
		_, got, _ := strings.Cut(files[i].Content, "\n\n")
		want := "apiVersion: v1\nkind: Config\nusers:\n- name: " + want + "\n  user:\n    client-certificate: /etc/x/client.crt\n    client-key: /etc/x/client.key\n"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", url, diff)
		}
	}
}

func TestCheckRefusesAWebhookThatCannotBeCalled(t *testing.T) {
	ca, err := os.ReadFile(servertest.NewCA(t, t.TempDir()).File)
	if err != nil {
		t.Fatal(err)
	}
	const form = ": use https://HOST:PORT, such as https://127.0.0.1:9443"
	for _, tt := range []struct {
		url  string
		ca   []byte
		want string // empty: no error
	}{
		{"https://127.0.0.1:9443", ca, ""},
		{"https://webhook.example:443", ca, ""},
		{"", ca, `invalid URL ""` + form},
		{"http://127.0.0.1:9443", ca, `invalid URL "http://127.0.0.1:9443"` + form},
		{"127.0.0.1:9443", ca, `invalid URL "127.0.0.1:9443"` + form},
		{"https://127.0.0.1", ca, `invalid URL "https://127.0.0.1"` + form},
		{"https://:9443", ca, `invalid URL "https://:9443"` + form},
		{"https://127.0.0.1:9443/", ca, `invalid URL "https://127.0.0.1:9443/"` + form},
		{"https://127.0.0.1:9443/validating", ca, `invalid URL "https://127.0.0.1:9443/validating"` + form},
		{"https://user@127.0.0.1:9443", ca, `invalid URL "https://user@127.0.0.1:9443"` + form},
		{"https://127.0.0.1:9443?x=y", ca, `invalid URL "https://127.0.0.1:9443?x=y"` + form},
		{"https://127.0.0.1:9443", nil, "the file of the CA has no PEM certificate: use the ca.crt that deploy/image-policy/certificates.sh created"},
		{"https://127.0.0.1:9443", []byte(base64.StdEncoding.EncodeToString(ca)), "the file of the CA has no PEM certificate: use the ca.crt that deploy/image-policy/certificates.sh created"},
	} {
		got := ""
		if err := (&Webhook{URL: tt.url, CA: tt.ca}).Check(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q: got the error %q, want %q", tt.url, got, tt.want)
		}
	}
}
