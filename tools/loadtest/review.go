package loadtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/image-webhook/image-webhook/webhook/image"
)

// reviewsDir is the directory of the recorded reviews in the checkout.
const reviewsDir = "webhook/admission/testdata/reviews"

// MirrorRules are the mirror rules of all contenders, those of deploy/04-webhook.yaml.
const MirrorRules = "docker.mirror.example,registry.k8s.io:k8s.mirror.example"

// Headline is the review of the summary.
const Headline = "pod-create-3-containers"

// ReviewNames are the names of the reviews. `make record` records them.
var ReviewNames = []string{
	"pod-create-1-container", Headline, "pod-create-10-containers", "pod-create-60-containers",
	"pod-update-1-container", "pod-update-3-containers", "pod-update-10-containers", "pod-update-60-containers",
}

// review is a recorded AdmissionReview of a pod. All its images are allowed, and all its new
// images have a mirror.
type review struct {
	name     string
	body     []byte            // as the API server sent it
	mirrored map[string]string // the new images on their mirrors, by JSON pointer
}

// readReviews reads reviews by name; no names: all.
func readReviews(root string, names []string) (reviews []review, err error) {
	if len(names) == 0 {
		names = ReviewNames
	}
	for _, name := range names {
		r, err := readReview(root, name)
		if err != nil {
			return nil, fmt.Errorf("read review %q: %w", name, err)
		}
		reviews = append(reviews, r)
	}
	return reviews, nil
}

func readReview(root, name string) (r review, err error) {
	content, err := os.ReadFile(filepath.Join(root, reviewsDir, name+".json"))
	if err != nil {
		return r, err
	}
	var body bytes.Buffer
	if err := json.Compact(&body, content); err != nil {
		return r, err
	}
	r = review{name: name, body: body.Bytes()}
	r.mirrored, err = mirroredImages(r.body)
	return r, err
}

// mirroredImages returns the new images of a review on their mirrors, by JSON pointer.
func mirroredImages(body []byte) (map[string]string, error) {
	var decoded struct {
		Request struct{ Object, OldObject *corev1.Pod }
	}
	if err := json.Unmarshal(body, &decoded); err != nil {
		return nil, err
	}
	mirrors, err := image.ParseMirrors(MirrorRules)
	if err != nil {
		return nil, err
	}
	mirrored := map[string]string{}
	for pointer, container := range newContainers(decoded.Request.Object, decoded.Request.OldObject) {
		ref, err := image.Parse(container.Image)
		if err != nil {
			return nil, err
		}
		on, rule := mirrors.Rewrite(ref)
		if rule == "" {
			return nil, fmt.Errorf("image %q has no mirror: record only images with a mirror", container.Image)
		}
		mirrored[pointer] = on.Written
	}
	return mirrored, nil
}

// check returns an error if body is not the expected answer of a path.
func (r review) check(path string, body []byte) error {
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("the answer is not JSON: %w", err)
	}
	switch resp := answer.Response; {
	case resp == nil:
		return errors.New("the answer has no response")
	case !bytes.Contains(r.body, []byte(`"uid":"`+string(resp.UID)+`"`)):
		return fmt.Errorf("the answer has the uid %q of another review", resp.UID)
	case !resp.Allowed:
		return fmt.Errorf("the review is denied: %s", message(resp.Result))
	case path == mutating:
		return r.checkPatch(resp.Patch)
	case len(resp.Patch) > 0:
		return fmt.Errorf("unexpected patch %s", resp.Patch)
	}
	return nil
}

// message returns the message of a denial.
func message(status *metav1.Status) string {
	if status == nil {
		return "without a message"
	}
	return status.Message
}

// checkPatch returns an error if a patch does not send the new images to their mirrors.
func (r review) checkPatch(patch []byte) error {
	var operations []struct {
		Op, Path string
		Value    any
	}
	if err := json.Unmarshal(patch, &operations); err != nil {
		return fmt.Errorf("the patch is not JSON: %w", err)
	}
	got := map[string]string{}
	for _, o := range operations {
		if value, ok := o.Value.(string); ok && o.Op == "replace" {
			got[o.Path] = value
		}
	}
	if !maps.Equal(got, r.mirrored) {
		return fmt.Errorf("the patch replaces %v, want %v", got, r.mirrored)
	}
	return nil
}
