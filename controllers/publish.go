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
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/controllers/report"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/probes"
)

// publish carries the object out, and measures how long the news of its health took to
// get into the slices. What could not be written is news still.
func (r *Reconciler) publish(ctx context.Context, object *farpointv1.ExternalService, within *policy.Limits) (reconcileFindings, error) {
	owner := ownerOfProbes(object)
	changed := r.transitions.claim(owner) // before the health is read, which may be newer
	trigger := changed
	if trigger.IsZero() {
		// It is an edit, or a repair. When it was made nobody tells; it was seen now.
		trigger = r.clock.Now()
	}
	findings, err := r.syncSlices(ctx, object, owner, within, trigger)
	switch {
	case changed.IsZero():
	case err != nil || findings.pending || findings.WriteFailed != nil:
		r.transitions.restore(owner, changed)
	default:
		r.measured.Latency.Observe(r.clock.Since(changed).Seconds())
	}
	return findings, err
}

// syncSlices finds the Service, has the endpoints probed and writes the slices. The trigger
// is when what is news came about. It returns an error, or findings that are pending, if it
// could not get as far as writing.
func (r *Reconciler) syncSlices(ctx context.Context, object *farpointv1.ExternalService, owner probes.Owner, within *policy.Limits, trigger time.Time) (reconcileFindings, error) {
	all, unconfirmed, err := r.allSlicesOf(ctx, types.NamespacedName(owner))
	if err != nil {
		return reconcileFindings{}, err
	}
	findings := reconcileFindings{within: within, unconfirmed: unconfirmed}
	var known bool
	if findings.Service, known, err = r.services.resolve(ctx, object, all); err != nil {
		return reconcileFindings{}, err
	}
	if !known {
		return reconcileFindings{pending: true}, nil // the grants requeue it
	}
	existing, elsewhere := slicesIn(findings.Service.Namespace(object), all)
	if findings.Service.Service == nil {
		r.keepProbes(owner, within) // its health is known when the Service comes back
	} else if err := r.evaluate(ctx, object, owner, slicestate.Read(existing), &findings); err != nil || findings.pending {
		return findings, err
	}
	plan := r.plan(object, findings, existing, trigger)
	plan.Delete = append(plan.Delete, elsewhere...)
	done := r.slices.apply(ctx, object, existing, plan)
	if done.refused == nil && done.undecided != nil {
		return reconcileFindings{}, done.undecided
	}
	findings.Published, findings.Refused, findings.WriteFailed = done.slices, done.refused, done.err()
	findings.unconfirmed = findings.unconfirmed || !plan.IsEmpty()
	switch {
	case findings.Service.Service == nil:
		r.decisions.Forget(owner) // a Service that comes back starts again
	case findings.Availability != nil && findings.WriteFailed == nil:
		r.decisions.Set(owner, findings.Availability)
	}
	findings.Withheld = len(plan.Withheld) > 0 || done.withheld
	if !plan.IsEmpty() && findings.Refused == nil && !findings.Withheld && findings.Targets != nil {
		next := r.plan(object, findings, done.slices, trigger)
		findings.Altered = !next.IsEmpty()
	}
	return findings, nil
}

// undecided reports whether nobody has refused a write: somebody was faster, or the API server
// did not answer. There is nothing to report, only to try again.
func undecided(err error) bool { return apierrors.IsConflict(err) || apiserver.IsUnreachable(err) }

// keepEndpoints follows the slices once they are written. It returns an error only if that
// is undecided.
func (r *Reconciler) keepEndpoints(ctx context.Context, object *farpointv1.ExternalService, findings *reconcileFindings) error {
	var err error
	findings.Endpoints, err = r.endpoints.keep(ctx, object, findings.Service.Service, findings.Published)
	if undecided(err) {
		return err
	}
	if err != nil {
		findings.WriteFailed = errors.Join(findings.WriteFailed, err)
		findings.Endpoints = report.EndpointsObject{Requested: object.Spec.PublishEndpoints, Reason: farpointv1.WriteFailedReason, Message: err.Error()}
	}
	return nil
}

// detectConflicts finds out who else publishes for the Service. It comes last, since it may
// have to ask the API server about a Service that is new or has changed.
func (r *Reconciler) detectConflicts(ctx context.Context, owner probes.Owner, findings *reconcileFindings) error {
	asker := types.NamespacedName(owner)
	if findings.Service.Service == nil {
		r.pods.forget(asker)
		return nil
	}
	if findings.Targets == nil {
		findings.ConflictsUnknown = true
		return nil
	}
	pods, known, err := r.pods.of(ctx, asker, findings.Service.Service)
	findings.around.Pods, findings.ConflictsUnknown = pods, !known
	findings.Conflict = conflicts.Find(findings.Targets.Accepted, findings.around)
	return err
}

// plan takes the slices away where there is no Service to publish for.
func (r *Reconciler) plan(object *farpointv1.ExternalService, findings reconcileFindings, existing []*discoveryv1.EndpointSlice, trigger time.Time) sliceplan.Plan {
	if findings.Service.Service == nil {
		return sliceplan.Plan{Delete: existing}
	}
	wants := sliceplan.Wants{
		Owner: object, Service: findings.Service.Service, Endpoints: availability.SplitByRole(findings.Verdicts), Hints: findings.Traffic.Hints,
		MaxEndpoints: r.maxEndpoints, Trigger: trigger,
	}
	if options := object.Spec.EndpointSlices; options != nil && options.MaxEndpoints != nil {
		wants.MaxEndpoints = int(*options.MaxEndpoints)
	}
	return sliceplan.Make(wants, existing)
}
