package deploy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Documents returns the YAML documents of a manifest, one for each object.
func Documents(manifest string) (documents [][]byte, err error) {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(manifest)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents, nil
		} else if err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
}

// PolicyFile returns the policy file in the ConfigMap of the manifests.
func PolicyFile() (string, error) {
	for _, file := range Files() {
		documents, err := Documents(file.Content)
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
