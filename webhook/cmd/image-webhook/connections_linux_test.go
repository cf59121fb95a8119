package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/image-webhook/image-webhook/webhook/server/servertest"
)

// runConfined is the environment variable with which the test binary confines itself: see confine.
// If it is "connect", the test binary then opens a connection; otherwise it runs as image-webhook.
const runConfined = "IMAGE_WEBHOOK_TEST_CONFINED"

// It runs before TestMain, which can run image-webhook.
func init() {
	if os.Getenv(runConfined) != "" {
		fmt.Fprintln(os.Stderr, confine())
		os.Exit(1)
	}
}

// connecting are the system calls that open a connection or send a datagram to an address.
var connecting = []uint32{unix.SYS_CONNECT, unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG}

// confine runs the test binary again, so that the kernel kills it at the first of the connecting
// system calls. It returns only if that fails.
func confine() error {
	if os.Getenv(runConfined) == "connect" {
		defer func() { _, _ = net.Dial("tcp", "127.0.0.1:1") }()
	}
	runtime.LockOSThread()                                                       // the filter is for this thread, and stays when its program is replaced
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the number of the system call
	for _, call := range connecting {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_KILL_PROCESS})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("install the seccomp filter: %w", err)
	}
	if os.Getenv(runConfined) == "connect" {
		return nil // and connect
	}
	return syscall.Exec("/proc/self/exe", os.Args, []string{runAsProgram + "=1"})
}

// confinedCommand returns a command that runs the test binary with confine.
func confinedCommand(t *testing.T, mode string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.Env = []string{runConfined + "=" + mode}
	return cmd
}

// This is why 04 can deny all egress. The kernel would kill the server for the first attempt, also
// to resolve a name.
func TestServerOpensNoConnection(t *testing.T) {
	pair := servertest.New(t, t.TempDir())
	cmd := confinedCommand(t, "program", "serve", "--server-addr=127.0.0.1:0", "--metrics-addr=127.0.0.1:0", "--tls-cert="+pair.CertFile, "--tls-key="+pair.KeyFile,
		"--registry-mirrors=docker.mirror.example", "--image-pull-policy=Always")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewScanner(stderr)
	url := "https://" + logAttribute(nextLine(t, log, "msg=serving addr="), "addr")
	drained := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, stderr); drained <- err }()
	client := pair.Client(t)
	if err := postRecordedReviews(client, url); err != nil {
		t.Error(err)
	}
	client.CloseIdleConnections()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server has ended with %v, want exit code 0; \"bad system call\" is an attempt to connect", err)
	}
}

func TestKernelKillsAProgramThatConnects(t *testing.T) {
	err := confinedCommand(t, "connect").Run()
	if err == nil || !strings.Contains(err.Error(), "bad system call") {
		t.Errorf("got %v, want a program that was killed", err)
	}
}

// postRecordedReviews posts each recorded review to each path, several at the same time. Not every
// path supports each review, but each must get a response.
func postRecordedReviews(client *http.Client, url string) error {
	const reviews = "../../admission/testdata/reviews"
	files, err := os.ReadDir(reviews)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(8)
	for _, file := range files {
		for _, path := range []string{"/validating", "/validating/warn", "/validating/unknown-mode", "/mutating", "/mutating/warn", "/image-policy"} {
			group.Go(func() error {
				review, err := os.ReadFile(filepath.Join(reviews, file.Name()))
				if err != nil {
					return err
				}
				return postReview(client, url+path, string(review), "")
			})
		}
	}
	return group.Wait()
}
