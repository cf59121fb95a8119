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

// criPlugin is the plugin with the CRI settings in version 2 of containerd's configuration.
const criPlugin = "io.containerd.grpc.v1.cri"

const cniTemplatePath = "/etc/containerd/cni.conflist.template"

// cniTemplate configures the pod network. containerd fills in the node's PodCIDR, so no
// daemon is needed. The addresses in use are stored under /run, because a restart of the
// node removes them together with its pods.
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

// defaultCNI replaces the manifest of a network add-on, which kind applies. The node image
// needs no add-on: containerd configures the network.
const defaultCNI = `apiVersion: v1
kind: ConfigMap
metadata:
  name: node-network
  namespace: kube-system
data:
  note: containerd writes each node's CNI configuration from its PodCIDR
`

// defaultStorage is a class without a provisioner: volumes are created manually.
const defaultStorage = `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations:
    storageclass.kubernetes.io/is-default-class: "true"
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
`

func (b *builder) buildBase(ctx context.Context, step *progress.Step) error {
	dir := filepath.Join(b.workDir, "base")
	if err := b.writeBuildContext(dir); err != nil {
		return fmt.Errorf("collect the files of the node base image: %w", err)
	}
	if err := b.engine.Build(ctx, dir, b.baseRef, step); err != nil {
		return fmt.Errorf("build the node base image: %w", err)
	}
	return nil
}

// writeBuildContext writes the Dockerfile and the files that it copies to dir.
func (b *builder) writeBuildContext(dir string) error {
	if err := os.RemoveAll(dir); err != nil { // left behind by a killed run
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
	if err := linkPrograms(b.node, nodePrograms, filepath.Join(dir, "node")); err != nil {
		return err
	}
	if err := writeKindFiles(filepath.Join(b.kindDir, "images", "base", "files"), filepath.Join(dir, "kind")); err != nil {
		return err
	}
	return writeConfiguration(filepath.Join(dir, "node"))
}

// writeConfiguration writes the manifests that kind applies from every node image, and the
// template of the pod network.
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

// writeKindFiles copies the files of kind's base image and adapts two of them. The same
// files are executable as in kind's Dockerfile.
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
		if content, err = adaptKindFile(name, content); err != nil {
			return fmt.Errorf("adapt kind's %s: %w", name, err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "usr/local/bin/") || strings.HasPrefix(name, "kind/bin/") {
			mode = 0o755
		}
		return writeFile(filepath.Join(to, name), string(content), mode)
	})
}

func adaptKindFile(name string, content []byte) ([]byte, error) {
	switch name {
	case "etc/containerd/config.toml":
		return adaptContainerd(content)
	case "etc/systemd/system/containerd.service":
		return removeLines(content, "OOMScoreAdjust="), nil
	}
	return content, nil
}

// adaptContainerd adds the pod network, and sets restrict_oom_score_adj, because no process
// can lower an OOM score on hosts that withhold CAP_SYS_RESOURCE.
func adaptContainerd(content []byte) ([]byte, error) {
	var config map[string]any
	if err := toml.Unmarshal(content, &config); err != nil {
		return nil, err
	}
	cri := subtable(subtable(config, "plugins"), criPlugin)
	cri["restrict_oom_score_adj"] = true
	subtable(cri, "cni")["conf_template"] = cniTemplatePath
	var out bytes.Buffer
	err := toml.NewEncoder(&out).Encode(config)
	return out.Bytes(), err
}

// subtable returns the table name of parent, and adds it if it is missing.
func subtable(parent map[string]any, name string) map[string]any {
	child, ok := parent[name].(map[string]any)
	if !ok {
		child = map[string]any{}
		parent[name] = child
	}
	return child
}

func removeLines(content []byte, prefix string) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(content) {
		if !bytes.HasPrefix(line, []byte(prefix)) {
			out.Write(line)
		}
	}
	return out.Bytes()
}
