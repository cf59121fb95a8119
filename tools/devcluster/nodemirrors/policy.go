package nodemirrors

import (
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
	content, err := deploy.PolicyFile()
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
