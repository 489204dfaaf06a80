/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package controllers

import (
	"context"
	"errors"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/apiserver"
	"farpoint.dev/farpoint/controllers/availability"
	"farpoint.dev/farpoint/controllers/conflicts"
	"farpoint.dev/farpoint/controllers/report"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/probes"
)

// pendingChange is a change of health on its way into the slices. The zero time stands for
// none: the object was edited, or its slices are repaired.
type pendingChange struct {
	reconciler *Reconciler
	owner      probes.Owner
	since      time.Time
}

// claimChange returns the first change of the object's health that the slices do not show yet.
func (r *Reconciler) claimChange(object *farpointv1.ExternalService) *pendingChange {
	owner := probeOwner(object)
	return &pendingChange{r, owner, r.transitions.claim(owner)}
}

// trigger returns when what is published came about, as far as anybody knows: an edit is seen
// now.
func (c *pendingChange) trigger() time.Time {
	if c.since.IsZero() {
		return c.reconciler.clock.Now()
	}
	return c.since
}

// published measures how long the change took to get into the slices.
func (c *pendingChange) published() {
	if !c.since.IsZero() {
		c.reconciler.measured.Latency.Observe(c.reconciler.clock.Since(c.since).Seconds())
	}
	c.since = time.Time{}
}

// restore leaves a change that was not published to the next reconcile.
func (c *pendingChange) restore() {
	if !c.since.IsZero() {
		c.reconciler.transitions.restore(c.owner, c.since)
	}
}

// slicesWritten is what came of writing the slices.
type slicesWritten struct {
	// slices are those that the API server holds now.
	slices []*discoveryv1.EndpointSlice
	// changed reports whether there was something to write.
	changed bool
	// refused joins the errors of writes that the API server refused, and undecided those of
	// writes without an answer.
	refused, undecided error
	// altered: the API server holds something else than was written.
	altered bool
	// withheld: slices were not created, since what they depend on is being deleted.
	withheld bool
}

func (w *slicesWritten) err() error { return errors.Join(w.refused, w.undecided) }

// syncSlices writes the slices. The trigger is when the change to be published came about. It
// returns an error only if the API server has neither taken nor refused a write.
//
// With maxReady it writes twice where one server takes over from another: the second write, which
// adds, is made only after the API server holds what the first one withdraws.
func (r *Reconciler) syncSlices(ctx context.Context, object *farpointv1.ExternalService, current currentState, evaluated evaluation, trigger time.Time) (slicesWritten, error) {
	withdrew := false
	if object.Spec.Availability.MaxReady > 0 {
		withdrawal := evaluated
		if withdrawal.verdicts, withdrew = availability.WithdrawFirst(evaluated.verdicts, current.slices); withdrew {
			written, err := r.writeSlices(ctx, object, current, withdrawal, trigger)
			if err != nil || written.err() != nil || written.altered || written.withheld {
				return written, err
			}
			current.slices = written.slices
		}
	}
	written, err := r.writeSlices(ctx, object, current, evaluated, trigger)
	written.changed = written.changed || withdrew
	switch {
	case err != nil:
	case current.service.Service == nil:
		r.decisions.Forget(probeOwner(object)) // a Service that comes back starts again
	case evaluated.availability != nil && written.err() == nil:
		r.decisions.Set(probeOwner(object), evaluated.availability)
	}
	return written, err
}

// writeSlices writes the slices of these verdicts.
func (r *Reconciler) writeSlices(ctx context.Context, object *farpointv1.ExternalService, current currentState, evaluated evaluation, trigger time.Time) (slicesWritten, error) {
	plan := r.plan(object, current.service, evaluated, current.slices, trigger)
	plan.Delete = append(plan.Delete, current.elsewhere...)
	done := r.slices.apply(ctx, object, current.slices, plan)
	if done.refused == nil && done.undecided != nil {
		return slicesWritten{}, done.undecided
	}
	written := slicesWritten{
		slices: done.slices, changed: !plan.IsEmpty(), refused: done.refused, undecided: done.undecided,
		withheld: len(plan.Withheld) > 0 || done.withheld,
	}
	if written.changed && written.refused == nil && !written.withheld && evaluated.targets != nil {
		next := r.plan(object, current.service, evaluated, written.slices, trigger)
		written.altered = !next.IsEmpty()
	}
	return written, nil
}

// plan removes all slices when there is no Service to publish for.
func (r *Reconciler) plan(object *farpointv1.ExternalService, target report.TargetService, evaluated evaluation, existing []*discoveryv1.EndpointSlice, trigger time.Time) sliceplan.Plan {
	if target.Service == nil {
		return sliceplan.Plan{Delete: existing}
	}
	wants := sliceplan.Wants{
		Owner: object, Service: target.Service, Endpoints: availability.SplitByRole(evaluated.verdicts), Hints: evaluated.hints.Hints,
		MaxEndpoints: r.maxEndpoints, Trigger: trigger,
	}
	if options := object.Spec.EndpointSlices; options != nil && options.MaxEndpoints != nil {
		wants.MaxEndpoints = int(*options.MaxEndpoints)
	}
	return sliceplan.Make(wants, existing)
}

// undecided reports whether the API server has neither taken nor refused a write: another
// writer was faster, or there was no answer. There is nothing to report, only to try again.
func undecided(err error) bool { return apierrors.IsConflict(err) || apiserver.IsUnreachable(err) }

// followUp is what was done after the slices were written.
type followUp struct {
	endpoints report.EndpointsObject
	// conflict is nil if nothing else publishes for the Service; with conflictsUnknown, not all
	// of that is known yet.
	conflict         *conflicts.Conflict
	conflictsUnknown bool
	// failed joins the errors of writes that the API server refused.
	failed error
}

// followSlices brings up to date what depends on the slices: the Endpoints object, Services
// that are no longer the target, and who else publishes. It returns an error only if the API
// server has neither taken nor refused a write.
func (r *Reconciler) followSlices(ctx context.Context, object *farpointv1.ExternalService, target report.TargetService, evaluated evaluation, written slicesWritten) (followUp, error) {
	var followed followUp
	var err error
	followed.endpoints, err = r.endpoints.keep(ctx, object, target.Service, written.slices)
	switch {
	case undecided(err):
		return followUp{}, err
	case err != nil:
		followed.failed = err
		followed.endpoints = report.EndpointsObject{Requested: object.Spec.PublishEndpoints, Reason: farpointv1.WriteFailedReason, Message: err.Error()}
	}
	if written.err() == nil && followed.failed == nil {
		if followed.failed = r.removeFormerServices(ctx, object, target); undecided(followed.failed) {
			return followUp{}, followed.failed
		}
	}
	// Last, since it may have to ask the API server about a Service that is new or has changed.
	followed.conflict, followed.conflictsUnknown, err = r.detectConflicts(ctx, probeOwner(object), target, evaluated)
	return followed, err
}

// detectConflicts finds out who else publishes for the Service, and whether that is not known
// yet.
func (r *Reconciler) detectConflicts(ctx context.Context, owner probes.Owner, target report.TargetService, evaluated evaluation) (conflict *conflicts.Conflict, isUnknown bool, err error) {
	name := types.NamespacedName(owner)
	if target.Service == nil {
		r.pods.forget(name)
		return nil, false, nil
	}
	if evaluated.targets == nil {
		return nil, true, nil
	}
	neighbours := evaluated.neighbours
	pods, known, err := r.pods.of(ctx, name, target.Service)
	neighbours.Pods = pods
	return conflicts.Find(evaluated.targets.Accepted, neighbours), !known, err
}

// findingsOf puts together what the status reports.
func findingsOf(current currentState, evaluated evaluation, written slicesWritten, followed followUp) report.Findings {
	findings := report.Findings{
		Service: current.service, Fault: evaluated.fault, Targets: evaluated.targets, Verdicts: evaluated.verdicts, Availability: evaluated.availability, Excess: evaluated.excess,
		Traffic: evaluated.hints, Held: evaluated.held,
		Published: written.slices, Refused: written.refused, Altered: written.altered, Withheld: written.withheld,
		Endpoints: followed.endpoints, Conflict: followed.conflict, ConflictsUnknown: followed.conflictsUnknown,
		WriteFailed: errors.Join(written.err(), followed.failed),
	}
	if evaluated.targets != nil {
		findings.PortsReason, findings.PortsMessage = conflicts.PortMismatch(evaluated.targets.Accepted, evaluated.neighbours)
		findings.FamiliesReason, findings.FamiliesMessage = conflicts.FamilyMismatch(evaluated.targets.Accepted, evaluated.neighbours)
	}
	return findings
}
