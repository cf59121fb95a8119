package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
)

// noMetrics is the value of --metrics-addr that disables metrics.
const noMetrics = "0"

// checkAddrs returns an error if an address is invalid, or if both have the same port.
func (o serveOptions) checkAddrs() error {
	port, err := checkAddr(o.addr)
	if err != nil {
		return fmt.Errorf("--server-addr: %w", err)
	}
	if o.metricsAddr == noMetrics {
		return nil
	}
	metricsPort, err := checkAddr(o.metricsAddr)
	switch {
	case err != nil:
		return fmt.Errorf("--metrics-addr: %w, or 0 for no metrics", err)
	case port == metricsPort && port != 0:
		return fmt.Errorf("--metrics-addr: %q has the same port as --server-addr %q: choose another port, or 0 for no metrics", o.metricsAddr, o.addr)
	}
	return nil
}

// checkAddr returns the port of an address, or an error if it is not an address with a numeric
// port.
func checkAddr(addr string) (port uint64, err error) {
	_, text, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.ParseUint(text, 10, 16)
	}
	if err != nil {
		return 0, fmt.Errorf("invalid address %q: use [HOST]:PORT with a port from 0 to 65535, such as :8443", addr)
	}
	return port, nil
}

// listen listens on the address of a flag. Its errors say what to do.
func listen(flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("cannot listen on %s: the address is in use: stop the program that listens there, or choose another address with --%s", addr, flag)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("cannot listen on %s: not permitted: choose a port above 1023 with --%s", addr, flag)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w: choose another address with --%s", addr, err, flag)
	}
	return l, nil
}
