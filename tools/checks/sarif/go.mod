// This module validates the SARIF of package report against the schema that OASIS publishes. gosec has a
// copy of it in its test data. The library for JSON Schema and gosec stay out of the product's
// dependencies.
module github.com/image-webhook/image-webhook/tools/checks/sarif

go 1.26.0

replace github.com/image-webhook/image-webhook => ../../..

require (
	github.com/image-webhook/image-webhook v0.0.0-00010101000000-000000000000
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
	github.com/securego/gosec/v2 v2.30.0
)

require (
	github.com/distribution/reference v0.6.0 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)
