package deploy

import (
	"embed"
	"io/fs"
	"path"
	"slices"
)

// Hybrid is the directory of the hybrid form: a ValidatingAdmissionPolicy denies, and the webhook
// mirrors and warns.
const Hybrid = "hybrid"

// hybridPolicy is applied before the registration of the webhooks. The numbered manifests in the
// directory replace those of the same names.
const (
	hybridPolicy = Hybrid + "/policy.yaml"
	registration = "05-webhookconfigure.yaml"
)

//go:embed hybrid/policy.yaml hybrid/[0-9][0-9]-*.yaml
var hybrid embed.FS

// PolicyVersion is the annotation of the policy with the version of the policy file from which it was made.
const PolicyVersion = "image-webhook.dev/policy-version"

// Names of objects that only one form has.
const (
	DenyingConfiguration = "image-webhook"      // the ValidatingWebhookConfiguration of the webhook that denies
	DenyingPolicy        = "image-webhook"      // in the hybrid form, the policy and the binding that denies
	WarningBinding       = "image-webhook-warn" // the binding for the mode warn
)

// FormSteps returns the steps that install a form: those of Steps, or those of the hybrid form.
func FormSteps(hybrid bool) []Step {
	if hybrid {
		return HybridSteps()
	}
	return Steps()
}

// HybridSteps returns the steps that install the hybrid form. The policy denies before the registration
// changes. Afterwards, the command of Leftovers deletes what the other form has left.
func HybridSteps() (steps []Step) {
	for _, step := range Steps() {
		if step.Name == registration {
			steps = append(steps, Step{File: File{hybridPolicy, readHybrid(hybridPolicy)}, Verb: "apply"})
		}
		if name := path.Join(Hybrid, step.Name); exists(name) {
			step.File = File{name, readHybrid(name)}
		}
		steps = append(steps, step)
	}
	return steps
}

// HybridFiles returns the manifests of HybridSteps.
func HybridFiles() []File { return files(HybridSteps()) }

// WithPolicy returns manifests of the hybrid form with other policy objects.
func WithPolicy(files []File, policy string) []File {
	files = slices.Clone(files)
	for i := range files {
		if files[i].Name == hybridPolicy {
			files[i].Content = policy
		}
	}
	return files
}

// Leftovers returns the arguments of the kubectl command that deletes what only the other form has. Until
// a form denies, the objects of the other one must stay.
func Leftovers(hybrid bool) []string {
	deleted := []string{"validatingadmissionpolicybinding/" + DenyingPolicy, "validatingadmissionpolicybinding/" + WarningBinding,
		"validatingadmissionpolicy/" + DenyingPolicy}
	if hybrid {
		deleted = []string{"validatingwebhookconfiguration/" + DenyingConfiguration}
	}
	return append(append([]string{"delete"}, deleted...), "--ignore-not-found")
}

func exists(name string) bool {
	_, err := fs.Stat(hybrid, name)
	return err == nil
}

func readHybrid(name string) string {
	content, err := hybrid.ReadFile(name)
	if err != nil {
		panic(err) // the file is part of the program
	}
	return string(content)
}
