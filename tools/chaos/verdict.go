package chaos

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// outcome is what happened to a pod.
type outcome int

const (
	mirrored    outcome = iota // as expected
	denied                     // as expected
	refused                    // by anything except the verdict of the webhook
	notMirrored                // admitted with another image than that of the mirror
	notDenied                  // admitted although it must be denied
	noAnswer                   // the API server itself failed: not a loss of the webhook
	outcomes                   // the number of outcomes
)

func (o outcome) String() string {
	return [outcomes]string{"mirrored", "denied", "refused", "not mirrored", "not denied", "no answer"}[o]
}

// losses are the outcomes of which a report must have none.
var losses = []outcome{refused, notMirrored, notDenied}

// verdict is an outcome, with the reason unless it was expected.
type verdict struct {
	outcome outcome
	message string
}

// denials are in the messages of pods that the webhook, or a policy of the hybrid form or of static files, denied,
// and not in that of a pod that was refused because the webhook did not answer.
var denials = []string{
	`admission webhook "validating.image-webhook.dev" denied the request`,
	`ValidatingAdmissionPolicy 'image-webhook' with binding 'image-webhook' denied request`,
	`ValidatingAdmissionPolicy 'image-webhook.static.k8s.io' with binding 'image-webhook.static.k8s.io' denied request`,
}

func isDenial(err error) bool {
	named := func(denial string) bool { return strings.Contains(err.Error(), denial) }
	return apierrors.IsForbidden(err) && slices.ContainsFunc(denials, named)
}

// classify returns the verdict on a request with its answer.
func classify(r request, pod *corev1.Pod, err error) verdict {
	switch {
	case err == nil && r.denied:
		return verdict{notDenied, fmt.Sprintf("a pod with image %q was admitted", deniedImage)}
	case err == nil:
		return classifyImage(pod)
	case r.denied && isDenial(err):
		return verdict{outcome: denied}
	case isOwnFailure(err):
		return verdict{noAnswer, err.Error()}
	}
	return verdict{refused, err.Error()}
}

func classifyImage(pod *corev1.Pod) verdict {
	if image := pod.Spec.Containers[0].Image; image != mirrorImage {
		return verdict{notMirrored, fmt.Sprintf("a pod with image %q has image %q, want %q", mirroredImage, image, mirrorImage)}
	}
	return verdict{outcome: mirrored}
}

// isOwnFailure reports whether the API server failed before admission, or did not answer.
func isOwnFailure(err error) bool {
	if answer := apierrors.APIStatus(nil); !errors.As(err, &answer) {
		return true // such as a refused connection
	}
	if apierrors.IsForbidden(err) && strings.Contains(err.Error(), `cannot create resource "pods"`) {
		return true // it has just started and has not read the roles yet
	}
	overloaded := apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) ||
		apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err)
	storage := strings.Contains(err.Error(), "etcdserver")
	return (overloaded || storage) && !strings.Contains(err.Error(), "webhook")
}
