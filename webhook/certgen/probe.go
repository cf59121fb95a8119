package certgen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// prober checks that a webhook's server answers. Like the API server, it uses the host
// name of the webhook's client configuration and trusts only the CA bundle.
type prober struct {
	timeout        time.Duration // for all attempts on one URL
	interval       time.Duration // between two attempts
	reportInterval time.Duration // between two lines of progress
	progress       io.Writer
	dial           Dial
}

func newProber(timeout time.Duration, dial Dial, progress io.Writer) *prober {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 3 * time.Second}).DialContext
	}
	return &prober{
		timeout:        timeout,
		interval:       time.Second,
		reportInterval: 5 * time.Second,
		progress:       progress,
		dial:           dial,
	}
}

// readyzURLs returns the readiness URLs of the webhooks' servers, without duplicates.
func readyzURLs(updates []webhookUpdate) []string {
	var urls []string
	for _, update := range updates {
		if u := readyzURL(update.webhook); !slices.Contains(urls, u) {
			urls = append(urls, u)
		}
	}
	return urls
}

func readyzURL(w webhook) string {
	ready := url.URL{Scheme: "https", Path: "/readyz"}
	if service := w.client.Service; service != nil {
		port := int32(443)
		if service.Port != nil {
			port = *service.Port
		}
		ready.Host = net.JoinHostPort(service.Name+"."+service.Namespace+".svc", strconv.Itoa(int(port)))
	} else if w.client.URL != nil {
		if configured, err := url.Parse(*w.client.URL); err == nil {
			ready.Host = configured.Host
		}
	}
	return ready.String()
}

// waitUntilReady waits until every URL has answered over TLS with the CA bundle.
func (p *prober) waitUntilReady(ctx context.Context, urls []string, caBundle []byte) error {
	roots, err := parseCertificates(caBundle)
	if err != nil {
		return err
	}
	transport := &http.Transport{
		DialContext:       p.dial,
		TLSClientConfig:   &tls.Config{RootCAs: newPool(roots), MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true, // every attempt needs a new handshake
	}
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second, CheckRedirect: rejectRedirect}
	for _, u := range urls {
		if err := p.waitForURL(ctx, client, u); err != nil {
			return err
		}
	}
	return nil
}

func rejectRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (p *prober) waitForURL(ctx context.Context, client *http.Client, target string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, errTimeout)
	defer cancel()
	start := time.Now()
	reported := start
	var cause error
	for ctx.Err() == nil {
		err := get(ctx, client, target)
		if err == nil {
			fmt.Fprintf(p.progress, "%s answers\n", target)
			return nil
		}
		if ctx.Err() == nil || cause == nil { // an attempt that was cut off by the timeout has no useful error
			cause = err
		}
		if time.Since(reported) >= p.reportInterval {
			reported = time.Now()
			fmt.Fprintf(p.progress, "waiting for the server (%s of %s): %v\n", time.Since(start).Round(time.Second), p.timeout, cause)
		}
		sleep(ctx, p.interval)
	}
	if !errors.Is(context.Cause(ctx), errTimeout) {
		return fmt.Errorf("interrupted while waiting for the server: %w", cause)
	}
	return fmt.Errorf("the server did not answer within %s: %w: check that its pods are ready and serve the certificate of this Secret, then run certgen patch again in the cluster", p.timeout, cause)
}

var errTimeout = errors.New("timeout")

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func get(ctx context.Context, client *http.Client, target string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: got status %s, want 200", target, response.Status)
	}
	return nil
}
