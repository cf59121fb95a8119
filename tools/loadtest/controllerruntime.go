package loadtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// controllerRuntimeHandlers returns handlers with the metrics that a manager of
// sigs.k8s.io/controller-runtime adds, but without a log.
func controllerRuntimeHandlers() (map[string]http.Handler, error) {
	log.SetLogger(logr.Discard()) // otherwise it prints a warning after half a minute
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	pods := podDecoder{admission.NewDecoder(scheme)}
	handlers := map[string]http.Handler{}
	for path, handle := range map[string]admission.HandlerFunc{mutating: pods.mutate, validating: pods.validate} {
		handler, err := admission.StandaloneWebhook(&admission.Webhook{Handler: handle}, admission.StandaloneOptions{MetricsPath: path})
		if err != nil {
			return nil, err
		}
		handlers[path] = handler
	}
	return handlers, nil
}

// podDecoder decodes the pods of requests.
type podDecoder struct{ admission.Decoder }

// pods returns the pod of a request, and the old pod of an update.
func (d podDecoder) pods(req admission.Request) (pod, old *corev1.Pod, err error) {
	pod = new(corev1.Pod)
	if err := d.Decode(req, pod); err != nil || req.Operation != admissionv1.Update {
		return pod, nil, err
	}
	old = new(corev1.Pod)
	return pod, old, d.DecodeRaw(req.OldObject, old)
}

func (d podDecoder) mutate(_ context.Context, req admission.Request) admission.Response {
	pod, old, err := d.pods(req)
	if err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	for _, c := range newContainers(pod, old) {
		if mirrored, ok := mirrorOf(c.Image); ok {
			c.Image = mirrored
		}
	}
	changed, err := json.Marshal(pod)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(req.Object.Raw, changed)
}

func (d podDecoder) validate(_ context.Context, req admission.Request) admission.Response {
	pod, old, err := d.pods(req)
	if err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if image, found := latestImage(pod, old); found {
		return admission.Denied(fmt.Sprintf("the tag of image %q is not allowed", image))
	}
	return admission.Allowed("")
}
