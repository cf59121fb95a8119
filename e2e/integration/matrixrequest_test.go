package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// matrixRequest is a request of the matrix. Its body stays JSON, because the client would take longer to
// encode and decode objects than the API server takes to answer.
type matrixRequest struct {
	imageUse
	images []imageKind // one for each entry of the list
	mode   mode
	object string // the name of the object

	once   sync.Once
	answer matrixAnswer
}

// matrixAnswer is the answer of the API server.
type matrixAnswer struct {
	object   map[string]any
	warnings []string
	err      error
}

// fill replaces the placeholders in text by the object's name and the images.
func (r *matrixRequest) fill(text string, images []imageKind) []byte {
	for _, entry := range []string{containerEntry, volumeEntry} {
		if !strings.Contains(text, entry) {
			continue
		}
		entries := make([]string, len(images))
		for i, image := range images {
			named := strings.Replace(entry, `"name":"it"`, fmt.Sprintf(`"name":"it-%d"`, i), 1)
			entries[i] = strings.Replace(named, caseImage, image.written, 1)
		}
		text = strings.Replace(text, entry, strings.Join(entries, ","), 1)
	}
	return []byte(strings.Replace(text, "NAME", r.object, 1))
}

// prepare creates the object that exists before the webhook.
func (r *matrixRequest) prepare(ctx context.Context, server *testServer) error {
	images := r.images
	if r.existing == allowedImage {
		images = slices.Repeat([]imageKind{{written: allowedImage}}, r.sharing())
	}
	if err := r.create(server, images).Do(ctx).Error(); err != nil {
		return fmt.Errorf("create the object of %s %s: %w", r.field, r.name, err)
	}
	if r.setupPatch == "" {
		return nil
	}
	return r.apply(server, r.setupPatch, "ephemeralcontainers").Do(ctx).Error()
}

// send sends the request once, as a dry run, and returns the answer.
func (r *matrixRequest) send(ctx context.Context, server *testServer) matrixAnswer {
	r.once.Do(func() {
		var request *rest.Request
		if r.creates() {
			request = r.create(server, r.images)
		} else {
			request = r.apply(server, r.patch, r.subresource)
		}
		ctx, warnings := collectWarnings(ctx)
		result := request.Param("dryRun", metav1.DryRunAll).Do(ctx)
		r.answer.warnings = *warnings
		if r.answer.err = result.Error(); r.answer.err != nil {
			return
		}
		content, _ := result.Raw() // the error is that of the result
		r.answer.err = json.Unmarshal(content, &r.answer.object)
	})
	return r.answer
}

// create returns the request that creates the object with images.
func (r *matrixRequest) create(server *testServer, images []imageKind) *rest.Request {
	return server.client.CoreV1().RESTClient().Post().AbsPath(r.path()).
		SetHeader("Content-Type", runtime.ContentTypeJSON).Body(r.fill(r.manifest, images))
}

// apply returns the request that applies a JSON patch to the object, or to a subresource unless it is
// empty.
func (r *matrixRequest) apply(server *testServer, patch, subresource string) *rest.Request {
	return server.client.CoreV1().RESTClient().Patch(types.JSONPatchType).
		AbsPath(r.path(), r.object, subresource).Body(r.fill(patch, r.images))
}

// path returns the path of the resource in the API.
func (r *matrixRequest) path() string {
	group := "/apis/" + r.resource.Group
	if r.resource.Group == "" {
		group = "/api"
	}
	return strings.Join([]string{group, r.resource.Version, "namespaces", r.mode.namespace(), r.resource.Resource}, "/")
}

// run returns the outcome of the case.
func (c testCase) run(t *testing.T, server *testServer) outcome {
	t.Helper()
	answer := c.request.send(t.Context(), server)
	result := outcome{warnings: answer.warnings}
	if status := apierrors.APIStatus(nil); errors.As(answer.err, &status) {
		result.message = status.Status().Message
		return result
	}
	if answer.err != nil {
		t.Fatal(answer.err)
	}
	result.stored = textAt(t, answer.object, pathKeys(c.field))
	result.pullPolicy = textAt(t, answer.object, pathKeys(c.pullPolicyField()))
	secrets, _, err := unstructured.NestedFieldNoCopy(answer.object, pathKeys(c.secretsField())...)
	if err != nil {
		t.Fatal(err)
	}
	list, _ := secrets.([]any) // nil without Secrets
	for _, secret := range list {
		result.secrets = append(result.secrets, textAt(t, secret, []string{"name"}))
	}
	return result
}
