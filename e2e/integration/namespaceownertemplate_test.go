package integration

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/image-webhook/image-webhook/webhook/ownercontroller"
)

// These are a template whose quantities the API server stores in another form.
const (
	changedQuota  = "apiVersion: v1\nkind: ResourceQuota\nspec:\n  hard: {pods: \"7\", requests.cpu: 4000m, requests.memory: 8192Mi}\n"
	changedLimits = "apiVersion: v1\nkind: LimitRange\nspec:\n  limits: [{type: Container, defaultRequest: {cpu: \"0.25\", memory: 128Mi}, max: {cpu: \"8\"}}]\n"
)

// invalidTemplate is a template that the controller refuses.
type invalidTemplate struct {
	name          string
	quota, limits string
	message       string // of the Event
}

var invalidTemplates = []invalidTemplate{
	{"not YAML", "spec: [", changedLimits, "resourcequota.yaml: invalid YAML: "},
	{"text", "hello", changedLimits, "resourcequota.yaml: invalid YAML: "},
	{"empty", "", changedLimits, "resourcequota.yaml: the file is empty: delete the key"},
	{"unknown field", changedQuota + "  hards: {}\n", changedLimits, `resourcequota.yaml: invalid YAML: unknown field "hards"`},
	{"invalid quantity", strings.Replace(changedQuota, `"7"`, "seven", 1), changedLimits, "resourcequota.yaml: invalid YAML: "},
	{"another kind", strings.Replace(changedQuota, "ResourceQuota", "LimitRange", 1), changedLimits, `unexpected kind "LimitRange"`},
	{"another namespace", "metadata: {namespace: kube-system}\n" + changedQuota, changedLimits, `metadata.namespace is "kube-system": delete it`},
	{"another name", changedQuota, "metadata: {name: mine}\n" + changedLimits, `limitrange.yaml: metadata.name is "mine": delete it`},
	// Trap: rancher/rancher#27750, a quota on cpu or memory refuses pods without requests.
	{"a quota without defaults", changedQuota, strings.Replace(changedLimits, ", memory: 128Mi", "", 1), "resourcequota.yaml limits requests.memory, but limitrange.yaml has no defaultRequest for the memory"},
	{"a quota without a LimitRange", changedQuota, "", "resourcequota.yaml limits requests.cpu, but limitrange.yaml has no defaultRequest"},
}

// TestInvalidTemplateIsRefusedWithEvent runs controllers that never had a valid template. They do
// not lead, because another one does.
func TestInvalidTemplateIsRefusedWithEvent(t *testing.T) {
	t.Parallel()
	server := sharedOwnerServer(t, startPendingServer)
	for _, template := range invalidTemplates {
		t.Run(template.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "resourcequota.yaml"), []byte(template.quota))
			if template.limits != "" {
				write(t, filepath.Join(dir, "limitrange.yaml"), []byte(template.limits))
			}
			controller, stop := server.runController(t, ownercontroller.Options{TemplateDir: dir, Identity: t.Name()})
			server.waitEvent(t, "image-webhook", ownedName, "InvalidTemplate", template.message, "no namespace becomes ready until it is valid")
			waitUntil(t, "the controller reports the template", func() bool {
				err := controller.Ready()
				return err != nil && strings.Contains(err.Error(), template.message)
			})
			if err := stop(); err != nil {
				t.Errorf("the controller has ended with error %v", err)
			}
		})
	}
}

// runController runs a controller in this process, as the service account of the controller
// unless o has a configuration. stop ends it and returns its error.
func (s *ownerServer) runController(t *testing.T, o ownercontroller.Options) (controller *ownercontroller.Controller, stop func() error) {
	t.Helper()
	if o.Config == nil {
		o.Config = s.As(controllerUser)
	}
	log, err := os.OpenFile(filepath.Join(s.Dir, "controllers.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	o.ClusterRole, o.Log = "admin", slog.New(slog.NewTextHandler(log, nil)).With("test", o.Identity)
	if controller, err = ownercontroller.New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- controller.Run(ctx) }()
	stop = func() error {
		defer log.Close()
		if ctx.Err() == nil {
			select {
			case err := <-done:
				cancel()
				return errors.Join(errors.New("it has ended early"), err)
			default:
			}
		}
		cancel()
		return <-done
	}
	return controller, stop
}

func testChangedTemplate(t *testing.T, server *ownerServer) {
	ready, exempted, pending := newName("ready"), newName("exempted"), newName("waiting")
	for _, name := range []string{ready, exempted, pending} {
		server.createOwned(t, name, "alice")
	}
	server.completeQuota(t, ready, "alice")
	server.completeQuota(t, exempted, "alice")
	before := server.ownedObjects(t, exempted)
	server.exemptQuota(t, exempted)

	server.writeTemplate(t, map[string]string{"resourcequota.yaml": changedQuota, "limitrange.yaml": changedLimits})
	for _, name := range []string{ready, pending} {
		server.waitPods(t, name, "7")
	}
	server.waitDefaultCPU(t, exempted, "250m")
	if got := server.ownedObjects(t, ready); got.Quota.Hard.Name(corev1.ResourceRequestsCPU, "").String() != "4" {
		t.Errorf("got quota %v, want requests.cpu 4", got.Quota.Hard)
	}

	// The last valid template stays in force.
	server.writeTemplate(t, map[string]string{"resourcequota.yaml": "metadata: {namespace: kube-system}\n" + changedQuota, "limitrange.yaml": changedLimits})
	server.waitEvent(t, "image-webhook", ownedName, "InvalidTemplate", `metadata.namespace is "kube-system"`, "the last valid template stays in force")
	late := newName("late")
	server.createOwned(t, late, "bob")
	server.waitPods(t, late, "7")
	server.completeQuota(t, late, "bob")

	// The API server refuses what the controller cannot check.
	server.writeTemplate(t, map[string]string{"resourcequota.yaml": strings.Replace(changedQuota, "pods:", "pod:", 1), "limitrange.yaml": changedLimits})
	if message := server.waitCondition(t, pending, "ResourceQuotaFailed"); !strings.Contains(message, "spec.hard[pod]") {
		t.Errorf("the condition does not name the field: %s", message)
	}
	server.waitEvent(t, "default", ready, "ResourceQuotaFailed", "spec.hard[pod]")
	server.waitPods(t, ready, "7")

	// Without files, namespaces have neither a quota nor a LimitRange.
	server.writeTemplate(t, map[string]string{"unrelated": "text"})
	server.waitBound(t, pending, "alice")
	waitUntil(t, "the objects of the template are deleted", func() bool {
		got := server.ownedObjects(t, ready)
		return got.Quota == nil && got.Limits == nil
	})
	waitUntil(t, "the exempted quota is alone", func() bool {
		got := server.ownedObjects(t, exempted)
		return got.Limits == nil && got.Quota != nil
	})
	if got := server.ownedObjects(t, exempted).Quota.Hard; got.Pods().String() != "99" || len(got) != len(before.Quota.Hard) {
		t.Errorf("the exempted quota has changed: %v", got)
	}
}

// exemptQuota exempts the quota of a namespace from the template, and edits it.
func (s *ownerServer) exemptQuota(t *testing.T, namespace string) {
	t.Helper()
	for _, patch := range []string{`{"metadata":{"labels":{"image-webhook.dev/template":"ignore"}}}`, `{"spec":{"hard":{"pods":"99"}}}`} {
		if _, err := s.client.CoreV1().ResourceQuotas(namespace).Patch(t.Context(), ownedName, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// writeTemplate replaces the data of the controller's ConfigMap, and updates its volume.
func (s *ownerServer) writeTemplate(t *testing.T, data map[string]string) {
	t.Helper()
	patch, err := json.Marshal([]map[string]any{{"op": "replace", "path": "/data", "value": data}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.CoreV1().ConfigMaps("image-webhook").Patch(t.Context(), ownedName, types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.installed.UpdateVolumes(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// waitPods waits until the quota of a namespace limits the number of pods.
func (s *ownerServer) waitPods(t *testing.T, namespace, want string) {
	t.Helper()
	waitUntil(t, "the quota of namespace "+namespace+" allows "+want+" pods", func() bool {
		quota, err := s.client.CoreV1().ResourceQuotas(namespace).Get(t.Context(), ownedName, metav1.GetOptions{})
		return err == nil && quota.Spec.Hard.Pods().String() == want
	})
}

// waitDefaultCPU waits until the LimitRange of a namespace has a default request.
func (s *ownerServer) waitDefaultCPU(t *testing.T, namespace, want string) {
	t.Helper()
	waitUntil(t, "the LimitRange of namespace "+namespace+" has the default "+want, func() bool {
		limits, err := s.client.CoreV1().LimitRanges(namespace).Get(t.Context(), ownedName, metav1.GetOptions{})
		return err == nil && limits.Spec.Limits[0].DefaultRequest.Cpu().String() == want
	})
}
