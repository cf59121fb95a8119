package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
	"github.com/image-webhook/image-webhook/tools/kubebuild"
	"github.com/image-webhook/image-webhook/tools/subprocess"
)

// covered is the outcome of a request with the components.
type covered struct {
	Denied, Warned bool
	Stored         string // the image; empty if the request is denied
}

// A namespace without a mode is not covered, because of the component opt-in. A pod with the label
// keeps its images, because of the component mirror-opt-out.
var (
	ignored  = func(image string) covered { return covered{Stored: image} }
	onMirror = covered{Stored: mirroredImage}
	refused  = covered{Denied: true, Warned: true}
)

const (
	keepLabel   = `"image-webhook.dev/mirror":"off",`
	removeLabel = `{"op":"remove","path":"/metadata/labels/image-webhook.dev~1mirror"}`
	addLabel    = `{"op":"add","path":"/metadata/labels/image-webhook.dev~1mirror","value":"off"}`
	setImage    = `{"op":"replace","path":"/spec/containers/0/image","value":"IMAGE"}`
)

// componentCase is a request of TestComponentsDecideWhatIsCovered.
type componentCase struct {
	name, mode string
	labels     string // of the pod, as JSON
	patch      string // of a pod that exists, as JSON; empty: the request creates the pod
	image      string
	want       covered
}

func TestComponentsDecideWhatIsCovered(t *testing.T) {
	t.Parallel()
	server := startWithComponents(t, deploy.OptIn, deploy.MirrorOptOut)
	namespaces := map[string]string{}
	for _, m := range modes {
		namespaces[m.name] = server.namespace(t, m.labels())
	}
	for i, tt := range []componentCase{
		{"opt-in, create", "none", "", "", "nginx:1.25", ignored("nginx:1.25")},
		{"opt-in, create with latest", "none", "", "", "nginx:latest", ignored("nginx:latest")},
		{"opt-in, create with an invalid reference", "none", "", "", "Nginx:1", ignored("Nginx:1")},
		{"opt-in, change to latest", "none", "", "[" + setImage + "]", "nginx:latest", ignored("nginx:latest")},
		{"opt-in, debug with latest", "none", "", addEphemeral, "nginx:latest", ignored("nginx:latest")},
		{"opt-in, create", "off", "", "", "nginx:latest", ignored("nginx:latest")},
		{"opt-in, create", "deny", "", "", "nginx:1.25", onMirror},
		{"opt-in, create with latest", "deny", "", "", "nginx:latest", refused},
		{"opt-in, create with latest", "warn", "", "", "nginx:latest", covered{Warned: true, Stored: "docker.mirror.example/library/nginx:latest"}},
		{"opt-in, create with latest", "of", "", "", "nginx:latest", refused},

		{"label, create", "deny", keepLabel, "", "nginx:1.25", ignored("nginx:1.25")},
		{"label, create with latest", "deny", keepLabel, "", "nginx:latest", refused},
		{"label, create with latest", "warn", keepLabel, "", "nginx:latest", covered{Warned: true, Stored: "nginx:latest"}},
		{"label, create without a tag", "deny", keepLabel, "", "quay.io/team/app", refused},
		{"label, change", "deny", keepLabel, "[" + setImage + "]", "nginx:1.25", ignored("nginx:1.25")},
		{"label, change to latest", "deny", keepLabel, "[" + setImage + "]", "nginx:latest", refused},
		{"label, debug", "deny", keepLabel, addEphemeral, "nginx:1.25", ignored("nginx:1.25")},
		{"label, debug with latest", "deny", keepLabel, addEphemeral, "nginx:latest", refused},
		{"label, debug with latest", "warn", keepLabel, addEphemeral, "nginx:latest", covered{Warned: true, Stored: "nginx:latest"}},
		{"another value of the label", "deny", `"image-webhook.dev/mirror":"on",`, "", "nginx:1.25", onMirror},

		// The API server compares the selector with the old and with the new pod.
		{"add the label and change", "deny", "", "[" + addLabel + "," + setImage + "]", "nginx:1.25", onMirror},
		{"remove the label and change", "deny", keepLabel, "[" + removeLabel + "," + setImage + "]", "nginx:1.25", onMirror},
		{"remove the label and change to latest", "deny", keepLabel, "[" + removeLabel + "," + setImage + "]", "nginx:latest", refused},
		{"remove the label", "deny", keepLabel, "[" + removeLabel + "]", "", ignored(allowedImage)},
	} {
		t.Run(tt.mode+"/"+tt.name, func(t *testing.T) {
			t.Parallel()
			name := fmt.Sprintf("case-%d", i)
			if diff := cmp.Diff(tt.want, tt.send(t, server, namespaces[tt.mode], name)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// send sends the request about the named pod, and returns its outcome.
func (c componentCase) send(t *testing.T, server *testServer, namespace, name string) (got covered) {
	t.Helper()
	resource := server.objects.Resource(pods).Namespace(namespace)
	manifest := strings.NewReplacer("NAME", name, `"labels":{`, `"labels":{`+c.labels, `"it"`, `"web"`).Replace(inContainers)
	filled := func(text, image string) []byte { return []byte(strings.ReplaceAll(text, caseImage, image)) }
	list, subresource := "containers", ""
	if c.patch == addEphemeral {
		list, subresource = "ephemeralContainers", "ephemeralcontainers"
	}
	ctx, texts := collectWarnings(t.Context())
	var stored *unstructured.Unstructured
	var err error
	if c.patch == "" {
		stored, err = createObject(ctx, resource, filled(manifest, c.image))
	} else {
		if _, err := createObject(t.Context(), resource, filled(manifest, allowedImage)); err != nil {
			t.Fatal(err)
		}
		stored, err = patchObject(ctx, resource, name, filled(c.patch, c.image), subresource)
	}
	got.Warned = len(*texts) > 0
	if apierrors.IsForbidden(err) && strings.Contains(err.Error(), `admission webhook "validating.image-webhook.dev" denied the request: `) {
		got.Denied = true
		return got
	}
	if err != nil {
		t.Fatal(err)
	}
	got.Stored = textAt(t, stored.Object, []string{"spec", list, "0", "image"})
	return got
}

// startWithComponents starts an API server with the webhook of an overlay with components.
func startWithComponents(t *testing.T, components ...string) *testServer {
	t.Helper()
	server, err := startServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, server) })
	// The installation creates probe pods in the namespace default.
	if err := server.setMode(t.Context(), metav1.NamespaceDefault, "deny"); err != nil {
		t.Fatal(err)
	}
	manifest := deploy.File{Name: "kustomization.yaml", Content: kustomized(t, components...)}
	if _, err := server.installWith(localinstall.Options{Manifests: []deploy.File{manifest}}); err != nil {
		t.Fatal(err)
	}
	return server
}

func (s *testServer) setMode(ctx context.Context, namespace, mode string) error {
	patch := []byte(`{"metadata":{"labels":{"image-webhook.dev/mode":"` + mode + `"}}}`)
	_, err := s.client.CoreV1().Namespaces().Patch(ctx, namespace, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// kustomized returns what `kubectl apply -k` would apply for an overlay with components.
func kustomized(t *testing.T, components ...string) string {
	t.Helper()
	built, err := subprocess.Command{Args: []string{kubectlProgram(t), "kustomize", writeOverlay(t, components...)}}.Output(t.Context())
	if err != nil {
		subprocess.Print(os.Stderr, "kustomize", err)
		t.Fatal(err)
	}
	return built
}

// writeOverlay writes an overlay of deploy/ with components, and returns its directory.
func writeOverlay(t *testing.T, components ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	checkout, err := filepath.Abs(root)
	if err == nil {
		checkout, err = filepath.Rel(dir, checkout)
	}
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, component := range components {
		paths = append(paths, checkout+"/deploy/"+component)
	}
	write(t, filepath.Join(dir, "kustomization.yaml"),
		[]byte("resources: ["+checkout+"/deploy]\ncomponents: ["+strings.Join(paths, ", ")+"]\nsortOptions: {order: fifo}\n"))
	return dir
}

// kubectlProgram builds kubectl, and returns its path.
func kubectlProgram(t *testing.T) string {
	t.Helper()
	programs, err := kubebuild.FromEnvironment(t.Context(), root)
	if err == nil {
		err = programs.Build(t.Context(), reporter(), "kubectl")
	}
	if err != nil {
		t.Fatal(err)
	}
	return programs.Path("kubectl")
}
