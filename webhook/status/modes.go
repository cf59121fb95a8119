package status

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/image-webhook/image-webhook/deploy"
)

const modeLabel = "image-webhook.dev/mode"

// Values of the label. The mode of a namespace without the label is deny, except with a component.
const (
	modeDeny = "deny"
	modeWarn = "warn"
	modeOff  = "off"
)

// modes lists the namespaces in which images are not denied. An unknown mode is a warning.
func modes(s evaluation) (checks []Check) {
	checks = append(checks, checkModes.info("", "no webhook is called for the namespaces %s", strings.Join(s.excluded(), ", ")))
	if s.Namespaces.Err != nil {
		return append(checks, checkModes.info("namespaces", "not listed: %s", describe(s.Namespaces.Err)))
	}
	byMode := map[string][]string{}
	var unlabeled []string
	for _, n := range s.Namespaces.Value {
		mode, labeled := n.Labels[modeLabel]
		switch {
		case n.DeletionTimestamp != nil || slices.Contains(s.excluded(), n.Name):
		case labeled:
			byMode[mode] = append(byMode[mode], n.Name)
		default:
			unlabeled = append(unlabeled, n.Name)
		}
	}
	checks = append(checks, s.unlabeledChecks(sorted(unlabeled))...)
	for _, mode := range sortedKeys(byMode) {
		checks = append(checks, modeChecks(mode, sorted(byMode[mode]))...)
	}
	return checks
}

// unlabeledChecks lists the namespaces without the label, unless images are denied in them.
func (s evaluation) unlabeledChecks(namespaces []string) []Check {
	if len(namespaces) == 0 {
		return nil
	}
	switch {
	case slices.Contains(s.installed.components, deploy.OptIn):
		return []Check{checkModes.info("", "without a mode, no webhook is called: %s", strings.Join(namespaces, ", "))}
	case slices.Contains(s.installed.components, deploy.WarnByDefault):
		return []Check{checkModes.info("", "without a mode, no pod is denied: %s", strings.Join(namespaces, ", "))}
	}
	return nil
}

func modeChecks(mode string, namespaces []string) (checks []Check) {
	switch mode {
	case modeDeny:
	case modeOff:
		checks = append(checks, checkModes.info("", "mode off, no webhook is called: %s", strings.Join(namespaces, ", ")))
	case modeWarn:
		checks = append(checks, checkModes.info("", "mode warn, no pod is denied: %s", strings.Join(namespaces, ", ")))
	default:
		for _, name := range namespaces {
			checks = append(checks, checkModes.warning("namespace/"+name, fmt.Sprintf("kubectl label namespace %s %s=%s --overwrite", name, modeLabel, modeDeny),
				"the unknown mode %q is treated as deny: use deny, warn or off", mode))
		}
	}
	return checks
}

// excluded returns the namespaces for which no webhook is called, whatever their labels.
func (s evaluation) excluded() []string {
	for _, e := range s.want.configurations[0].hooks[0].NamespaceSelector.MatchExpressions {
		if e.Key == corev1.LabelMetadataName {
			return e.Values
		}
	}
	return nil
}
