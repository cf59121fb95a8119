package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
)

// runPlugin runs `kubectl image-webhook` and returns what a terminal shows, and the exit code.
func runPlugin(ctx context.Context, args ...string) string {
	GinkgoHelper()
	got := pluginCommand(ctx, args...)
	return "$ kubectl image-webhook " + strings.Join(args, " ") + "\n" + got.Stdout + got.Stderr + "$ echo $?\n" + strconv.Itoa(got.Exit) + "\n"
}

// pluginCommand runs the plugin that `make e2e` has compiled, through kubectl.
func pluginCommand(ctx context.Context, args ...string) result {
	GinkgoHelper()
	bin, err := filepath.Abs(filepath.Join("..", "bin"))
	Expect(err).NotTo(HaveOccurred())
	cmd := exec.CommandContext(ctx, target.kubectl, append([]string{"image-webhook"}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+target.kubeconfig, "PATH="+bin+":"+os.Getenv("PATH"))
	return runCommand(cmd)
}

// expectStatus compares a run with testdata/status/FILE.txt. It repeats the run, because controllers
// need a moment to notice a change of the installation.
func expectStatus(ctx context.Context, file string, args ...string) {
	GinkgoHelper()
	run := func() string { return reproducible(runPlugin(ctx, args...)) }
	if updates() {
		var previous, last string
		Eventually(func() bool { previous, last = last, run(); return last == previous }).WithContext(ctx).WithPolling(3 * time.Second).Should(BeTrue())
		compareFile(file, last)
		return
	}
	want := readStatusFile(file)
	Eventually(func() string { return cmp.Diff(want, run()) }).WithContext(ctx).Should(BeEmpty(), file+" (-want +got)")
}

// runFixes runs the commands that the plugin prints for all checks that are not ok, in a checkout.
func runFixes(ctx context.Context) {
	GinkgoHelper()
	got := pluginCommand(ctx, "status", "--output=json")
	var report struct{ Checks []struct{ Fix string } }
	Expect(json.Unmarshal([]byte(got.Stdout), &report)).To(Succeed(), got.GomegaString())
	var fixes []string
	for _, check := range report.Checks {
		if check.Fix != "" && !slices.Contains(fixes, check.Fix) {
			fixes = append(fixes, check.Fix)
		}
	}
	Expect(fixes).NotTo(BeEmpty())
	for _, fix := range fixes {
		cmd := exec.CommandContext(ctx, "sh", "-c", fix)
		cmd.Dir, cmd.Env = "..", shellEnv(target.kubeconfig)
		got := runCommand(cmd)
		Expect(got.Exit).To(BeZero(), "%s: %s", fix, got.GomegaString())
	}
	Eventually(func() []batchv1.Job { return renewJobs(ctx) }).WithContext(ctx).
		Should(Or(BeEmpty(), HaveEach(HaveField("Status.Succeeded", BeEquivalentTo(1)))), "the Jobs that the commands have started")
}

// notOK returns the lines of a run that are not ok, except those that a healthy installation has.
func notOK(ctx context.Context, args ...string) string {
	GinkgoHelper()
	healthy := readStatusFile("healthy")
	var lines strings.Builder
	for line := range strings.Lines(reproducible(runPlugin(ctx, args...))) {
		if slices.Contains([]string{"info", "warning", "problem", "unknown"}, strings.Fields(line + " .")[0]) && !strings.Contains(healthy, line) {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// updates reports whether the files are written instead of compared.
func updates() bool { return os.Getenv("E2E_UPDATE") == "1" }

// filesOfEachForm are the files of which the hybrid form has its own: they name what denies.
var filesOfEachForm = []string{"secret-renewed-without-06", "old-certificate-served", "missing-rights"}

func statusFile(name string) string {
	if hybrid && slices.Contains(filesOfEachForm, name) {
		name = "hybrid-" + name
	}
	return filepath.Join("testdata", "status", name+".txt")
}

func readStatusFile(name string) string {
	GinkgoHelper()
	content, err := os.ReadFile(statusFile(name))
	Expect(err).NotTo(HaveOccurred())
	return string(content)
}

// compareFile compares a text with testdata/status/FILE.txt, or writes the file.
func compareFile(file, got string) {
	GinkgoHelper()
	if updates() {
		Expect(os.WriteFile(statusFile(file), []byte(got), 0o644)).To(Succeed())
		return
	}
	Expect(cmp.Diff(readStatusFile(file), got)).To(BeEmpty(), file+" (-want +got)")
}

// differing are the texts of the plugin that differ between runs and clusters, and what the files
// have instead.
var differing = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	{regexp.MustCompile(`https://127\.0\.0\.1:\d{2,} answers, Kubernetes v[\w.]+`), "https://127.0.0.1:6443 answers, Kubernetes v1.37.1"},
	{regexp.MustCompile(`image-webhook\.dev/image-webhook:\S+ \(sha256:[0-9a-f]+\)`), "registry.example.com/image-webhook:v1 (sha256:7d1a0b4ce21f)"},
	{regexp.MustCompile(`\b10(\.\d+){3}\b`), "10.96.0.50"},
	{regexp.MustCompile(`\be2e-[a-z0-9]+`), "shop"}, // namespaces
	// Only make up MONITORING=1 creates this namespace.
	{regexp.MustCompile(`(no webhook is called: .*), monitoring\b`), "$1"},
	// The replicas run on one node only if the cluster has one, or after a drain.
	{regexp.MustCompile("info +replicas +all replicas run on node .*\n"), ""},
	{regexp.MustCompile(`\{\s+"name": "replicas",\s+"result": "info",[^}]+\},\s+`), ""},
	{regexp.MustCompile(`version [0-9a-f]{12}`), "version 5f2c8e90a1d4"}, // of the policy
	{regexp.MustCompile(`\d+ days left`), "364 days left"},
	{regexp.MustCompile(`\d+ \w+ ago`), "20 minutes ago"},
	{regexp.MustCompile(`(clusterroles system:\*: ).* may`), "${1}service account kube-system/generic-garbage-collector, service account kube-system/namespace-controller may"},
}

// differingInHybridForm are the texts of the plugin that differ in the hybrid form, and what the files
// have. The files of the damages of the hybrid form have them too.
var differingInHybridForm = strings.NewReplacer(
	"deploy/hybrid/0", "deploy/0",
	"4 webhooks trust", "5 webhooks trust",
	"3 webhooks trust", "4 webhooks trust",
	"1 webhook trust", "2 webhooks trust",
	"all webhooks are on Ignore, so no request needs a replica", "validating.image-webhook.dev is on Fail, all other webhooks are on Ignore",
	"the webhook configurations or the policy", "the webhook configurations",
)

// replicaName matches the name of a pod of the Deployment.
var replicaName = regexp.MustCompile(`\bwebhook-[0-9a-z]{8,10}-[0-9a-z]{5}\b`)

// reproducible replaces the texts that differ.
func reproducible(text string) string {
	for _, d := range differing {
		text = d.pattern.ReplaceAllString(text, d.replacement)
	}
	if hybrid {
		text = differingInHybridForm.Replace(text)
	}
	names := slices.Compact(slices.Sorted(slices.Values(replicaName.FindAllString(text, -1))))
	return replicaName.ReplaceAllStringFunc(text, func(name string) string {
		return []string{"webhook-6d4cf56db6-4xkzp", "webhook-6d4cf56db6-9qp2m"}[slices.Index(names, name)%2]
	})
}
