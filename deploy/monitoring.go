package deploy

import _ "embed"

//go:embed monitoring/rules.yaml
var alertingRules string

// AlertingRules returns the content of monitoring/rules.yaml, a file with rules for Prometheus.
func AlertingRules() string { return alertingRules }
