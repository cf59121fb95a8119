package integration

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var ownedNamespaces atomic.Int64

// newName returns a name for a namespace that no other test uses.
func newName(prefix string) string {
	return prefix + "-" + strconv.FormatInt(ownedNamespaces.Add(1), 10)
}

// ownership is what the rules of the feature are about. An empty text means that the namespace
// does not have the annotation or the label.
type ownership struct{ Owner, Tenancy string }

func ownershipOf(n *corev1.Namespace) ownership {
	return ownership{n.Annotations[ownerAnnotation], n.Labels[tenancyLabel]}
}

// meta returns the metadata of a namespace with this ownership.
func (o ownership) meta(name string) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{Name: name, Annotations: map[string]string{}, Labels: map[string]string{}}
	o.write(&meta)
	return meta
}

// write replaces the annotation and the label in meta.
func (o ownership) write(meta *metav1.ObjectMeta) {
	set := func(pairs *map[string]string, key, value string) {
		if *pairs == nil {
			*pairs = map[string]string{}
		}
		(*pairs)[key] = value
		if value == "" {
			delete(*pairs, key)
		}
	}
	set(&meta.Annotations, ownerAnnotation, o.Owner)
	set(&meta.Labels, tenancyLabel, o.Tenancy)
}

// get reads a namespace.
func (s *ownerServer) get(t *testing.T, name string) *corev1.Namespace {
	t.Helper()
	found, err := s.client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// createOwned creates a namespace as a user with the rights of creators.
func (s *ownerServer) createOwned(t *testing.T, name, user string) *corev1.Namespace {
	t.Helper()
	created, err := s.mustAs(user, creators).CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// patchOwner sets the owner of a namespace as a user with the verb set-owner. An empty owner
// removes it.
func (s *ownerServer) patchOwner(t *testing.T, name, owner string) {
	t.Helper()
	value := "null"
	if owner != "" {
		value = strconv.Quote(owner)
	}
	patch := []byte(`{"metadata":{"annotations":{"` + ownerAnnotation + `":` + value + `}}}`)
	if _, err := s.mustAs("carol", writers, stewards).CoreV1().Namespaces().Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// conditionOf returns the condition of a namespace, or a condition without a status.
func conditionOf(n *corev1.Namespace) corev1.NamespaceCondition {
	for _, c := range n.Status.Conditions {
		if c.Type == ownerCondition {
			return c
		}
	}
	return corev1.NamespaceCondition{}
}

// waitBound waits until a namespace is ready and its condition names the owner.
func (s *ownerServer) waitBound(t *testing.T, name, owner string) {
	t.Helper()
	var last *corev1.Namespace
	defer func() {
		if t.Failed() && last != nil {
			t.Logf("namespace %s: ownership %+v, condition %+v", name, ownershipOf(last), conditionOf(last))
		}
	}()
	waitUntil(t, fmt.Sprintf("namespace %s is bound to %q", name, clipped(owner)), func() bool {
		last = s.get(t, name)
		c := conditionOf(last)
		return last.Labels[tenancyLabel] == "ready" && c.Status == corev1.ConditionTrue && strings.HasPrefix(c.Message, strconv.Quote(owner)+" ")
	})
}

// waitCondition waits until the condition of a namespace is False for a reason, and returns its
// message.
func (s *ownerServer) waitCondition(t *testing.T, name, reason string) (message string) {
	t.Helper()
	waitUntil(t, "the condition of namespace "+name+" is "+reason, func() bool {
		c := conditionOf(s.get(t, name))
		message = c.Message
		return c.Status == corev1.ConditionFalse && c.Reason == reason
	})
	return message
}

// clipped shortens a text for a message.
func clipped(text string) string {
	if len(text) > 60 {
		return text[:60] + "..."
	}
	return text
}

// waitEvent waits until an Event of an object has a reason and a message that contains all
// texts.
func (s *ownerServer) waitEvent(t *testing.T, namespace, object, reason string, texts ...string) {
	t.Helper()
	var messages []string
	defer func() {
		if t.Failed() {
			t.Logf("messages of the Events: %q", messages)
		}
	}()
	lacks := func(message string) func(string) bool {
		return func(text string) bool { return !strings.Contains(message, text) }
	}
	waitUntil(t, fmt.Sprintf("an Event %s of %s contains %q", reason, object, texts), func() bool {
		events, err := s.client.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + object + ",reason=" + reason})
		if err != nil {
			return false
		}
		messages = nil
		for _, event := range events.Items {
			messages = append(messages, event.Message)
		}
		return slices.ContainsFunc(messages, func(message string) bool { return !slices.ContainsFunc(texts, lacks(message)) })
	})
}

// mustBeDenied checks that a request was denied with a message that contains all texts.
func mustBeDenied(t *testing.T, err error, texts ...string) {
	t.Helper()
	if !apierrors.IsForbidden(err) {
		t.Errorf("got error %v, want a denial", err)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the denial does not contain %q: %v", text, err)
		}
	}
}

// configMap returns a ConfigMap for a request whose content does not matter.
func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
}
