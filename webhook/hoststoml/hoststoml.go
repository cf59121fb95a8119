// Package hoststoml converts mirror rules to the files with which containerd on a node pulls from the
// mirrors itself, and falls back to the origin if a mirror does not have an image or does not answer.
// The format is in https://github.com/containerd/containerd/blob/main/docs/hosts.md:
//
//   - <registry>/hosts.toml lists the hosts that containerd asks for the images of a registry, and
//     then the server, which is the origin. The file for a registry with a port is in the directory
//     HOST_PORT_, and containerd does not normalize names: quay.io:443 is another directory than
//     quay.io. Files has both. It cannot have all spellings with upper-case letters.
//   - containerd adds the path of the image to the URL of a host. It adds /v2 first, unless
//     override_path is set. So a host can have a path, but a path of a registry cannot have a host.
//   - A request to a mirror has the parameter ns with the registry, such as ns=docker.io.
//   - _default/hosts.toml applies to the registries without a directory of their own. It names no
//     server, so that the registry of the image is the origin.
//
// Files returns files with which containerd asks the same mirrors for the same images as the rules.
// It refuses rules for which there are no such files. Write writes the files into a directory.
package hoststoml

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/image"
)

const (
	fileName         = "hosts.toml"
	defaultDirectory = "_default"
	wildcard         = "*"
)

// File is a file below the directory that config_path of containerd names.
type File struct {
	Directory string // such as docker.io, quay.io_443_ or _default
	Content   string // of hosts.toml
}

// Path returns the path of the file, with slashes.
func (f File) Path() string { return f.Directory + "/" + fileName }

// Files returns the files for the rules, in the order of their directories. The version of the policy
// is in the first line of each. It is empty if the rules are from flags.
func Files(mirrors image.Mirrors, version string) ([]File, error) {
	t := newTable(mirrors.Canonical())
	for _, r := range t.rules {
		if err := t.check(r); err != nil {
			return nil, err
		}
	}
	var files []File
	for registry, mirror := range t.registries() {
		for _, directory := range directories(registry) {
			files = append(files, newFile(directory, version, server(registry)+host(mirror)))
		}
	}
	if t.hasDefault() {
		files = append(files, newFile(defaultDirectory, version, host(t.wildcard)))
	}
	if len(files) == 0 {
		return nil, errors.New("no mirror rule for a registry: add mirrors to the policy")
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Directory, b.Directory) })
	return files, nil
}

// place is a registry and a path on it, which may be empty. The zero value is that of an image that
// is not mirrored.
type place struct{ registry, path string }

func newPlace(name string) place {
	registry, path, _ := strings.Cut(name, "/")
	return place{registry, path}
}

// below returns the place of a path below p.
func (p place) below(path string) place {
	if p.registry == "" || path == "" {
		return p
	}
	return place{p.registry, strings.TrimPrefix(p.path+"/"+path, "/")}
}

func (p place) String() string { return strings.TrimSuffix(p.registry+"/"+p.path, "/") }

// rule is a mirror rule in the canonical spelling.
type rule struct{ source, mirror place }

func (r rule) String() string { return r.source.String() + "=" + r.mirror.String() }

// table has the rules by what containerd can choose a mirror by: a registry, or none.
type table struct {
	rules    []rule
	roots    map[string]place // the mirrors of whole registries; the zero value excludes
	wildcard place            // the zero value if no rule or an exclusion applies to all other registries
	mirrors  map[string]bool  // the registries of the mirrors
}

func newTable(list []image.Mirror) table {
	t := table{roots: map[string]place{}, mirrors: map[string]bool{}}
	for _, item := range list {
		r := rule{newPlace(item.Source), newPlace(item.Mirror)}
		t.rules = append(t.rules, r)
		switch {
		case r.source.registry == wildcard:
			t.wildcard = r.mirror
		case r.source.path == "":
			t.roots[r.source.registry] = r.mirror
		}
		if r.mirror.registry != "" {
			t.mirrors[r.mirror.registry] = true
		}
	}
	return t
}

func (t *table) hasDefault() bool { return t.wildcard.registry != "" }

// mirrorOf returns the mirror of the images of a registry that no rule for a path matches.
func (t *table) mirrorOf(registry string) place {
	mirror, found := t.roots[registry]
	if !found && !t.mirrors[registry] {
		return t.wildcard
	}
	return mirror
}

// check returns an error for a rule for a path that changes anything. It changes nothing if its images
// are on the same mirror without it.
func (t *table) check(r rule) error {
	without := t.mirrorOf(r.source.registry).below(r.source.path)
	if r.source.path == "" || r.mirror == without {
		return nil
	}
	reason := fmt.Sprintf("mirror rule %q is not possible in hosts.toml: containerd chooses a mirror by the registry, and not by the path", r)
	if r.mirror.registry == "" {
		return fmt.Errorf("%s: exclude the whole registry with %q, or let the webhook mirror", reason, r.source.registry+"=")
	}
	return fmt.Errorf("%s: use one mirror for all of %s, or let the webhook mirror", reason, r.source.registry)
}

// registries returns the mirrors of the registries with a file, or the zero value if the origin alone
// is asked: for excluded registries, and for mirrors, to which the wildcard does not apply.
func (t *table) registries() map[string]place {
	all := maps.Clone(t.roots)
	for mirror := range t.mirrors {
		if _, found := all[mirror]; !found && t.hasDefault() {
			all[mirror] = place{}
		}
	}
	return all
}
