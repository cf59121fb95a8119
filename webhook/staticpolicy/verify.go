package staticpolicy

import (
	"context"
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/image-webhook/image-webhook/webhook/apiservers"
	"github.com/image-webhook/image-webhook/webhook/generatedfiles"
)

const (
	// verifyInterval is how often an API server is asked. It loads a changed file within a second, or within
	// a minute if it is not notified of the change.
	verifyInterval = time.Second
	// requestLimit is how long an API server may take to answer.
	requestLimit = 10 * time.Second
)

// State is what an API server has loaded.
type State struct {
	Server string // HOST:PORT
	Fault  string // empty: exactly the files
}

// Verify asks all API servers which files they have loaded, until all have loaded exactly these or ctx ends. It
// returns the last state of each.
func Verify(ctx context.Context, config *rest.Config, files []generatedfiles.File) ([]State, error) {
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("invalid cluster configuration: %w: check the kubeconfig", err)
	}
	slice, err := client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Get(ctx, apiservers.Slice, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read the addresses of the API servers: %w", err)
	}
	servers, err := apiservers.List(slice, config)
	if err != nil {
		return nil, err
	}
	states := make([]State, len(servers))
	_ = wait.PollUntilContextCancel(ctx, verifyInterval, true, func(ctx context.Context) (bool, error) {
		done := true
		for i, server := range servers {
			states[i] = State{server.Address, fault(ctx, server.Config, files)}
			done = done && states[i].Fault == ""
		}
		return done, nil
	})
	return states, nil
}

// fault returns how what an API server has loaded differs from the files, the first of which are those of the
// plugins.
func fault(ctx context.Context, config *rest.Config, files []generatedfiles.File) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit) // the last answer must be complete
	defer cancel()
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return err.Error()
	}
	metrics, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return fmt.Sprintf("cannot read its metrics: %v", err)
	}
	found := loaded(string(metrics))
	if len(found) == 0 {
		return "reads no files: start it with --admission-control-config-file"
	}
	var faults []string
	for i, p := range plugins {
		if f := p.fault(found, files[i]); f != "" {
			faults = append(faults, f)
		}
	}
	return strings.Join(faults, "; ")
}

// fault returns how what the plugin has loaded differs from its file. found are the hashes of what the plugins
// have loaded. A user who adds only some plugins to a configuration of others loses no rules while the lists
// of the other plugins are empty.
func (p plugin) fault(found map[string]string, file generatedfiles.File) string {
	got, ok := found[p.name]
	switch {
	case !ok && len(objectsOf(file)) == 0:
		return ""
	case !ok:
		return p.name + " reads no files: add it to the file of --admission-control-config-file, and restart the API server"
	case got == "":
		return p.name + " has loaded an empty directory: copy the files to the node"
	case got != hash(file.Content):
		return p.name + " has loaded other files: copy the files to the node, or read in the API server's log why it does not load them"
	}
	return ""
}

// infoMetric matches the hash of what a plugin has loaded. Labels are sorted by name.
var infoMetric = regexp.MustCompile(`(?m)^apiserver_manifest_admission_config_controller_last_config_info\{(?:[^}]*,)?hash="([^"]*)",plugin="([^"]*)"`)

// loaded returns the hashes in the metrics of an API server by plugin. The hash of an empty directory is empty.
func loaded(metrics string) map[string]string {
	found := map[string]string{}
	for _, match := range infoMetric.FindAllStringSubmatch(metrics, -1) {
		found[match[2]] = match[1]
	}
	return found
}

// hash returns the hash of a directory with only this file, as the API server computes it: of each file, and
// of a zero byte after it.
func hash(content string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content+"\x00")))
}
