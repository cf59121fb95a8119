// Package versions checks that every list of the supported Kubernetes versions names those of
// the directories tools/pins/kubernetes-*.
package versions

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/image-webhook/image-webhook/tools/kubebuild"
)

const root = "../../.."

// files are the files that contain such a list.
var files = []string{
	"Makefile", "CONTRIBUTING.md", "docs/configuration.md", "docs/operations.md", ".github/workflows/nightly.yaml",
}

var (
	// list matches two or more minor versions that only punctuation and a conjunction separate.
	list    = regexp.MustCompile(`1\.[0-9]{2}(?:(?:[',、\s]|and|or|和|或|以及)+1\.[0-9]{2}\b)+`)
	version = regexp.MustCompile(`1\.[0-9]{2}\b`)
)

func TestListsNameEveryVersion(t *testing.T) {
	minors, err := kubebuild.Minors(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		lists := list.FindAllString(string(content), -1)
		if len(lists) == 0 {
			t.Errorf("%s has no list of Kubernetes versions: add one, or remove the file from this test", file)
		}
		for _, found := range lists {
			if diff := cmp.Diff(minors, version.FindAllString(found, -1)); diff != "" {
				t.Errorf("%s: %q (-pinned +listed):\n%s", file, found, diff)
			}
		}
	}
}
