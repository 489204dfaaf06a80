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
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/availability"
	"farpoint.dev/farpoint/controllers/conflicts"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/controllers/references"
	"farpoint.dev/farpoint/controllers/report"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/scheduler"
)

// reconcileFindings are what a reconcile has found out so far.
type reconcileFindings struct {
	report.Findings
	// within is what the policies allow.
	within *policy.Limits
	// around is what else leads the Service's traffic somewhere.
	around conflicts.Neighbours
	// referencesDue is after how long what the health check refers to is to be read again; 0
	// if it refers to nothing.
	referencesDue time.Duration
	// pending: something has to be known before the object can be carried out. retryAfter is
	// the longest time to wait for it; 0 if a watch requeues the object.
	pending    bool
	retryAfter time.Duration
	// unconfirmed: the cache has not shown all own writes of slices yet.
	unconfirmed bool
}

// evaluate finds out which endpoints are sound, has the scheduler probe them and fetches
// what it knows. What has a fault is probed by the last definition that was sound, and as
// any other within what the policies allow now. Findings that are pending wait for the first
// answers about DNS names, or about Secrets and ConfigMaps.
func (r *Reconciler) evaluate(ctx context.Context, object *farpointv1.ExternalService, owner probes.Owner, prior *slicestate.Prior, findings *reconcileFindings) error {
	known := r.definitions.update(ctx, object, r.clock.Now())
	if wait := references.Patience - known.references.UnansweredFor(r.clock.Now()); !known.HasProbers() && wait > 0 && wait <= references.Patience {
		findings.pending, findings.retryAfter = true, min(wait, references.RetryInterval)
		return nil
	}
	findings.Fault = known.Fault()
	findings.referencesDue = known.references.DueIn(r.clock.Now(), r.definitions.cadence)
	common := targets.ScheduleOf(&object.Spec)
	slowed := findings.within.ClampTiming(&common.Timing)
	room, err := r.roomFor(ctx, object, findings.within)
	if err != nil {
		return err
	}
	service := findings.Service.Service
	planner := r.targets.Within(findings.within, room)
	names := r.resolve(object, owner, service, planner, prior)
	if wait := names.Awaited(r.clock.Now()); wait > 0 {
		findings.pending, findings.retryAfter = true, wait // or less: the resolver requeues
		return nil
	}
	planned := planner.Plan(names, service.Spec.Ports, known.Probing(findings.within, planner.Egress.Version()), prior)
	known.Keep(&planned)
	planned.Slowed = slowed
	if findings.around, err = r.neighbours(ctx, service, types.NamespacedName(owner)); err != nil {
		return err
	}
	leaving := r.leaving(object, owner, planner, planned, prior, findings.around)
	r.probe(owner, findings.within, append(planned.ProbeTargets(common, prior), unchangedTargets(leaving)...))
	findings.Targets = &planned
	findings.Held = r.scheduler.Held(owner)
	findings.Verdicts = verdicts(planned.Accepted, r.scheduler.Health(owner), prior)
	findings.Availability = availability.RulesOf(&object.Spec.Availability).Assign(findings.Verdicts, availability.Past{Decided: r.decisions.Of(owner), Published: prior.At})
	findings.Verdicts = append(findings.Verdicts, leaving...)
	findings.PortsReason, findings.PortsMessage = conflicts.PortMismatch(planned.Accepted, findings.around)
	findings.FamiliesReason, findings.FamiliesMessage = conflicts.FamilyMismatch(planned.Accepted, findings.around)
	findings.Traffic = sliceplan.DecideHints(service, findings.Verdicts).BesideOthers(service, findings.around.Rivals)
	return nil
}

// leaving finds the endpoints that have left the spec and are draining.
func (r *Reconciler) leaving(object *farpointv1.ExternalService, owner probes.Owner, planner targets.Planner, planned targets.Targets, prior *slicestate.Prior, around conflicts.Neighbours) []endpoint.Verdict {
	var known map[string]health.Health // mostly nobody asks
	return availability.Drain{
		Service: around.Service,
		Period:  availability.DrainPeriod(&object.Spec),
		Now:     r.clock.Now(),
		Claimed: planned.Claimed,
		Rivals:  around.Rivals,
		Refused: planner.Refuses,
		Prior:   prior,
		Health: func(name string) (health.Health, bool) {
			if known == nil {
				known = r.scheduler.Health(owner)
			}
			current, ok := known[name]
			return current, ok
		},
	}.Leaving(prior.Existing)
}

// verdicts puts endpoints together with what is known of them. A disabled one is not
// probed, so that nothing is; a held one may be known only by what was published.
func verdicts(accepted []endpoint.Endpoint, known map[string]health.Health, prior *slicestate.Prior) []endpoint.Verdict {
	all := make([]endpoint.Verdict, len(accepted))
	for i := range accepted {
		ep := &accepted[i]
		current, ok := known[ep.Name]
		if !ok && ep.Held {
			state, _ := prior.State(ep)
			current = health.New(state)
		}
		all[i] = endpoint.Verdict{Endpoint: ep, Health: current, WrittenReason: prior.Reason(ep, current.State)}
	}
	return all
}

// unchangedTargets has the probes go on of endpoints that have left the spec, as far as there
// are any.
func unchangedTargets(leaving []endpoint.Verdict) []scheduler.Target {
	list := make([]scheduler.Target, len(leaving))
	for i := range leaving {
		list[i].Key = leaving[i].Name
	}
	return list
}

// probe has the scheduler probe the targets. Those without a prober go on as they were
// begun, unless that was within other confines: what these let them do is not known.
func (r *Reconciler) probe(owner probes.Owner, within *policy.Limits, targets []scheduler.Target) {
	if !r.policies.RecordLimits(owner, within) {
		targets = slices.DeleteFunc(targets, func(target scheduler.Target) bool { return target.Prober == nil })
	}
	r.scheduler.Set(owner, targets)
}

// keepProbes has the probes of an owner whose endpoints cannot be judged go on as they were
// begun, unless that was within other confines.
func (r *Reconciler) keepProbes(owner probes.Owner, within *policy.Limits) {
	if !r.policies.RecordLimits(owner, within) {
		r.scheduler.Remove(owner)
	}
}

// roomFor is how many endpoints the object may have.
func (r *Reconciler) roomFor(ctx context.Context, object *farpointv1.ExternalService, within *policy.Limits) (int, error) {
	all := &farpointv1.ExternalServiceList{}
	if within.BoundsEndpoints() {
		if err := r.client.List(ctx, all, client.InNamespace(object.Namespace), client.UnsafeDisableDeepCopy); err != nil {
			return 0, fmt.Errorf("list ExternalServices: %w", err)
		}
		for i := range all.Items {
			other := &all.Items[i]
			if !endpoint.HasDNSName(&other.Spec) {
				continue
			}
			// The status may have been emptied, which gives nobody room.
			published, err := r.countPublished(ctx, client.ObjectKeyFromObject(other))
			if err != nil {
				return 0, err
			}
			other.Status.Total = max(other.Status.Total, published)
		}
	}
	return within.Room(object, all.Items), nil
}

// countPublished counts the endpoints of an ExternalService in its slices, but not those that
// drain.
func (r *Reconciler) countPublished(ctx context.Context, owner types.NamespacedName) (int32, error) {
	all, err := r.listSlices(ctx, client.MatchingFields{ownerIndex: owner.String()})
	if err != nil {
		return 0, err
	}
	names := map[string]bool{}
	for _, slice := range all {
		for i := range slice.Endpoints {
			published := &slice.Endpoints[i]
			if len(slice.Ports) > 0 && len(published.Addresses) > 0 && !ptr.Deref(published.Conditions.Terminating, false) {
				names[endpoint.NameOf(published.Addresses[0], slice.Ports[0])] = true
			}
		}
	}
	return int32(len(names)), nil
}
