package admissioncost

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const metrics = `# TYPE apiserver_admission_step_admission_duration_seconds histogram
apiserver_admission_step_admission_duration_seconds_bucket{operation="CREATE",rejected="false",type="admit",le="+Inf"} 2
apiserver_admission_step_admission_duration_seconds_sum{operation="CREATE",rejected="false",type="admit"} 0.5
apiserver_admission_step_admission_duration_seconds_count{operation="CREATE",rejected="false",type="admit"} 2
apiserver_admission_step_admission_duration_seconds_sum{operation="CREATE",rejected="true",type="admit"} 0.25
apiserver_admission_step_admission_duration_seconds_count{operation="CREATE",rejected="true",type="admit"} 1
apiserver_admission_step_admission_duration_seconds_sum{operation="UPDATE",rejected="false",type="admit"} 8
apiserver_admission_step_admission_duration_seconds_count{operation="UPDATE",rejected="false",type="admit"} 1
# TYPE apiserver_admission_controller_admission_duration_seconds histogram
apiserver_admission_controller_admission_duration_seconds_sum{name="MutatingAdmissionWebhook",operation="CREATE",rejected="false",type="admit"} 0.125
apiserver_admission_controller_admission_duration_seconds_count{name="MutatingAdmissionWebhook",operation="CREATE",rejected="false",type="admit"} 1
apiserver_admission_controller_admission_duration_seconds_sum{name="LimitRanger",operation="CREATE",rejected="false",type="admit"} 4
apiserver_admission_controller_admission_duration_seconds_count{name="LimitRanger",operation="CREATE",rejected="false",type="admit"} 1
# TYPE apiserver_admission_webhook_admission_duration_seconds histogram
apiserver_admission_webhook_admission_duration_seconds_sum{name="validating.image-webhook.dev",operation="CREATE",rejected="false",type="validating"} 0.0625
apiserver_admission_webhook_admission_duration_seconds_count{name="validating.image-webhook.dev",operation="CREATE",rejected="false",type="validating"} 1
apiserver_admission_webhook_admission_duration_seconds_sum{name="other.example",operation="CREATE",rejected="false",type="validating"} 4
apiserver_admission_webhook_admission_duration_seconds_count{name="other.example",operation="CREATE",rejected="false",type="validating"} 1
# TYPE go_goroutines gauge
go_goroutines 12
`

func TestParseMetricsAddsCreates(t *testing.T) {
	totals, err := parseMetrics([]byte(metrics))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]time.Duration{}
	for i, total := range totals {
		if total != 0 {
			got[parts[i].metric+" "+parts[i].title] = total
		}
	}
	want := map[string]time.Duration{
		stepMetric + " all mutating plugins":         750 * time.Millisecond,
		pluginMetric + " - MutatingAdmissionWebhook": 125 * time.Millisecond,
		webhookMetric + " - - call of the webhook":   62500 * time.Microsecond,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

func TestParseMetricsRefusesOtherText(t *testing.T) {
	if _, err := parseMetrics([]byte("<html>apiserver_admission_</html>")); err == nil || !strings.HasPrefix(err.Error(), "parse the metrics of the API server: ") {
		t.Errorf("got error %v", err)
	}
}
