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

// prover finds out whether a webhook's server answers the way the API server
// would ask it: by the same name, trusting the same CA and nothing else.
type prover struct {
	timeout  time.Duration // for all attempts together
	interval time.Duration // between two attempts
	report   time.Duration // between two lines of progress
	progress io.Writer
	dial     Dial
}

func newProver(timeout time.Duration, dial Dial, progress io.Writer) *prover {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 3 * time.Second}).DialContext
	}
	return &prover{
		timeout:  timeout,
		interval: time.Second,
		report:   5 * time.Second,
		progress: progress,
		dial:     dial,
	}
}

// targets are the distinct places at which the servers of these webhooks say
// that they are ready.
func targets(changes []change) []string {
	var urls []string
	for _, c := range changes {
		if u := target(c.webhook); !slices.Contains(urls, u) {
			urls = append(urls, u)
		}
	}
	return urls
}

func target(w webhook) string {
	ready := url.URL{Scheme: "https", Path: "/readyz"}
	if service := w.client.Service; service != nil {
		port := int32(443)
		if service.Port != nil {
			port = *service.Port
		}
		ready.Host = net.JoinHostPort(service.Name+"."+service.Namespace+".svc", strconv.Itoa(int(port)))
	} else if w.client.URL != nil {
		if given, err := url.Parse(*w.client.URL); err == nil {
			ready.Host = given.Host
		}
	}
	return ready.String()
}

// all waits until each of the targets has answered.
func (p *prover) all(ctx context.Context, targets []string, ca []byte) error {
	roots, err := parseCertificates(ca)
	if err != nil {
		return err
	}
	transport := &http.Transport{
		DialContext:       p.dial,
		TLSClientConfig:   &tls.Config{RootCAs: pool(roots), MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true, // each attempt shakes hands anew
	}
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second, CheckRedirect: noRedirect}
	for _, t := range targets {
		if err := p.await(ctx, client, t); err != nil {
			return err
		}
	}
	return nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (p *prover) await(ctx context.Context, client *http.Client, target string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, errTimeout)
	defer cancel()
	start := time.Now()
	reported := start
	var cause error
	for ctx.Err() == nil {
		err := ask(ctx, client, target)
		if err == nil {
			fmt.Fprintf(p.progress, "%s answers\n", target)
			return nil
		}
		if ctx.Err() == nil || cause == nil { // an attempt cut short tells nothing
			cause = err
		}
		if time.Since(reported) >= p.report {
			reported = time.Now()
			fmt.Fprintf(p.progress, "waiting for the server (%s of %s): %v\n", time.Since(start).Round(time.Second), p.timeout, cause)
		}
		pause(ctx, p.interval)
	}
	if !errors.Is(context.Cause(ctx), errTimeout) {
		return fmt.Errorf("interrupted while waiting for the server: %w", cause)
	}
	return fmt.Errorf("the server did not answer within %s: %w: see that its Pods are Ready and serve this Secret's certificate, then run certgen patch again in the cluster", p.timeout, cause)
}

var errTimeout = errors.New("timeout")

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func ask(ctx context.Context, client *http.Client, target string) error {
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
		return fmt.Errorf("GET %s: %s instead of 200", target, response.Status)
	}
	return nil
}
