package certgen

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// policyFlag is a flag with the value Ignore or Fail. The value is case-sensitive.
type policyFlag admissionregistrationv1.FailurePolicyType

func (p *policyFlag) String() string { return string(*p) }

func (p *policyFlag) Type() string { return "policy" }

// Set also accepts an empty string, which keeps the present policy: manifests for the
// retired kube-webhook-certgen may contain it.
func (p *policyFlag) Set(value string) error {
	switch value {
	case "", string(admissionregistrationv1.Ignore), string(admissionregistrationv1.Fail):
		*p = policyFlag(value)
		return nil
	}
	return errors.New("not a failure policy")
}

func (p policyFlag) orDefault(value policyFlag) admissionregistrationv1.FailurePolicyType {
	if p == "" {
		p = value
	}
	return admissionregistrationv1.FailurePolicyType(p)
}

// parseHosts returns the hosts of a comma-separated list, in its order.
func parseHosts(list string) ([]string, error) {
	var hosts []string
	for item := range strings.SplitSeq(list, ",") {
		host := strings.TrimSpace(item)
		if !isValidHost(host) {
			return nil, fmt.Errorf("--host: invalid host %q: use a DNS name such as webhook.image-webhook.svc or an IP address", item)
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}

func isValidHost(host string) bool {
	return net.ParseIP(host) != nil ||
		len(validation.IsDNS1123Subdomain(host)) == 0 ||
		len(validation.IsWildcardDNS1123Subdomain(host)) == 0
}

// flagExamples has an example for each flag with a text value.
var flagExamples = map[string]string{
	"host":         "--host=webhook,webhook.image-webhook.svc",
	"kubeconfig":   "--kubeconfig=FILE",
	"namespace":    "--namespace=image-webhook",
	"secret-name":  "--secret-name=webhook-tls",
	"webhook-name": "--webhook-name=image-webhook",
}

// valueForms describes the values of the other flags, by their type.
var valueForms = map[string]string{
	"bool":     "true or false",
	"policy":   "Ignore or Fail",
	"duration": "a duration such as 60s",
}

func checkRequired(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if cmd.Flag(name).Value.String() == "" {
			return fmt.Errorf("%s: --%s is missing: use %s", cmd.Name(), name, flagExamples[name])
		}
	}
	return nil
}

// flagError rewrites the errors of pflag in the form of certgen's other errors.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &invalid):
		flag := invalid.GetFlag()
		return fmt.Errorf("%s: --%s: invalid value %q: use %s", cmd.Name(), flag.Name, invalid.GetValue(), expectedForm(flag))
	case errors.As(err, &missing):
		flag := missing.GetFlag()
		return fmt.Errorf("%s: --%s has no value: use %s", cmd.Name(), flag.Name, expectedForm(flag))
	case errors.Is(err, pflag.ErrHelp):
		return err
	}
	return fmt.Errorf("%s: %w: see %s --help", cmd.Name(), err, cmd.CommandPath())
}

func expectedForm(flag *pflag.Flag) string {
	if example, ok := flagExamples[flag.Name]; ok {
		return example
	}
	return valueForms[flag.Value.Type()]
}
