package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/image-webhook/image-webhook/tools/progress"
)

// event is something that happens to the cluster under load.
type event struct {
	name    string
	summary string
	short   bool          // whether --short includes it
	nodes   int           // the number of nodes that it needs
	bound   time.Duration // how long after a fault of the event creates may be lost
	// replaces is set if the event replaces the certificate. If it fails, the certificate must be
	// repaired.
	replaces bool
	run      func(*run, context.Context, *progress.Step) error
}

// events are all events, in their order.
var events = []event{
	{name: "rollout-1", summary: "kubectl rollout restart", run: (*run).rollOut},
	{name: "rollout-2", summary: "kubectl rollout restart", run: (*run).rollOut},
	{name: "rollout-3", summary: "kubectl rollout restart", run: (*run).rollOut},
	{name: "upgrade", summary: "an upgrade from the image of the previous version in git, and back", run: (*run).upgrade},
	{name: "renewal-1", summary: "a renewal", replaces: true, run: (*run).renew},
	{name: "renewal-rollout", summary: "a renewal with a rollout in its middle", short: true, replaces: true, run: (*run).renewDuringRollout},
	{name: "renewal-killed", summary: "a renewal whose Job is killed after each of its steps", replaces: true, run: (*run).renewWithKills},
	{name: "renewal-2", summary: "a renewal", replaces: true, run: (*run).renew},
	{name: "secret-deleted", summary: "the Secret is deleted, then the CronJob runs", replaces: true, run: (*run).deleteSecret},
	{name: "06-before-03", summary: "06, a rollout, then 03 creates a certificate, and a rollout without another 06", replaces: true, run: (*run).runPatchBeforeCertgen},
	{name: "03-rollout-06", summary: "03 creates a certificate, a rollout, then 06", replaces: true, run: (*run).rollOutBeforePatch},
	{name: "argocd", summary: "a renewal while 05 is applied as by Argo CD, every 3 seconds", replaces: true, run: (*run).renewWithArgoCD},
	{name: "flux", summary: "a renewal while 05 is applied as by Flux, every 3 seconds", replaces: true, run: (*run).renewWithFlux},
	{name: "flood", summary: "two pods flood the webhook with connections and reviews", run: (*run).flood},
	{name: "forced-deletes", summary: "kubectl delete pod --force for each replica", run: (*run).forceDeletes},
	{name: "sigkill", summary: "each replica is killed with SIGKILL", bound: killBound, run: (*run).killEach},
	{name: "sigkill-all", summary: "all replicas are killed with SIGKILL at once", bound: killBound, run: (*run).killAll},
	{name: "frozen", summary: "all replicas are stopped with SIGSTOP at once", bound: frozenBound, run: (*run).freezeAll},
	{name: "drain", summary: "kubectl drain for the node of one replica", short: true, nodes: 2, run: (*run).drain},
	{name: "node-killed", summary: "the machine of one replica stops, and starts again", nodes: 2, bound: nodeBound, run: (*run).killNode},
	{name: "nodes-killed", summary: "all machines stop and start again", bound: clusterBound, run: (*run).killNodes},
}

const (
	quietTime      = 10 * time.Second // load before and after each event
	shortQuietTime = 5 * time.Second
)

// List returns the names of all events and what they do, as lines of tab-separated columns.
func List() string {
	var b strings.Builder
	for _, e := range events {
		summary := e.summary
		if e.nodes > 0 {
			summary += fmt.Sprintf(" (needs %d nodes)", e.nodes)
		}
		fmt.Fprintf(&b, "%s\t%s\n", e.name, summary)
	}
	return b.String()
}

// CheckNames returns an error for a name that is not that of an event.
func CheckNames(names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(events, func(e event) bool { return e.name == name }) {
			return fmt.Errorf("unknown event %q: use names of --list", name)
		}
	}
	return nil
}

// selectEvents returns the events with the names; without names, all events that are possible on
// this number of nodes, or those for --short.
func selectEvents(nodes int, names []string, short bool, report *progress.Reporter) (selected []event, err error) {
	for _, e := range events {
		wanted := slices.Contains(names, e.name) || len(names) == 0 && (e.short || !short)
		switch {
		case !wanted:
		case nodes >= e.nodes:
			selected = append(selected, e)
		case len(names) > 0:
			return nil, fmt.Errorf("event %s needs %d nodes, and the cluster has %d: create one with `make down` and `NODES=%d make up install`", e.name, e.nodes, nodes, e.nodes)
		default:
			report.Note("Without the event %s: it needs %d nodes, and the cluster has %d.", e.name, e.nodes, nodes)
		}
	}
	return selected, nil
}

// runEvents runs the events and adds a row for each to the report. It continues after an event that
// failed, but not if the webhook does not serve afterwards.
func (r *run) runEvents(ctx context.Context, selected []event, quiet time.Duration, result *Report) error {
	for _, e := range selected {
		var row Row
		var ended error
		_ = r.report.Step(e.name, func(step *progress.Step) error {
			row, ended = r.runEvent(ctx, e, quiet, step)
			if ended != nil {
				return ended
			}
			step.SetResult("%s", row.summary())
			result.Rows = append(result.Rows, row)
			return row.err()
		})
		if e.replaces && cmp.Or(ended, row.failed()) != nil {
			ended = errors.Join(ended, r.repair(ctx))
		}
		if ended != nil {
			return fmt.Errorf("event %s: %w", e.name, ended)
		}
	}
	return nil
}

// err returns an error if the event failed or something was lost.
func (r Row) err() error {
	if r.lost() > 0 {
		return errors.New(r.summary())
	}
	return r.failed()
}

func (r Row) failed() error {
	if r.Failure != "" {
		return errors.New(r.Failure)
	}
	return nil
}

// runEvent runs an event under load. The event has ended when the webhook is in its final state
// again. runEvent returns an error if the event could not begin, or was interrupted; any other
// failure is in the row.
func (r *run) runEvent(ctx context.Context, e event, quiet time.Duration, step *progress.Step) (Row, error) {
	row := Row{Name: e.name}
	r.notes, r.faults = nil, nil
	if err := r.waitReady(ctx, step); err != nil {
		return row, fmt.Errorf("the webhook is not ready for the event: %w", err)
	}
	l := startLoad(ctx, r.clients, r.Rate)
	defer l.stop()
	step.SetDetail("before the event")
	if err := sleep(ctx, quiet); err != nil {
		return row, err
	}
	l.next()
	began := time.Now()
	stopHurrying := r.hurryKubelets(ctx)
	failed := e.run(r, ctx, step)
	if failed == nil {
		failed = r.waitReady(ctx, step)
	}
	stopHurrying()
	row.Lasted = time.Since(began)
	l.next()
	step.SetDetail("after the event")
	if err := sleep(ctx, quiet); err != nil {
		return row, err
	}
	l.stop()
	row.Phases, row.Losses = l.figures()
	row.Notes, row.Faults = r.notes, Faults{e.bound, r.faults, r.hybrid}
	if failed != nil {
		row.Failure = failed.Error()
	}
	return row, nil
}

// repairLimit is the time limit of a repair: each of its Jobs may have to wait for the replicas.
const repairLimit = 10 * time.Minute

// repair repairs the certificate with 03 and 06, also after an interruption.
func (r *run) repair(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), repairLimit)
	defer cancel()
	return r.report.Step("repair the certificate with 03 and 06", func(step *progress.Step) error {
		if err := r.runJobs(ctx, step, certgenManifest, patchManifest); err != nil {
			return fmt.Errorf("repair the certificate: %w: run `make install`", err)
		}
		return r.waitReady(ctx, step)
	})
}
