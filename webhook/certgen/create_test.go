package certgen

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

var createTLS = Create{Hosts: hosts, Namespace: "ns", SecretName: "tls"}

func atNoon() time.Time { return noon }

func secret(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "tls", ResourceVersion: "7",
			Labels: map[string]string{"team": "a"}, Annotations: map[string]string{"note": "b"},
		},
		Type: corev1.SecretTypeOpaque,
		Data: data,
	}
}

func readSecret(t *testing.T, api fakeAPI) *corev1.Secret {
	t.Helper()
	found, err := api.secrets.Secrets("ns").Get(context.Background(), "tls", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCreateMakesTheSecret(t *testing.T) {
	api := newFakeAPI(t)
	var out strings.Builder
	if err := create(t.Context(), api.secrets, createTLS, atNoon, &out); err != nil {
		t.Fatal(err)
	}
	made := readSecret(t, api)
	if made.Type != corev1.SecretTypeOpaque || len(made.Data) != 3 {
		t.Errorf("type %s, %d keys", made.Type, len(made.Data))
	}
	if err := assess(made.Data, hosts, noon); err != nil {
		t.Error(err)
	}
	want := "Secret ns/tls was not there: created, for webhook, webhook.ns.svc, 10.0.0.1 until 2027-03-01\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestCreateLeavesASoundSecret(t *testing.T) {
	found := secret(data(mustIssue(t, hosts, noon)))
	api := newFakeAPI(t, found)
	var out strings.Builder
	if err := create(t.Context(), api.secrets, createTLS, atNoon, &out); err != nil {
		t.Fatal(err)
	}
	if api.writes() != 0 {
		t.Errorf("wrote: %v", api.Actions())
	}
	want := "Secret ns/tls is sound: left as it is, for webhook, webhook.ns.svc, 10.0.0.1 until 2027-03-01\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestCreateRepairs(t *testing.T) {
	before := mustIssue(t, []string{"webhook"}, noon)
	found := secret(data(before))
	found.Data["mine"] = []byte("kept")
	api := newFakeAPI(t, found)
	var out strings.Builder
	if err := create(t.Context(), api.secrets, createTLS, atNoon, &out); err != nil {
		t.Fatal(err)
	}
	got := readSecret(t, api)
	if err := assess(got.Data, hosts, noon); err != nil {
		t.Error(err)
	}
	if !bytes.HasSuffix(got.Data["ca"], before.ca) {
		t.Error("the CA of Pods that still serve the old certificate is gone")
	}
	want := found.DeepCopy()
	maps.Copy(want.Data, map[string][]byte{"ca": got.Data["ca"], "cert": got.Data["cert"], "key": got.Data["key"]})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("more than the three keys changed:\n%s", diff)
	}
	line := "Secret ns/tls is repaired (the certificate is not for host webhook.ns.svc): for webhook, webhook.ns.svc, 10.0.0.1 until 2027-03-01\n"
	if diff := cmp.Diff(line, out.String()); diff != "" {
		t.Error(diff)
	}
}

var secrets = corev1.SchemeGroupVersion.WithResource("secrets")

// Somebody else makes the Secret between certgen's look and its create.
func TestCreateLosesTheRaceToCreate(t *testing.T) {
	theirs := data(mustIssue(t, hosts, noon))
	api := newFakeAPI(t)
	api.once("create", "secrets", func() error {
		return errors.Join(api.objects.Create(secrets, secret(theirs), "ns"), apierrors.NewAlreadyExists(secrets.GroupResource(), "tls"))
	})
	loses(t, api, theirs)
}

// Somebody else repairs the Secret between certgen's look and its update.
func TestCreateLosesTheRaceToRepair(t *testing.T) {
	theirs := data(mustIssue(t, hosts, noon))
	api := newFakeAPI(t, secret(nil))
	api.once("update", "secrets", func() error {
		return errors.Join(api.objects.Update(secrets, secret(theirs), "ns"), apierrors.NewConflict(secrets.GroupResource(), "tls", nil))
	})
	loses(t, api, theirs)
}

func loses(t *testing.T, api fakeAPI, theirs map[string][]byte) {
	t.Helper()
	var out strings.Builder
	if err := create(t.Context(), api.secrets, createTLS, atNoon, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(theirs, readSecret(t, api).Data); diff != "" {
		t.Errorf("their Secret was overwritten:\n%s", diff)
	}
	if !strings.Contains(out.String(), "is sound") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("it tells of what it did not do: %s", out.String())
	}
}

// An update must name the version it was decided on, or it cannot lose.
func TestCreateUpdatesTheVersionItRead(t *testing.T) {
	api := newFakeAPI(t, secret(nil))
	if err := create(t.Context(), api.secrets, createTLS, atNoon, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, a := range api.Actions() {
		if update, ok := a.(clienttesting.UpdateAction); ok {
			if version := update.GetObject().(*corev1.Secret).ResourceVersion; version != "7" {
				t.Errorf("resource version %q", version)
			}
		}
	}
}

func TestCreateExplains(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"no namespace": {
			apierrors.NewNotFound(corev1.Resource("namespaces"), "ns"),
			`Secret ns/tls: namespaces "ns" not found: apply deploy/01-namespace.yaml, which makes it`,
		},
		"no right": {
			apierrors.NewForbidden(corev1.Resource("secrets"), "tls", errors.New("no")),
			`Secret ns/tls: secrets "tls" is forbidden: no: grant it, as deploy/02-rbac.yaml does`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI(t)
			api.once("create", "secrets", func() error { return test.err })
			err := create(t.Context(), api.secrets, createTLS, atNoon, io.Discard)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCreateCallsNothingElse(t *testing.T) {
	var made []call
	for _, objects := range [][]runtime.Object{nil, {secret(nil)}, {secret(data(mustIssue(t, hosts, noon)))}} {
		api := newFakeAPI(t, objects...)
		if err := create(t.Context(), api.secrets, createTLS, atNoon, io.Discard); err != nil {
			t.Fatal(err)
		}
		made = append(made, api.recorded()...)
	}
	checkCalls(t, []call{
		{"get", "", "secrets", "ns", "tls"},
		{"create", "", "secrets", "ns", ""},
		{"update", "", "secrets", "ns", "tls"},
	}, made)
}
