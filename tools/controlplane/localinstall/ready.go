package localinstall

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// probeInterval is the time between two probes.
const probeInterval = 20 * time.Millisecond

// prober sends probes. Like a kubelet, it does not verify certificates.
var prober = &http.Client{Transport: &http.Transport{
	TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	DisableKeepAlives: true,
}}

// waitReady waits until the process passes the readiness probe of its container.
func (p *Process) waitReady(ctx context.Context, probe *corev1.Probe) error {
	if probe == nil || probe.HTTPGet == nil {
		return nil
	}
	url := strings.ToLower(string(probe.HTTPGet.Scheme)) + "://" + p.Addr + probe.HTTPGet.Path
	for lastErr := errors.New("no answer to " + url); ; {
		err := get(ctx, url)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil { // an error after the end of ctx is not the program's
			lastErr = err
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready: %v", filepath.Base(p.cmd.Path), p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), lastErr)
		case <-time.After(probeInterval):
		}
	}
}

// get returns an error unless the answer to a request is OK.
func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := prober.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(body))
	}
	return err
}
