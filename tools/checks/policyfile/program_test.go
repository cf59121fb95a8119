package policyfile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/image-webhook/image-webhook/webhook/policy"
)

// read reads a policy as `image-webhook serve --config=policy.yaml` does.
func read(text string) error {
	_, err := policy.Read("policy.yaml", []byte(text), policy.Flags{})
	return err
}

func TestProgramReadsExamples(t *testing.T) {
	for _, e := range examples(t) {
		if err := read(e.text); err != nil {
			t.Errorf("%s: %v\n%s", e.source, err, e.text)
		}
	}
}

func TestProgramAndSchemaAgree(t *testing.T) {
	for text, valid := range policies {
		if err := read(text); (err == nil) != valid {
			t.Errorf("the program returns the error %v, but the schema says that the policy is valid: %t:\n%s", err, valid, text)
		}
	}
}

// invalid are what follows apiVersion and kind in the files whose errors the page shows.
var invalid = []string{
	"registries: [quay.io]",
	"disallowedTags: [latest, 1.10]",
	"allowedRegistries: []",
	"exemptImages: [team/app]",
	"mirrors: [{source: quay.io, mirror: m.example}]\nallowedRegistries: [docker.io]",
	"requireDigest: [quay.io/team]\nexemptImages: [quay.io]",
	"deniedImages: [{image: nginx, reason: CVE-2023-44487}]",
}

func TestPageListsTheErrors(t *testing.T) {
	var table strings.Builder
	table.WriteString("| file | error |\n| --- | --- |\n")
	for _, lines := range invalid {
		err := read(head + lines + "\n")
		if err == nil {
			t.Errorf("the program reads the policy:\n%s", lines)
			continue
		}
		code := "`" + strings.ReplaceAll(lines, "\n", "`<br>`") + "`"
		fmt.Fprintf(&table, "| %s | `%s` |\n", strings.ReplaceAll(code, "|", `\|`), strings.ReplaceAll(err.Error(), "|", `\|`))
	}
	compareSection(t, "errors", table.String())
}
