package status

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

// maxMetrics is the maximum size in bytes of the metrics of a replica.
const maxMetrics = 4 << 20

// loadedVersion returns the version of the policy file that a pod uses, or "" if it uses none.
func loadedVersion(ctx context.Context, config *rest.Config, pod corev1.Pod) (string, error) {
	forwarded, err := forward(ctx, config, pod, metricsPort(pod))
	if err != nil {
		return "", fmt.Errorf("connect to the pod: %w", err)
	}
	defer forwarded.Close()
	version, err := scrapeVersion(ctx, forwarded)
	if err != nil {
		return "", fmt.Errorf("read the metrics: %w", forwarded.cause(ctx, err))
	}
	return version, nil
}

// metricsPort returns the port of --metrics-addr, which can differ from that of the container.
func metricsPort(pod corev1.Pod) int32 {
	_, text, _ := net.SplitHostPort(serveFlagsOf(pod.Spec).metricsAddr)
	port, _ := strconv.ParseUint(text, 10, 16)
	return int32(port)
}

// policyInfo matches the metric whose label is the version of the policy file.
var policyInfo = regexp.MustCompile(`^image_webhook_policy_info\{version="([^"]*)"\}`)

// scrapeVersion requests the metrics. It closes the connection when ctx ends.
func scrapeVersion(ctx context.Context, connection net.Conn) (version string, err error) {
	defer context.AfterFunc(ctx, func() { _ = connection.Close() })()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://replica/metrics", nil)
	if err != nil {
		return "", err
	}
	if err := request.Write(connection); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(connection, maxMetrics)), request)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the answer has status %s", response.Status)
	}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if found := policyInfo.FindStringSubmatch(lines.Text()); found != nil {
			return found[1], nil
		}
	}
	return "", lines.Err()
}
