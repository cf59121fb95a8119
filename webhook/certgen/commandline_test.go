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

func parsedPatch(modify func(*Patch)) Patch {
	p := Patch{
		WebhookName: "image-webhook", Namespace: "ns", SecretName: "tls",
		Validating: ConfigurationPatch{Selected: true}, Mutating: ConfigurationPatch{Selected: true},
		Timeout: time.Minute,
	}
	modify(&p)
	return p
}

func TestParseReturnsTheCommand(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want Command
	}{
		"create as in manifests for kube-webhook-certgen": {
			args: []string{"create", "--host=webhook,webhook.ns.svc,10.0.0.1", "--namespace=ns", "--secret-name", "tls"},
			want: Create{Hosts: []string{"webhook", "webhook.ns.svc", "10.0.0.1"}, Namespace: "ns", SecretName: "tls", Validity: defaultValidity, Settle: time.Minute},
		},
		"spaces after commas in --host": {
			args: []string{"create", "--host=a, b", "--namespace=ns", "--secret-name=tls", "--kubeconfig=k"},
			want: Create{Hosts: []string{"a", "b"}, Namespace: "ns", SecretName: "tls", Kubeconfig: "k", Validity: defaultValidity, Settle: time.Minute},
		},
		"renew with short times": {
			args: []string{"renew", "--host=a", "--namespace=ns", "--secret-name=tls", "--validity=10m", "--settle=0s", "--timeout=5s"},
			want: Renew{Create{Hosts: []string{"a"}, Namespace: "ns", SecretName: "tls", Validity: 10 * time.Minute}, 5 * time.Second},
		},
		"patch of both configurations without a policy": {
			args: patchArgs,
			want: parsedPatch(func(*Patch) {}),
		},
		"one policy for both configurations": {
			args: append(patchArgs, "--patch-failure-policy=Ignore"),
			want: parsedPatch(func(p *Patch) { p.Validating.FailurePolicy, p.Mutating.FailurePolicy = "Ignore", "Ignore" }),
		},
		"empty policy means unchanged": {
			args: append(patchArgs, "--patch-failure-policy="),
			want: parsedPatch(func(*Patch) {}),
		},
		"specific policy overrides the common one": {
			args: append(patchArgs, "--patch-failure-policy=Fail", "--patch-mutating-failure-policy=Ignore", "--timeout=5s"),
			want: parsedPatch(func(p *Patch) {
				p.Validating.FailurePolicy, p.Mutating.FailurePolicy = "Fail", "Ignore"
				p.Timeout = 5 * time.Second
			}),
		},
		"one configuration only": {
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

func TestParseErrorsNameItemAndForm(t *testing.T) {
	create := []string{"create", "--namespace=ns", "--secret-name=tls"}
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "no command: use create, patch or renew"},
		{[]string{"crate"}, `unknown command "crate": use create, patch or renew`},
		{[]string{"--frob"}, "certgen: unknown flag: --frob: see certgen --help"},
		{append(create, "--frob"), "create: unknown flag: --frob: see certgen create --help"},
		{append(create, "x", "--host=a"), `create: unexpected argument "x": use only flags`},
		{create, "create: --host is missing: use --host=webhook,webhook.image-webhook.svc"},
		{append(create, "--host"), "create: --host has no value: use --host=webhook,webhook.image-webhook.svc"},
		{append(create, "--host=a,,b"), `--host: invalid host "": use a DNS name such as webhook.image-webhook.svc or an IP address`},
		{append(create, "--host=a_b"), `--host: invalid host "a_b": use a DNS name such as webhook.image-webhook.svc or an IP address`},
		{append(create, "--host=a", "--validity=0s"), `--validity: invalid duration "0s": use a positive duration such as 60s`},
		{append(create, "--host=a", "--settle=-1s"), `--settle: invalid duration "-1s": use a duration such as 60s`},
		{[]string{"renew", "--host=a", "--namespace=ns", "--secret-name=tls", "--timeout=0s"}, `--timeout: invalid duration "0s": use a positive duration such as 60s`},
		{patchArgs[:3], "patch: --secret-name is missing: use --secret-name=webhook-tls"},
		{append(patchArgs, "--patch-failure-policy=fail"), `patch: --patch-failure-policy: invalid value "fail": use Ignore or Fail`},
		{append(patchArgs, "--patch-mutating=maybe"), `patch: --patch-mutating: invalid value "maybe": use true or false`},
		{append(patchArgs, "--timeout=9"), `patch: --timeout: invalid value "9": use a duration such as 60s`},
		{append(patchArgs, "--timeout=0s"), `--timeout: invalid duration "0s": use a positive duration such as 60s`},
		{append(patchArgs, "--patch-mutating=false", "--patch-validating=false"),
			"--patch-validating=false and --patch-mutating=false leave nothing to patch: set one of them to true"},
		{append(patchArgs, "--patch-mutating=false", "--patch-mutating-failure-policy=Fail"),
			"--patch-mutating-failure-policy needs --patch-mutating=true"},
		{append(patchArgs, "--patch-validating=false", "--patch-validating-failure-policy=Fail"),
			"--patch-validating-failure-policy needs --patch-validating=true"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			_, err := Parse(test.args, io.Discard)
			if err == nil {
				t.Fatal("got no error")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExamplesAreValid(t *testing.T) {
	root := func(stdout, stderr io.Writer) *cobra.Command { return newRoot(new(Command)) }
	for _, args := range clitest.Examples(t, root, "certgen") {
		if _, err := Parse(args, io.Discard); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestParseWritesHelp(t *testing.T) {
	var out strings.Builder
	parsed, err := Parse([]string{"patch", "--help"}, &out)
	if parsed != nil || err != nil {
		t.Errorf("got %v, %v, want nil, nil", parsed, err)
	}
	if !strings.Contains(out.String(), "--patch-failure-policy") {
		t.Errorf("help does not list --patch-failure-policy: %s", out.String())
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 101 && !strings.HasPrefix(line, "  certgen ") { // examples are commands to copy
			t.Errorf("help has a line of more than 100 columns: %s", line)
		}
	}
}
