package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"

	"github.com/image-webhook/image-webhook/tools/progress"
)

const (
	allocationRequests = 200 // number of requests whose allocations are counted
	allocationWarmUp   = 20  // number of requests before, which fill the pools of the server
)

// measureAllocations counts the allocations for each review, with the servers in this process. The
// client, net/http and the log are included.
func (r *run) measureAllocations(ctx context.Context, step *progress.Step) error {
	for _, c := range r.contenders {
		step.SetDetail(c.name)
		if err := r.measureContender(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// measureContender serves a contender in this process and sends it all reviews.
func (r *run) measureContender(ctx context.Context, c contender) (err error) {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.serve(serving, l, r.certificate, slog.New(slog.NewTextHandler(io.Discard, nil))) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	client, err := connect(ctx, l.Addr().String(), r.certificate.trusted)
	if err != nil {
		return err
	}
	defer closeAll([]*connection{client})
	for _, path := range c.paths {
		for _, review := range r.reviews {
			figures := r.result.figures(c.name, path, review)
			if figures.Bytes, figures.Allocations, err = client.countAllocations(newRequest(path, review.body)); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// countAllocations returns the bytes and the number of allocations per request.
func (c *connection) countAllocations(request []byte) (bytes, allocations float64, err error) {
	if err := c.repeat(request, allocationWarmUp); err != nil {
		return 0, 0, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := c.repeat(request, allocationRequests); err != nil {
		return 0, 0, err
	}
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc-before.TotalAlloc) / allocationRequests, float64(after.Mallocs-before.Mallocs) / allocationRequests, nil
}

// repeat sends a request n times.
func (c *connection) repeat(request []byte, n int) error {
	for range n {
		if err := c.post(request); err != nil {
			return err
		}
	}
	return nil
}
