// This module checks the JSON Schema, the reference and the recipes of the policy file, so that the
// libraries for JSON Schema stay out of the product's dependencies.
module github.com/image-webhook/image-webhook/tools/checks/policyfile

go 1.26.0

replace github.com/image-webhook/image-webhook => ../../..

require (
	github.com/google/go-cmp v0.7.0
	github.com/image-webhook/image-webhook v0.0.0-00010101000000-000000000000
	github.com/invopop/jsonschema v0.14.0
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
	go.yaml.in/yaml/v3 v3.0.5
)

require (
	github.com/bahlo/generic-list-go v0.2.0 // indirect
	github.com/buger/jsonparser v1.1.2 // indirect
	github.com/distribution/reference v0.6.0 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/pb33f/ordered-map/v2 v2.3.1 // indirect
	github.com/yuin/goldmark v1.8.7 // indirect
	go.yaml.in/yaml/v4 v4.0.0-rc.2 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.42.0 // indirect
)
