package monitoring

import (
	_ "embed"
	"encoding/json"
	"strings"
	"text/template"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/gobuild"
)

//go:embed manifest.yaml
var manifestTemplate string

//go:embed prometheus.yaml
var config string

// renderManifest returns the objects of Prometheus, which runs the image ref.
func renderManifest(ref string) (string, error) {
	parsed, err := template.New("manifest.yaml").Funcs(template.FuncMap{"json": quote}).Parse(manifestTemplate)
	if err != nil {
		return "", err
	}
	rules := deploy.AlertingRules()
	var out strings.Builder
	err = parsed.Execute(&out, map[string]string{
		"Image": ref, "Config": config, "Rules": rules, "ConfigHash": `"` + gobuild.Hash([]byte(config+rules)) + `"`,
	})
	return out.String(), err
}

// quote returns text as a string in JSON, which is also valid in YAML.
func quote(text string) (string, error) {
	quoted, err := json.Marshal(text)
	return string(quoted), err
}
