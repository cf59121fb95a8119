package integration

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
	"github.com/image-webhook/image-webhook/tools/markdown"
	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

const (
	policyPage = root + "/docs/policy.md"
	// imageTable is the head of a table with the results of the policy above it.
	imageTable = "\n| image | result |\n| --- | --- |\n"
)

// pageExample is a section of policyPage with a table of images.
type pageExample struct {
	title  string
	policy string
	args   []string // of the webhook without the policy; may be empty
	images []pageImage
}

// pageImage is a row of the table: an image, and what the webhook does with it.
type pageImage struct {
	image  string
	stored string // empty if the image is denied
	secret string // the Secret that the pod gets; may be empty
	denial string // a part of the denial
}

// imageRow is a row of imageTable.
var imageRow = regexp.MustCompile("^\\| `([^`]+)` \\| (?:stored (?:unchanged|as `([^`]+)`)(?:, with the Secret `([^`]+)`)?|denied: `([^`]+)`) \\|$")

func readPageExamples(t *testing.T) (examples []pageExample) {
	t.Helper()
	content, err := os.ReadFile(policyPage)
	if err != nil {
		t.Fatal(err)
	}
	for section := range strings.SplitSeq(strings.ReplaceAll(string(content), "\n### ", "\n## "), "\n## ") {
		if _, table, found := strings.Cut(section, imageTable); found {
			examples = append(examples, readPageExample(t, section, table))
		}
	}
	if len(examples) < 7 {
		t.Fatalf("found %d policies with a table in %s: the check is broken", len(examples), policyPage)
	}
	return examples
}

// readPageExample reads a section whose table begins with the row at the start of table.
func readPageExample(t *testing.T, section, table string) (e pageExample) {
	t.Helper()
	e.title, _, _ = strings.Cut(section, "\n")
	for _, block := range markdown.Parse([]byte(section)).Blocks {
		var fields struct {
			Kind string
			Args []string
		}
		if block.Info != "yaml" {
			continue
		} else if err := yaml.Unmarshal([]byte(block.Text), &fields); err != nil {
			t.Fatalf("%s: %v", e.title, err)
		}
		if fields.Kind == "ImagePolicy" {
			e.policy = block.Text
		}
		if len(fields.Args) > 0 {
			e.args = fields.Args
		}
	}
	rows, _, _ := strings.Cut(table, "\n\n")
	for row := range strings.Lines(rows) {
		match := imageRow.FindStringSubmatch(strings.TrimSpace(row))
		if match == nil {
			t.Fatalf("%s: the row %q says neither what is stored nor why the image is denied", e.title, row)
		}
		image := pageImage{match[1], match[2], match[3], match[4]}
		if image.stored == "" && image.denial == "" {
			image.stored = image.image
		}
		e.images = append(e.images, image)
	}
	if e.policy == "" || len(e.images) == 0 {
		t.Fatalf("%s: a table of images needs a policy and a row", e.title)
	}
	return e
}

func TestPoliciesOfThePageHaveTheirResults(t *testing.T) {
	t.Parallel()
	server := standardServer(t)
	for _, e := range readPageExamples(t) {
		t.Run(e.title, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "policy.yaml")
			write(t, file, []byte(e.policy))
			server.checkImages(t, e.images, "serve", "--config="+file)
		})
		if len(e.args) > 0 {
			t.Run(e.title+" with flags", func(t *testing.T) {
				t.Parallel()
				server.checkImages(t, e.images, e.args...)
			})
		}
	}
}

// checkImages creates a pod for each image in a namespace that only a new process of the webhook
// with these arguments checks.
func (s *testServer) checkImages(t *testing.T, images []pageImage, args ...string) {
	t.Helper()
	namespace := s.startOwnWebhook(t, args...)
	isMirrored := func(row pageImage) bool { return row.stored != "" && row.stored != row.image }
	if i := slices.IndexFunc(images, isMirrored); i >= 0 {
		waitUntil(t, "the API server calls the mutating webhook", func() bool {
			pod, err := s.dryRun(t, newPod(namespace, "probe", images[i].image))
			return err == nil && pod.Spec.Containers[0].Image != images[i].image
		})
	}
	for _, row := range images {
		pod := newPod(namespace, "", row.image)
		pod.GenerateName = "row-"
		stored, err := s.create(t, pod)
		if row.denial != "" {
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), row.denial) {
				t.Errorf("%s: got error %v, want a denial with %q", row.image, err, row.denial)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", row.image, err)
			continue
		}
		var secrets []corev1.LocalObjectReference
		if row.secret != "" {
			secrets = []corev1.LocalObjectReference{{Name: row.secret}}
		}
		if got := stored.Spec.Containers[0].Image; got != row.stored || !slices.Equal(stored.Spec.ImagePullSecrets, secrets) {
			t.Errorf("%s: stored as %s with the Secrets %v, want %s and %v", row.image, got, stored.Spec.ImagePullSecrets, row.stored, secrets)
		}
	}
}

// startOwnWebhook starts a process of the webhook and returns a new namespace, in which the API
// server calls it instead of the installed webhook. It returns when the validating webhook answers.
func (s *testServer) startOwnWebhook(t *testing.T, args ...string) (namespace string) {
	t.Helper()
	program, err := webhookProgram()
	if err != nil {
		t.Fatal(err)
	}
	pair := servertest.New(t, t.TempDir())
	args = slices.Concat(args, []string{"--server-addr=127.0.0.1:0", "--metrics-addr=0", "--tls-cert=" + pair.CertFile, "--tls-key=" + pair.KeyFile})
	process, err := localinstall.StartProcess(t.Context(), program, args, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		}
	})
	namespace = s.namespace(t, map[string]string{"image-webhook.dev/mode": "off"})
	s.registerInstead(t, namespace, process.Addr, pair)
	waitUntil(t, "the API server calls the validating webhook", func() bool {
		_, err := s.dryRun(t, newPod(namespace, "probe", "Nginx:1"))
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "invalid reference")
	})
	return namespace
}

// registerInstead registers the webhook at an address for one namespace, with the rules and
// conditions of the installed webhook.
func (s *testServer) registerInstead(t *testing.T, namespace, addr string, pair servertest.KeyPair) {
	t.Helper()
	client := func(installed admissionregistrationv1.WebhookClientConfig) admissionregistrationv1.WebhookClientConfig {
		return admissionregistrationv1.WebhookClientConfig{
			URL:      new("https://" + addr + *installed.Service.Path),
			CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Leaf.Raw}),
		}
	}
	validating, mutating := s.configurations(t)
	v, m := validating[0].Webhooks[0], mutating[0].Webhooks[0]
	v.ClientConfig, v.NamespaceSelector, v.FailurePolicy = client(v.ClientConfig), namespaceSelector(namespace), new(admissionregistrationv1.Fail)
	m.ClientConfig, m.NamespaceSelector, m.FailurePolicy = client(m.ClientConfig), namespaceSelector(namespace), new(admissionregistrationv1.Fail)
	meta := metav1.ObjectMeta{Name: "page-" + namespace}
	s.registerMutating(t, &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.MutatingWebhook{m}})
	s.registerValidating(t, &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.ValidatingWebhook{v}})
}
