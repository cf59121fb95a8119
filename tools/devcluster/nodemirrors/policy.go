package nodemirrors

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/policy"
)

// nodePolicy is what the files on the nodes are made of.
type nodePolicy struct {
	mirrors image.Mirrors
	version string
}

// readPolicy returns the mirrors of the policy in the manifests, and that of the origin.
func readPolicy() (nodePolicy, error) {
	content, err := policyFile()
	if err != nil {
		return nodePolicy{}, err
	}
	file, err := policy.Parse("policy.yaml", []byte(content))
	if err != nil {
		return nodePolicy{}, err
	}
	rules := []image.Mirror{{Source: originHost, Mirror: originMirror}}
	for _, m := range file.Mirrors {
		rules = append(rules, image.Mirror(m))
	}
	mirrors, err := image.NewMirrors(rules)
	return nodePolicy{mirrors, file.Version}, err
}

// policyFile returns the policy file in the ConfigMap of the manifests.
func policyFile() (string, error) {
	for _, file := range deploy.Files() {
		documents, err := deploy.Documents(file.Content)
		if err != nil {
			return "", fmt.Errorf("read deploy/%s: %w", file.Name, err)
		}
		for _, document := range documents {
			var object corev1.ConfigMap
			if err := yaml.Unmarshal(document, &object); err == nil && object.Kind == "ConfigMap" && object.Data["policy.yaml"] != "" {
				return object.Data["policy.yaml"], nil
			}
		}
	}
	return "", errors.New("the manifests have no ConfigMap with the key policy.yaml")
}
