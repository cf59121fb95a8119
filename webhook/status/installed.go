package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/policy"
)

// Installed is what decides about the images of a cluster: the policy of the installation, and the
// namespaces for which the API server calls the webhooks.
type Installed struct {
	Namespace string // of the webhook
	// Assumed is why the modes are those of the manifests; empty: the cluster has webhook configurations.
	Assumed string

	client             kubernetes.Interface
	deny, warn, mirror []labels.Selector // of the webhooks that deny, warn and mirror pods
}

// Scope is what the webhooks do for the pods of a namespace.
type Scope struct {
	Mode    string // deny, warn, off or ModeExcluded
	Mirrors bool   // images of new pods are mirrored
}

// ModeExcluded is the mode of a namespace for which no webhook is called, whatever its labels.
const ModeExcluded = "excluded"

// installedLimit is how long each request of ReadInstalled and Policy may take.
const installedLimit = 30 * time.Second

// ReadInstalled reads for which namespaces the API server calls the webhooks. It assumes the manifests
// of this version if nothing is installed, or if the user must not read the configurations. It returns an
// error if the API server does not answer.
func ReadInstalled(ctx context.Context, config *rest.Config) (*Installed, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Timeout = -1, installedLimit // a few requests, once
	config.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("invalid cluster configuration: %w: check the kubeconfig", err)
	}
	s := evaluation{Snapshot: Snapshot{Namespace: DefaultNamespace}, want: manifests(DefaultNamespace)}
	s.readConfigurations(ctx, client)
	s.DenyPolicy = readDenyPolicy(ctx, client)
	i := &Installed{Namespace: s.calledNamespace(), client: client}
	found, policy := s.Configurations.Value, s.DenyPolicy.Value
	switch err := s.Configurations.Err; {
	case apierrors.IsForbidden(err):
		i.Assumed = "the webhook configurations cannot be read"
	case err != nil:
		return nil, unanswered(config.Host, err)
	case len(found) == 0:
		i.Assumed = "image-webhook is not installed"
	case s.DenyPolicy.Err != nil && !denies(found):
		i.Assumed = "the validating admission policies cannot be read"
	}
	if i.Assumed != "" {
		found, policy = s.want.configurations, denyPolicy{}
	}
	return i, errors.Join(i.addSelectors(found), i.addBindings(policy))
}

// denies reports whether a webhook denies pods.
func denies(configurations []configuration) bool {
	return slices.ContainsFunc(configurations, func(c configuration) bool { _, ok := c.findHook(denying); return ok })
}

// addBindings adds the namespace selectors of the bindings of the policy. Their actions say what they do.
func (i *Installed) addBindings(p denyPolicy) error {
	if p.policy == nil {
		return nil // the bindings have no effect
	}
	for _, b := range p.bindings {
		var match admissionregistrationv1.MatchResources
		if b.Spec.MatchResources != nil {
			match = *b.Spec.MatchResources
		}
		setDefault(&match.NamespaceSelector, metav1.LabelSelector{})
		selector, err := metav1.LabelSelectorAsSelector(match.NamespaceSelector)
		if err != nil {
			return fmt.Errorf("%s/%s: invalid namespaceSelector: %w", bindingKind, b.Name, err)
		}
		if slices.Contains(b.Spec.ValidationActions, admissionregistrationv1.Deny) {
			i.deny = append(i.deny, selector)
		} else {
			i.warn = append(i.warn, selector)
		}
	}
	return nil
}

// unanswered returns the error of the first request.
func unanswered(host string, err error) error {
	if sent := new(url.Error); errors.As(err, &sent) {
		err = sent.Err // without the URL
	}
	if apierrors.IsUnauthorized(err) {
		return fmt.Errorf("%s does not accept your credentials: %w: run kubectl cluster-info", host, err)
	}
	return fmt.Errorf("%s does not answer: %w: run kubectl cluster-info", host, err)
}

// addSelectors adds the namespace selectors of the webhooks that are called for pods. Their paths say what
// they do.
func (i *Installed) addSelectors(configurations []configuration) error {
	kinds := map[string]*[]labels.Selector{"/validating": &i.deny, "/validating/warn": &i.warn, "/mutating": &i.mirror, "/mutating/warn": &i.mirror}
	for _, c := range configurations {
		for _, h := range c.hooks {
			path := serviceOf(h).Path
			if path == nil || kinds[*path] == nil || !isForPods(h) {
				continue
			}
			selector, err := metav1.LabelSelectorAsSelector(h.NamespaceSelector)
			if err != nil {
				return fmt.Errorf("%s: invalid namespaceSelector of the webhook %s: %w", c.object(), h.Name, err)
			}
			*kinds[*path] = append(*kinds[*path], selector)
		}
	}
	return nil
}

// isForPods reports whether the API server calls a webhook for new pods.
func isForPods(h hook) bool {
	for _, rule := range h.Rules {
		if slices.Contains(rule.Resources, "pods") {
			return true
		}
	}
	return false
}

// Scope returns what the webhooks do in a namespace with these labels. A missing name label, which the API
// server sets, is added.
func (i *Installed) Scope(name string, given map[string]string) Scope {
	set := labels.Merge(given, labels.Set{corev1.LabelMetadataName: name})
	scope := Scope{Mirrors: matchesAny(i.mirror, set)}
	switch {
	case matchesAny(i.deny, set):
		scope.Mode = modeDeny
	case matchesAny(i.warn, set):
		scope.Mode = modeWarn
	case matchesAny(i.deny, labels.Merge(set, labels.Set{modeLabel: modeDeny})):
		scope.Mode = modeOff
	default:
		scope.Mode = ModeExcluded
	}
	return scope
}

func matchesAny(selectors []labels.Selector, set labels.Set) bool {
	return slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(set) })
}

// Policy reads the rules of the installation: the flags of the Deployment, and its policy file. It also
// returns where they are.
func (i *Installed) Policy(ctx context.Context) (rules *admission.Rules, source string, err error) {
	deployment := get(ctx, i.client.AppsV1().Deployments(i.Namespace).Get, workload)
	if deployment.Err != nil {
		return nil, "", fmt.Errorf("%s in namespace %s: %w", deploymentObject, i.Namespace, deployment.Err)
	}
	pod := deployment.Value.Spec.Template.Spec
	flags := serveFlagsOf(pod)
	if flags.config == "" {
		rules, source = &flags.rules.Rules, fmt.Sprintf("flags of %s in namespace %s", deploymentObject, i.Namespace)
		return rules, source, cmp.Or(flags.invalid, rules.Policy.Validate())
	}
	if flags.invalid != nil {
		return nil, "", fmt.Errorf("%s in namespace %s: %w", deploymentObject, i.Namespace, flags.invalid)
	}
	file, found := policySource(pod, flags.config)
	if !found {
		return nil, "", fmt.Errorf("%s in namespace %s: its policy file %s is not in a ConfigMap", deploymentObject, i.Namespace, flags.config)
	}
	source = fmt.Sprintf("configmap/%s in namespace %s", file.configMap, i.Namespace)
	rules, err = i.readPolicyFile(ctx, file, flags.rules)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", source, err)
	}
	return rules, fmt.Sprintf("%s, version %s", source, rules.Version), nil
}

func (i *Installed) readPolicyFile(ctx context.Context, file configMapKey, flags policy.Flags) (*admission.Rules, error) {
	configMap := get(ctx, i.client.CoreV1().ConfigMaps(i.Namespace).Get, file.configMap)
	if configMap.Err != nil {
		return nil, configMap.Err
	}
	content, found := configMap.Value.Data[file.key]
	if !found {
		return nil, fmt.Errorf("it has no key %s", file.key)
	}
	return policy.Read(file.key, []byte(content), flags)
}
