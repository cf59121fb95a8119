package admissioncost

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/progress"
)

func TestArmsDependOnTheAPIServer(t *testing.T) {
	always := []string{none, webhook, hybrid, policiesOnly}
	const (
		noFiles  = "the arm \"static\" is left out: the API server reads no policies from files: start the API server with `make controlplane STATIC=1` or `make up install STATIC=1`"
		noPlugin = "the arm \"plugin\" is left out: the API server does not run the plugin ImagePolicyWebhook: "
		start    = "start the API server with `make controlplane STATIC=1`"
		measure  = "measure it on that of `make controlplane STATIC=1`"
	)
	for _, tt := range []struct {
		name    string
		cluster cluster
		arms    []string // besides those that each cluster has
		notes   []string
		want    string // the error if all arms must be measured; empty: none
	}{
		{"make controlplane STATIC=1", cluster{bare: true, static: "/files", plugin: true}, []string{static, plugin}, nil, ""},
		{"make controlplane", cluster{bare: true}, nil, []string{noFiles, noPlugin + start}, noFiles},
		{"an API server with files only", cluster{bare: true, static: "/files"}, []string{static}, []string{noPlugin + start}, noPlugin + start},
		{"make up STATIC=1", cluster{static: "/files"}, []string{static}, []string{noPlugin + measure}, ""},
		{"make up", cluster{}, nil, []string{noFiles, noPlugin + measure}, noFiles},
		{"a cluster with the plugin", cluster{static: "/files", plugin: true}, []string{static, plugin}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var names []string
			for _, setup := range tt.cluster.setups() {
				names = append(names, setup.name)
			}
			if diff := cmp.Diff(append(always[:len(always):len(always)], tt.arms...), names); diff != "" {
				t.Errorf("arms (-want +got):\n%s", diff)
			}
			var output strings.Builder
			if err := tt.cluster.reportLeftOut(Options{}, progress.New(&output)); err != nil {
				t.Error(err)
			}
			wantOutput := ""
			for _, note := range tt.notes {
				wantOutput += "Note: " + note + ".\n"
			}
			if diff := cmp.Diff(wantOutput, output.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			got, want := "", tt.want
			if want != "" {
				want = "measure all arms: " + want
			}
			if err := tt.cluster.reportLeftOut(Options{AllArms: true}, progress.New(&output)); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("got error %q, want %q", got, want)
			}
		})
	}
}

func TestPodsDifferOnlyInTheArmPlugin(t *testing.T) {
	pod := string(newPod())
	for _, tt := range []struct{ arm, first, second string }{
		{static, image, image},
		{plugin, "nginx:000001", "nginx:000002"},
	} {
		a := &arm{name: tt.arm, body: newPod()}
		for _, want := range []string{tt.first, tt.second} {
			if diff := cmp.Diff(strings.Replace(pod, image, want, 1), string(a.nextBody())); diff != "" {
				t.Errorf("pod of the arm %q (-want +got):\n%s", tt.arm, diff)
			}
		}
	}
}

func TestNumberedPodsHaveTheSameSize(t *testing.T) {
	pod := newPod()
	for _, n := range []int64{1, 999_999, 1_000_000, 12_345_678} {
		if got := len(numberImage(pod, n)); got != len(pod) {
			t.Errorf("pod %d has %d bytes, want %d", n, got, len(pod))
		}
	}
}
