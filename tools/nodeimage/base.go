package nodeimage

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// criPlugin is where containerd's configuration, version 2, keeps the CRI's.
const criPlugin = "io.containerd.grpc.v1.cri"

const cniTemplatePath = "/etc/containerd/cni.conflist.template"

// cniTemplate is the pod network: containerd fills in the node's PodCIDR, so
// no daemon has to. The addresses in use lie under /run, which a restart of the
// node empties together with its pods.
const cniTemplate = `{
  "cniVersion": "1.0.0",
  "name": "ptp",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": true,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni-ipam-state",
        "ranges": [[{"subnet": "{{.PodCIDR}}"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

// defaultCNI stands where kind expects the manifest of a network add-on, and
// applies it: containerd is the add-on here.
const defaultCNI = `apiVersion: v1
kind: ConfigMap
metadata:
  name: node-network
  namespace: kube-system
data:
  note: containerd writes each node's CNI configuration from its PodCIDR
`

// defaultStorage is a class without a provisioner: volumes are made by hand.
const defaultStorage = `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations:
    storageclass.kubernetes.io/is-default-class: "true"
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
`

// buildBase builds the base image.
func (b *build) buildBase(ctx context.Context, step *progress.Step) error {
	dir := filepath.Join(b.work, "base")
	if err := b.writeContext(dir); err != nil {
		return fmt.Errorf("collect the node image's files: %w", err)
	}
	if err := b.engine.Build(ctx, dir, b.base, step); err != nil {
		return fmt.Errorf("build the node base image: %w", err)
	}
	return nil
}

// writeContext collects what the Dockerfile reads.
func (b *build) writeContext(dir string) error {
	if err := os.RemoveAll(dir); err != nil { // of a run that was killed
		return err
	}
	dockerfile, err := sources.ReadFile("Dockerfile")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, "Dockerfile"), string(dockerfile), 0o644); err != nil {
		return err
	}
	if err := link(b.rootfs, filepath.Join(dir, "rootfs.tar")); err != nil {
		return err
	}
	if err := placePrograms(b.node, nodePrograms, filepath.Join(dir, "node")); err != nil {
		return err
	}
	if err := writeKindFiles(filepath.Join(b.kind, "images", "base", "files"), filepath.Join(dir, "kind")); err != nil {
		return err
	}
	return writeConfiguration(filepath.Join(dir, "node"))
}

// writeConfiguration writes what kind applies from every node image, and the pod
// network.
func writeConfiguration(dir string) error {
	for name, content := range map[string]string{
		"kind/manifests/default-cni.yaml":     defaultCNI,
		"kind/manifests/default-storage.yaml": defaultStorage,
		cniTemplatePath:                       cniTemplate,
	} {
		if err := writeFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeKindFiles copies the files of kind's own base image, programs and
// scripts executable as its Dockerfile has them, and adapts two of them.
func writeKindFiles(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if content, err = adapt(name, content); err != nil {
			return fmt.Errorf("adapt kind's %s: %w", name, err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "usr/local/bin/") || strings.HasPrefix(name, "kind/bin/") {
			mode = 0o755
		}
		return writeFile(filepath.Join(to, name), string(content), mode)
	})
}

func adapt(name string, content []byte) ([]byte, error) {
	switch name {
	case "etc/containerd/config.toml":
		return adaptContainerd(content)
	case "etc/systemd/system/containerd.service":
		return withoutLine(content, "OOMScoreAdjust="), nil
	}
	return content, nil
}

// adaptContainerd adds the pod network. Hosts that withhold CAP_SYS_RESOURCE let
// nobody lower an OOM score, which restrict_oom_score_adj takes into account.
func adaptContainerd(content []byte) ([]byte, error) {
	var config map[string]any
	if err := toml.Unmarshal(content, &config); err != nil {
		return nil, err
	}
	cri := table(table(config, "plugins"), criPlugin)
	cri["restrict_oom_score_adj"] = true
	table(cri, "cni")["conf_template"] = cniTemplatePath
	var out bytes.Buffer
	err := toml.NewEncoder(&out).Encode(config)
	return out.Bytes(), err
}

// table returns the table name of parent, and adds it if it is missing.
func table(parent map[string]any, name string) map[string]any {
	child, ok := parent[name].(map[string]any)
	if !ok {
		child = map[string]any{}
		parent[name] = child
	}
	return child
}

func withoutLine(content []byte, prefix string) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(content) {
		if !bytes.HasPrefix(line, []byte(prefix)) {
			out.Write(line)
		}
	}
	return out.Bytes()
}
