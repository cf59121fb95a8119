package check

import (
	"fmt"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/podimages"
)

// ImagePaths are the paths of images in custom resources, by kind. A kind without paths has no images.
type ImagePaths map[groupKind][][]string

type groupKind struct{ group, kind string }

// ParseImagePaths parses paths in the form KIND.GROUP=PATH. PATH has keys separated by dots, and names an
// image, a list of images, or a pod spec. Lists on the way to it are entered, with or without [*] after
// their key. An empty PATH means that the kind has no images.
func ParseImagePaths(values []string) (ImagePaths, error) {
	paths := ImagePaths{}
	for _, value := range values {
		if err := paths.add(value); err != nil {
			return nil, fmt.Errorf("image path %q %w", value, err)
		}
	}
	return paths, nil
}

func (p ImagePaths) add(value string) error {
	name, path, found := strings.Cut(value, "=")
	kind, group, _ := strings.Cut(strings.TrimSpace(name), ".")
	switch {
	case !found || kind == "" || group == "":
		return fmt.Errorf("is not KIND.GROUP=PATH: use a form such as Rollout.argoproj.io=spec.template.spec")
	case strings.Contains(group, "/"):
		return fmt.Errorf("has a version: use KIND.GROUP without it")
	case isBuiltIn(group) && podimages.IsPodKind(kind):
		return fmt.Errorf("is for a kind whose images are known: remove it")
	}
	key := groupKind{group, kind}
	if path = strings.TrimSpace(path); path == "" {
		if len(p[key]) > 0 {
			return fmt.Errorf("says that the kind has no images, but another one names them: remove one of them")
		}
		p[key] = nil
		return nil
	}
	keys := strings.Split(strings.TrimPrefix(strings.ReplaceAll(path, "[*]", ""), "."), ".")
	for _, key := range keys {
		if key == "" || strings.ContainsAny(key, "[]/ ") {
			return fmt.Errorf("has the invalid key %q: write keys separated by dots, such as spec.template.spec", key)
		}
	}
	p[key] = append(p[key], keys)
	return nil
}

// find returns the paths of a kind, and whether they are known.
func (p ImagePaths) find(kind podimages.Kind) (paths [][]string, known bool) {
	paths, known = p[groupKind{kind.Group, kind.Kind}]
	return paths, known
}
