package ownercontroller

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
)

const (
	validQuota  = "apiVersion: v1\nkind: ResourceQuota\nspec: {hard: {pods: \"5\", requests.memory: 1024Mi, limits.memory: 2Gi}}\n"
	validLimits = "apiVersion: v1\nkind: LimitRange\nspec: {limits: [{type: Container, default: {memory: 100Mi}}]}\n"
)

// writeTemplate writes the files of a template. An empty content means no file.
func writeTemplate(t *testing.T, dir, quota, limits string) {
	t.Helper()
	for file, content := range map[string]string{quotaFile: quota, limitsFile: limits} {
		path := filepath.Join(dir, file)
		if content == "" {
			_ = os.Remove(path)
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInvalidTemplatesAreRefused(t *testing.T) {
	tests := []struct {
		name, quota, limits string
		want                string // the error
	}{
		{"not YAML", "a: [", validLimits, "resourcequota.yaml: invalid YAML: "},
		{"empty", "\n", validLimits, "resourcequota.yaml: "},
		{"comment", "# none\n", validLimits, `resourcequota.yaml: unexpected kind "" of apiVersion "": use a ResourceQuota of v1`},
		{"unknown field", strings.Replace(validQuota, "hard", "hards", 1), validLimits, `resourcequota.yaml: invalid YAML: unknown field "hards"`},
		{"duplicate key", strings.Replace(validQuota, "pods", "limits.memory: 1Gi, pods", 1), validLimits, "resourcequota.yaml: invalid YAML: "},
		{"not a quantity", strings.Replace(validQuota, "1024Mi", "much", 1), validLimits, "resourcequota.yaml: invalid YAML: "},
		{"two documents", validQuota + "---\n" + validQuota, validLimits, "resourcequota.yaml: the file has several documents: keep one"},
		{"other kind", validLimits, validLimits, `resourcequota.yaml: invalid YAML: unknown field "limits"`},
		{"other version", strings.Replace(validQuota, "v1", "v2", 1), validLimits, `resourcequota.yaml: unexpected kind "ResourceQuota" of apiVersion "v2": use a ResourceQuota of v1`},
		{"another namespace", validQuota + "metadata: {namespace: kube-system}\n", validLimits, `resourcequota.yaml: metadata.namespace is "kube-system": delete it, because the object is created in each namespace with an owner`},
		{"another name", validQuota, validLimits + "metadata: {name: mine}\n", `limitrange.yaml: metadata.name is "mine": delete it, because the object is always named namespace-owner`},
		{"no LimitRange", validQuota, "", "resourcequota.yaml limits requests.memory, but limitrange.yaml has no defaultRequest for the memory of containers: add one, because pods without it would be refused"},
		{"no default limit", validQuota, strings.Replace(validLimits, "default:", "defaultRequest:", 1), "resourcequota.yaml limits limits.memory, but limitrange.yaml has no default for the memory of containers: add one, because pods without it would be refused"},
		{"no default for cpu", strings.Replace(validQuota, "pods", "cpu", 1), validLimits, "resourcequota.yaml limits cpu, but limitrange.yaml has no defaultRequest for the cpu of containers: add one, because pods without it would be refused"},
		{"default for pods", validQuota, strings.Replace(validLimits, "Container", "Pod", 1), "resourcequota.yaml limits requests.memory, but "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			writeTemplate(t, dir, tt.quota, tt.limits)
			_, err := readTemplate(dir)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
	if _, err := readTemplate(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing directory is not refused")
	}
}

func TestTemplateHasOnlyTheFilesThatExist(t *testing.T) {
	for _, tt := range []struct {
		name, quota, limits string
		wantQuota           string // JSON of the spec; empty: none
		wantLimits          string
	}{
		{"both", validQuota, validLimits, `{"hard":{"limits.memory":"2Gi","pods":"5","requests.memory":"1Gi"}}`, `{"limits":[{"type":"Container","default":{"memory":"100Mi"},"defaultRequest":{"memory":"100Mi"}}]}`},
		{"no quota", "", validLimits, "", `{"limits":[{"type":"Container","default":{"memory":"100Mi"},"defaultRequest":{"memory":"100Mi"}}]}`},
		{"no limits", strings.Replace(validQuota, "requests.memory: 1024Mi, limits.memory: 2Gi", "", 1), "", `{"hard":{"pods":"5"}}`, ""},
		{"none", "", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			writeTemplate(t, dir, tt.quota, tt.limits)
			got, err := readTemplate(dir)
			if err != nil {
				t.Fatal(err)
			}
			quota, limits := "", ""
			if got.quota != nil {
				quota = got.quota.stored.Value()
			}
			if got.limits != nil {
				limits = got.limits.stored.Value()
			}
			if diff := cmp.Diff([]string{tt.wantQuota, tt.wantLimits}, []string{quota, limits}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTemplateOfTheManifestIsValid(t *testing.T) {
	for _, file := range deploy.NamespaceOwnerFiles() {
		var configMap corev1.ConfigMap
		if !strings.Contains(file.Content, "kind: ConfigMap") {
			continue
		}
		if err := yaml.Unmarshal([]byte(file.Content), &configMap); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		writeTemplate(t, dir, configMap.Data[quotaFile], configMap.Data[limitsFile])
		got, err := readTemplate(dir)
		if err != nil || got.quota == nil || got.limits == nil {
			t.Errorf("got %+v, %v", got, err)
		}
		return
	}
	t.Error("no manifest has a ConfigMap")
}

// The kubelet replaces all files of a ConfigMap together, with a symbolic link.
func TestTemplateIsReadFromOneVersionOfTheConfigMap(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"..1", "..2"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeTemplate(t, filepath.Join(dir, "..1"), validQuota, validLimits)
	for _, link := range [][2]string{{"..1", "..data"}, {"..data/" + quotaFile, quotaFile}, {"..data/" + limitsFile, limitsFile}} {
		if err := os.Symlink(link[0], filepath.Join(dir, link[1])); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := readTemplate(dir); err != nil || got.quota == nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := os.Remove(filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("..2", filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if got, err := readTemplate(dir); err != nil || got.quota != nil {
		t.Errorf("got %+v, %v after all keys were deleted", got, err)
	}
}

func TestLastValidTemplateStaysInForce(t *testing.T) {
	dir := t.TempDir()
	files := &templateFiles{dir: dir}
	type result struct {
		Changed, NewError, Valid, Invalid bool
	}
	load := func() result {
		changed, newError := files.load()
		_, err := files.current()
		return result{changed, newError, err == nil, files.lastError() != nil}
	}
	for _, step := range []struct {
		name, quota string
		want        result
	}{
		{"invalid at the start", "kind: x", result{NewError: true, Invalid: true}},
		{"invalid again", "kind: x", result{Invalid: true}},
		{"valid", validQuota, result{Changed: true, Valid: true}},
		{"same objects", "# a comment\n" + validQuota, result{Valid: true}},
		{"invalid", "kind: x", result{NewError: true, Valid: true, Invalid: true}},
		{"differently invalid", "kind: y", result{NewError: true, Valid: true, Invalid: true}},
		{"valid as before", validQuota, result{Valid: true}},
		{"changed", strings.Replace(validQuota, "5", "6", 1), result{Changed: true, Valid: true}},
		{"no quota", "", result{Changed: true, Valid: true}},
	} {
		writeTemplate(t, dir, step.quota, validLimits)
		if diff := cmp.Diff(step.want, load()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add(validQuota, validLimits)
	f.Fuzz(func(t *testing.T, quota, limits string) {
		got, err := parseTemplate([]byte(quota), []byte(limits))
		if err == nil && (got.quota == nil || got.limits == nil) {
			t.Errorf("got %+v without an error", got)
		}
	})
}

func TestQuotaIsCompleteWhenItsStatusCoversItsSpec(t *testing.T) {
	list := func(pods, secrets string) corev1.ResourceList {
		l := corev1.ResourceList{}
		for name, value := range map[corev1.ResourceName]string{"pods": pods, "secrets": secrets} {
			if value != "" {
				l[name] = resource.MustParse(value)
			}
		}
		return l
	}
	for _, tt := range []struct {
		name string
		q    corev1.ResourceQuota
		want bool
	}{
		{"no status", corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: list("5", "6")}}, false},
		{"hard without used", corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: list("5", "6")}, Status: corev1.ResourceQuotaStatus{Hard: list("5", "6"), Used: list("0", "")}}, false},
		{"older hard", corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: list("5", "6")}, Status: corev1.ResourceQuotaStatus{Hard: list("4", "6"), Used: list("0", "0")}}, false},
		{"complete", corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: list("5", "6")}, Status: corev1.ResourceQuotaStatus{Hard: list("5000m", "6"), Used: list("0", "0")}}, true},
		{"no limits", corev1.ResourceQuota{}, true},
	} {
		if got := isComplete(&tt.q); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
}

func TestCompactedObjectsStayCompact(t *testing.T) {
	// An informer may call a transformation again with its own result.
	n, err := compactNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a", Annotations: map[string]string{"image-webhook.dev/owner": ""}}})
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := compactNamespace(n); again != n || !n.(*namespace).hasOwner {
		t.Errorf("got %+v", again)
	}
	q, err := compactManaged(&corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{templateLabel: templateIgnored}}})
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := compactManaged(q); again != q || !q.(*managed).ignoresTemplate {
		t.Errorf("got %+v", again)
	}
}
