package loadtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// subject is a path of a contender.
type subject struct {
	*serverProcess
	path string
}

// measureRounds sends all reviews to all contenders, and checks each answer once.
func (r *run) measureRounds(ctx context.Context, step *progress.Step) (err error) {
	servers, err := r.startAll(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopAll(servers)) }()
	if err := r.checkAnswers(servers); err != nil {
		return err
	}
	for round := range r.Rounds {
		for _, review := range r.reviews {
			step.SetDetail(fmt.Sprintf("round %d of %d, %s", round+1, r.Rounds, review.name))
			for _, s := range rotate(subjects(servers), round) {
				if err := r.measureRound(ctx, s, review); err != nil {
					return err
				}
			}
		}
	}
	return r.readPeaks(servers)
}

// startAll starts the processes of all contenders.
func (r *run) startAll(ctx context.Context) (servers []*serverProcess, err error) {
	for _, c := range r.contenders {
		s, err := r.start(ctx, c, r.Connections)
		if err != nil {
			return nil, errors.Join(err, stopAll(servers))
		}
		servers = append(servers, s)
		idle, err := readMemory(s.PID())
		if err != nil {
			return nil, errors.Join(err, stopAll(servers))
		}
		r.result.Servers = append(r.result.Servers, Server{Contender: c.name, Idle: idle.Resident})
	}
	return servers, nil
}

func stopAll(servers []*serverProcess) error {
	var failures []error
	for _, s := range servers {
		failures = append(failures, s.stop())
	}
	return errors.Join(failures...)
}

// checkAnswers checks the answers of all contenders to all reviews.
func (r *run) checkAnswers(servers []*serverProcess) error {
	for _, s := range subjects(servers) {
		for _, review := range r.reviews {
			if err := s.check(s.path, review); err != nil {
				return err
			}
		}
	}
	return nil
}

func subjects(servers []*serverProcess) (all []subject) {
	for _, s := range servers {
		for _, path := range s.paths {
			all = append(all, subject{s, path})
		}
	}
	return all
}

// rotate returns the elements of a list, beginning with another one in each round.
func rotate[T any](list []T, round int) []T {
	first := round % len(list)
	return slices.Concat(list[first:], list[:first])
}

// measureRound measures one review once, without and with a fixed rate. It warms the server up
// first.
func (r *run) measureRound(ctx context.Context, s subject, review review) error {
	if _, err := s.send(ctx, load{duration: r.Duration / 10}, s.path, review.body); err != nil {
		return err
	}
	before, err := readCPUTimes(s.PID())
	if err != nil {
		return err
	}
	unlimited, err := s.send(ctx, load{duration: r.Duration}, s.path, review.body)
	if err != nil {
		return err
	}
	after, err := readCPUTimes(s.PID())
	if err != nil {
		return err
	}
	paced, err := s.send(ctx, load{duration: r.Duration, rate: r.Rate}, s.path, review.body)
	if err != nil {
		return err
	}
	figures := r.result.figures(s.name, s.path, review)
	figures.Rounds = append(figures.Rounds, newRound(unlimited, cpuTimes{after.server - before.server, after.client - before.client}, paced))
	return nil
}

// cpuTimes are CPU times of a server and of the client.
type cpuTimes struct{ server, client time.Duration }

func readCPUTimes(server int) (c cpuTimes, err error) {
	if c.server, err = cpuTime(server); err != nil {
		return c, err
	}
	c.client, err = cpuTime(os.Getpid())
	return c, err
}

// newRound returns the figures of a round.
func newRound(unlimited sample, cpu cpuTimes, paced sample) Round {
	answers := time.Duration(len(unlimited.latencies))
	return Round{
		Throughput: float64(answers) / unlimited.elapsed.Seconds(),
		CPU:        cpu.server / answers,
		ClientCPU:  cpu.client / answers,
		Latency:    newLatency(unlimited.latencies),
		Paced:      newLatency(paced.latencies),
		Unsent:     paced.unsent,
	}
}

// readPeaks reads the memory of all contenders after the load.
func (r *run) readPeaks(servers []*serverProcess) error {
	for i, s := range servers {
		m, err := readMemory(s.PID())
		if err != nil {
			return err
		}
		r.result.Servers[i].Peak, r.result.Servers[i].After = m.Peak, m.Resident
	}
	return nil
}
