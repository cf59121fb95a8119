package certgen

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/image-webhook/image-webhook/tools/checks/clitest"
)

var patchArgs = []string{"patch", "--webhook-name=image-webhook", "--namespace=ns", "--secret-name=tls"}

func parsedPatch(change func(*Patch)) Patch {
	p := Patch{
		WebhookName: "image-webhook", Namespace: "ns", SecretName: "tls",
		Validating: Side{Selected: true}, Mutating: Side{Selected: true},
		Timeout: time.Minute,
	}
	change(&p)
	return p
}

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want Command
	}{
		"create as the retired tool's manifests write it": {
			args: []string{"create", "--host=webhook,webhook.ns.svc,10.0.0.1", "--namespace=ns", "--secret-name", "tls"},
			want: Create{Hosts: []string{"webhook", "webhook.ns.svc", "10.0.0.1"}, Namespace: "ns", SecretName: "tls"},
		},
		"spaces after commas are no part of a host": {
			args: []string{"create", "--host=a, b", "--namespace=ns", "--secret-name=tls", "--kubeconfig=k"},
			want: Create{Hosts: []string{"a", "b"}, Namespace: "ns", SecretName: "tls", Kubeconfig: "k"},
		},
		"patch touches both sides and no policy": {
			args: patchArgs,
			want: parsedPatch(func(*Patch) {}),
		},
		"one policy for both": {
			args: append(patchArgs, "--patch-failure-policy=Ignore"),
			want: parsedPatch(func(p *Patch) { p.Validating.FailurePolicy, p.Mutating.FailurePolicy = "Ignore", "Ignore" }),
		},
		"an empty policy is no policy": {
			args: append(patchArgs, "--patch-failure-policy="),
			want: parsedPatch(func(*Patch) {}),
		},
		"a side's own policy comes first": {
			args: append(patchArgs, "--patch-failure-policy=Fail", "--patch-mutating-failure-policy=Ignore", "--timeout=5s"),
			want: parsedPatch(func(p *Patch) {
				p.Validating.FailurePolicy, p.Mutating.FailurePolicy = "Fail", "Ignore"
				p.Timeout = 5 * time.Second
			}),
		},
		"one side alone": {
			args: append(patchArgs, "--patch-validating=false"),
			want: parsedPatch(func(p *Patch) { p.Validating.Selected = false }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(test.args, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseNamesItemAndForm(t *testing.T) {
	create := []string{"create", "--namespace=ns", "--secret-name=tls"}
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "no command: use create or patch"},
		{[]string{"crate"}, `unknown command "crate": use create or patch`},
		{[]string{"--frob"}, "certgen: unknown flag: --frob: see certgen --help"},
		{append(create, "--frob"), "create: unknown flag: --frob: see certgen create --help"},
		{append(create, "x", "--host=a"), `create: unexpected argument "x": everything is given by flags`},
		{create, "create: --host is missing: give it as in --host=webhook,webhook.image-webhook.svc"},
		{append(create, "--host"), "create: --host needs a value: it takes a value"},
		{append(create, "--host=a,,b"), `--host item "" is neither a DNS name such as webhook.image-webhook.svc nor an IP address`},
		{append(create, "--host=a_b"), `--host item "a_b" is neither a DNS name such as webhook.image-webhook.svc nor an IP address`},
		{patchArgs[:3], "patch: --secret-name is missing: give it as in --secret-name=webhook-tls"},
		{append(patchArgs, "--patch-failure-policy=fail"), "patch: --patch-failure-policy=fail is not understood: it takes Ignore or Fail"},
		{append(patchArgs, "--patch-mutating=maybe"), "patch: --patch-mutating=maybe is not understood: it takes true or false"},
		{append(patchArgs, "--timeout=9"), "patch: --timeout=9 is not understood: it takes a duration such as 60s"},
		{append(patchArgs, "--timeout=0s"), "--timeout=0s is not a duration above zero, such as 60s"},
		{append(patchArgs, "--patch-mutating=false", "--patch-validating=false"),
			"--patch-validating=false and --patch-mutating=false leave nothing to patch: leave one of them true"},
		{append(patchArgs, "--patch-mutating=false", "--patch-mutating-failure-policy=Fail"),
			"--patch-mutating-failure-policy needs --patch-mutating=true"},
		{append(patchArgs, "--patch-validating=false", "--patch-validating-failure-policy=Fail"),
			"--patch-validating-failure-policy needs --patch-validating=true"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			_, err := Parse(test.args, io.Discard)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExamples(t *testing.T) {
	root := func(stdout, stderr io.Writer) *cobra.Command { return newRoot(new(Command)) }
	for _, args := range clitest.Examples(t, root, "certgen") {
		if _, err := Parse(args, io.Discard); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestParseHelp(t *testing.T) {
	var out strings.Builder
	parsed, err := Parse([]string{"patch", "--help"}, &out)
	if parsed != nil || err != nil {
		t.Errorf("got %v, %v", parsed, err)
	}
	if !strings.Contains(out.String(), "--patch-failure-policy") {
		t.Errorf("help says nothing of the flags: %s", out.String())
	}
}
