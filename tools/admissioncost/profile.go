package admissioncost

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/google/pprof/profile"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// errNoProfile means that the API server does not offer profiles, or not to this user.
var errNoProfile = errors.New("the API server does not return a CPU profile")

// measureProfiles returns the CPU time of the API server per create for each arm, by group and for
// the rest.
func (c *cluster) measureProfiles(ctx context.Context, arms []*arm, o Options, step *progress.Step) (perArm [][]time.Duration, err error) {
	for _, a := range arms {
		step.SetDetail(a.name)
		times, err := c.measureProfile(ctx, a, o)
		if err != nil {
			return nil, fmt.Errorf("profile the API server in the arm %q: %w", a.name, err)
		}
		perArm = append(perArm, times)
	}
	return perArm, nil
}

// measureProfile profiles the API server while clients create pods in one arm.
func (c *cluster) measureProfile(ctx context.Context, a *arm, o Options) ([]time.Duration, error) {
	var recorded *profile.Profile
	var failed error
	var recording sync.WaitGroup
	running, stop := context.WithCancel(ctx)
	started := time.Now()
	recording.Go(func() {
		defer stop()
		recorded, failed = c.record(ctx, o.Profile)
	})
	durations, err := c.loadWhile(ctx, running, a, o.Clients)
	elapsed := time.Since(started)
	recording.Wait()
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	// The load is a little longer than the profile.
	creates := float64(len(durations)) * float64(recorded.DurationNanos) / float64(elapsed)
	times := groupSamples(recorded)
	for i := range times {
		times[i] = time.Duration(float64(times[i]) / creates)
	}
	return times, nil
}

// record returns a CPU profile of the API server.
func (c *cluster) record(ctx context.Context, duration time.Duration) (*profile.Profile, error) {
	ctx, stop := context.WithTimeout(ctx, duration+answerLimit)
	defer stop()
	content, err := c.client.Discovery().RESTClient().Get().AbsPath("/debug/pprof/profile").
		Param("seconds", strconv.Itoa(int(duration.Seconds()))).Do(ctx).Raw()
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("%w: %w: use --profile=0", errNoProfile, err)
	}
	if err != nil {
		return nil, err
	}
	return profile.ParseData(content)
}
