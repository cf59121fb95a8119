package owner

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// userNames are unusual names that authenticators can return.
var userNames = []string{
	"alice", "oidc:alice@example.com", "system:serviceaccount:team:ci", "CN=Alice Doe,OU=Dev/Ops", "100%", "Zoë", "张伟",
	" ", strings.Repeat("x", 1000),
}

func TestNamesThatCanOwnANamespace(t *testing.T) {
	for _, name := range userNames {
		if err := Check(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"":                 "the name is empty",
		"system:anonymous": "a request without authentication cannot own a namespace",
		"a\nb":             "the name contains a control character",
		"a\x7f":            "the name contains a control character",
		"a\u0085":          "the name contains a control character",
	} {
		if err := Check(name); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", name, err, want)
		}
	}
}

func TestStampRequester(t *testing.T) {
	owned := func(name string) map[string]string { return map[string]string{Annotation: name, "other": "kept"} }
	tenancy := func(value string) map[string]string { return map[string]string{TenancyLabel: value} }
	tests := []struct {
		name    string
		n       Namespace
		user    string
		want    Stamp
		wantErr string
	}{
		{"stamps a new namespace", Namespace{}, "alice", Stamp{"alice", Pending}, ""},
		{"keeps an equal owner", Namespace{Annotations: owned("alice")}, "alice", Stamp{"", Pending}, ""},
		{"keeps both", Namespace{owned("alice"), tenancy(Pending)}, "alice", Stamp{}, ""},
		{"keeps pending", Namespace{Labels: tenancy(Pending)}, "alice", Stamp{"alice", ""}, ""},
		{"refuses another owner", Namespace{Annotations: owned("bob")}, "alice", Stamp{}, `user "alice" cannot create a namespace with the owner "bob": delete the annotation image-webhook.dev/owner; only users with the verb set-owner on namespaces choose another owner`},
		{"refuses an empty owner", Namespace{Annotations: owned("")}, "alice", Stamp{}, `user "alice" cannot create a namespace with the owner "": delete the annotation image-webhook.dev/owner; only users with the verb set-owner on namespaces choose another owner`},
		{"compares bytes", Namespace{Annotations: owned("Alice")}, "alice", Stamp{}, `user "alice" cannot create a namespace with the owner "Alice": delete the annotation image-webhook.dev/owner; only users with the verb set-owner on namespaces choose another owner`},
		{"refuses ready", Namespace{Labels: tenancy(Ready)}, "alice", Stamp{}, `the label image-webhook.dev/tenancy of a new namespace must be "pending", not "ready": delete it from the request, and image-webhook sets it`},
		{"refuses anonymous", Namespace{}, Anonymous, Stamp{}, `user "system:anonymous" cannot own a namespace: a request without authentication cannot own a namespace`},
		{"quotes control characters", Namespace{}, "a\nb", Stamp{}, `user "a\nb" cannot own a namespace: the name contains a control character`},
	}
	for _, name := range userNames {
		tests = append(tests, struct {
			name    string
			n       Namespace
			user    string
			want    Stamp
			wantErr string
		}{"stamps the name of " + name, Namespace{}, name, Stamp{name, Pending}, ""})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := StampRequester(tt.n, tt.user)
			if diff := cmp.Diff(tt.wantErr, errorText(err)); diff != "" {
				t.Fatalf("error (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("stamp (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStampChosenAddsOnlyTheTenancy(t *testing.T) {
	chosen := Namespace{Annotations: map[string]string{Annotation: "bob"}}
	got, err := StampChosen(chosen)
	if diff := cmp.Diff(Stamp{Tenancy: Pending}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	chosen.Labels = map[string]string{TenancyLabel: Pending}
	if got, err := StampChosen(chosen); got != (Stamp{}) || err != nil {
		t.Errorf("got %+v, %v for a pending namespace", got, err)
	}
	chosen.Labels[TenancyLabel] = Ready
	if _, err := StampChosen(chosen); err == nil {
		t.Error("a ready namespace is not refused")
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
