// Package imageplugin lets an API server on this machine run its plugin ImagePolicyWebhook, with the files of
// deploy/image-policy. The plugin calls a webhook process of its own on the loopback interface, which answers
// only callers with a client certificate. The package does not start the API server.
//
// The files are changed only in what belongs to this machine: the directory, the address, and how long the API
// server caches answers.
package imageplugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/image-webhook/image-webhook/deploy"
	"github.com/image-webhook/image-webhook/tools/controlplane/localinstall"
)

// Name is the name of the plugin.
const Name = "ImagePolicyWebhook"

const (
	// nodeDirectory and nodeAddress are texts in the files that New replaces.
	nodeDirectory = "/etc/kubernetes/image-webhook"
	nodeAddress   = "127.0.0.1:9443"
)

// Plugin is the plugin of an API server, and the webhook that it calls.
type Plugin struct {
	source    string // directory of the unchanged files
	directory string // replaces nodeDirectory
	address   string // replaces nodeAddress
	args      []string
	process   *localinstall.Process // nil: it does not run
}

// New writes the files of the plugin and of its webhook into a directory. root is the top of the checkout.
func New(root, directory string) (*Plugin, error) {
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	p := &Plugin{source: filepath.Join(root, "deploy", "image-policy"), directory: directory, address: address}
	if err := p.write(); err != nil {
		return nil, fmt.Errorf("write the files of the plugin %s: %w", Name, err)
	}
	return p, nil
}

func (p *Plugin) write() error {
	policy, err := deploy.PolicyFile()
	if err != nil {
		return err
	}
	kubeconfig, err := p.read("kubeconfig.yaml")
	if err != nil {
		return err
	}
	manifest, err := p.read("static-pod.yaml")
	if err != nil {
		return err
	}
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict(manifest, &pod); err != nil {
		return fmt.Errorf("read deploy/image-policy/static-pod.yaml: %w", err)
	}
	p.args = pod.Spec.Containers[0].Args
	if err := os.MkdirAll(p.directory, 0o700); err != nil {
		return err
	}
	return errors.Join(
		writeCertificates(p.directory),
		os.WriteFile(filepath.Join(p.directory, "policy.yaml"), []byte(policy), 0o600),
		os.WriteFile(filepath.Join(p.directory, "kubeconfig.yaml"), kubeconfig, 0o600),
	)
}

// read returns a file with the directory and the address of this plugin.
func (p *Plugin) read(name string) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(p.source, name))
	return []byte(strings.NewReplacer(nodeDirectory, p.directory, nodeAddress, p.address).Replace(string(content))), err
}

// allowTTL is for how many seconds the API server caches an answer: the longest time that it accepts. So a
// measurement can tell an answer from the cache and a call of the webhook apart.
const allowTTL = 30 * 60

// AddTo returns an AdmissionConfiguration, in YAML, with the configuration of the plugin.
func (p *Plugin) AddTo(configuration []byte) ([]byte, error) {
	content, err := p.read("admission-configuration.yaml")
	if err != nil {
		return nil, err
	}
	var all, own struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Plugins    []struct {
			Name          string         `json:"name"`
			Configuration map[string]any `json:"configuration"`
		} `json:"plugins"`
	}
	if err := errors.Join(yaml.UnmarshalStrict(configuration, &all), yaml.UnmarshalStrict(content, &own)); err != nil {
		return nil, fmt.Errorf("read an AdmissionConfiguration: %w", err)
	}
	for _, plugin := range own.Plugins {
		if settings, ok := plugin.Configuration["imagePolicy"].(map[string]any); ok {
			settings["allowTTL"] = allowTTL
		}
	}
	all.Plugins = append(all.Plugins, own.Plugins...)
	return yaml.Marshal(all)
}

// Start starts the webhook, and returns when it serves. Its output goes to log.
func (p *Plugin) Start(ctx context.Context, program string, log io.Writer) (err error) {
	p.process, err = localinstall.StartProcess(ctx, program, p.args, log)
	if err != nil {
		return fmt.Errorf("start the webhook of the plugin %s: %w", Name, err)
	}
	return nil
}

// Stop ends the webhook. It does nothing without a plugin, or if the webhook does not run.
func (p *Plugin) Stop() error {
	if p == nil || p.process == nil {
		return nil
	}
	process := p.process
	p.process = nil
	return process.Stop()
}

// FreeAddress returns an address on which no process listens. Its port is below 32768, where the kernel's
// ephemeral ports start, so that no other process gets it before the webhook listens.
func FreeAddress() (string, error) {
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000))))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", errors.New("found no free port between 20000 and 32000 in 100 tries")
}
