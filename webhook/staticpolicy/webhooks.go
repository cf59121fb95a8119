package staticpolicy

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/webhook/celpolicy"
)

const (
	// ClientCertificate is the certificate of the API server for the webhook, whose key is beside it.
	ClientCertificate = "client.crt"
	clientKey         = "client.key"

	// webhookAdmission is the kind of the configuration of the plugins that call webhooks.
	webhookAdmission = "WebhookAdmissionConfiguration"
	// kubeconfigFile has the client certificate with which the API server calls the webhook.
	kubeconfigFile = "webhook-kubeconfig.yaml"
	scheme         = "https://"
	// podHost is where the static pod of deploy/image-policy listens.
	podHost = "127.0.0.1:9443"
	// denyingWebhook is the only webhook that denies.
	denyingWebhook = "validating.image-webhook.dev"
)

// Webhook is a webhook on each control-plane node, such as the static pod of deploy/image-policy.
type Webhook struct {
	URL    string // https://HOST:PORT
	CA     []byte // its CAs, in PEM
	Hybrid bool   // it only mirrors and warns: a policy denies
}

// Check returns an error unless an API server can call the webhook.
func (w *Webhook) Check() error {
	u, err := url.Parse(w.URL)
	if err != nil || u.Hostname() == "" || u.Port() == "" || w.URL != scheme+u.Host {
		return fmt.Errorf("invalid URL %q: use https://HOST:PORT, such as %s", w.URL, scheme+podHost)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(w.CA) {
		return errors.New("the file of the CA has no PEM certificate: use the ca.crt that deploy/image-policy/certificates.sh created")
	}
	return nil
}

// configurations returns the webhook configurations of deploy/05, or those of deploy/hybrid, for the webhook. It
// panics if a manifest is invalid, because it is part of the program.
func (w *Webhook) configurations() (configurations []map[string]any) {
	manifests := deploy.Files()
	if w.Hybrid {
		manifests = deploy.HybridFiles()
	}
	for _, manifest := range manifests {
		documents, err := deploy.Documents(manifest.Content)
		if err != nil {
			panic(fmt.Sprintf("%s: %v", manifest.Name, err))
		}
		for _, document := range documents {
			var object map[string]any
			if err := yaml.Unmarshal(document, &object); err != nil {
				panic(fmt.Sprintf("%s: %v", manifest.Name, err))
			}
			if webhooks, ok := object["webhooks"].([]any); ok {
				metadata := object["metadata"].(map[string]any)
				metadata["name"] = metadata["name"].(string) + Suffix
				for _, webhook := range webhooks {
					w.move(webhook.(map[string]any))
				}
				configurations = append(configurations, object)
			}
		}
	}
	return configurations
}

// move lets the API server call this webhook instead of the Service. The webhook that denies is on Fail, which 06
// sets in the API, and does not judge the pods with which 06 and 07 try the webhook in the cluster.
func (w *Webhook) move(webhook map[string]any) {
	service := webhook["clientConfig"].(map[string]any)["service"].(map[string]any)
	webhook["clientConfig"] = map[string]any{
		"url": w.URL + service["path"].(string), "caBundle": base64.StdEncoding.EncodeToString(w.CA),
	}
	if webhook["name"] == denyingWebhook {
		webhook["failurePolicy"] = "Fail"
		condition, err := runtime.DefaultUnstructuredConverter.ToUnstructured(new(celpolicy.NotAProbe()))
		if err != nil {
			panic(err) // it has only strings
		}
		webhook["matchConditions"] = append(webhook["matchConditions"].([]any), condition)
	}
}

// kubeconfig returns the file with the client certificate, also without a webhook, because the API server reads
// it only when it starts.
func kubeconfig(o Options) map[string]any {
	host := podHost
	if o.Webhook != nil {
		host = strings.TrimPrefix(o.Webhook.URL, scheme)
	}
	return map[string]any{"apiVersion": "v1", "kind": "Config", "users": []any{map[string]any{
		"name": host, "user": map[string]any{
			"client-certificate": path.Join(o.Path, ClientCertificate), "client-key": path.Join(o.Path, clientKey),
		},
	}}}
}
