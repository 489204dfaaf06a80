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

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
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

// currentState is what was published for an object before, and the Service that it is for.
type currentState struct {
	service report.TargetService
	// slices are those in the Service's namespace, and elsewhere those in others.
	slices, elsewhere []*discoveryv1.EndpointSlice
	// unconfirmed: the cache does not show all of our own writes yet.
	unconfirmed bool
}

// locate finds the Service and the slices. Both are unknown until the ReferenceGrants are known.
func (r *Reconciler) locate(ctx context.Context, object *farpointv1.ExternalService) (current currentState, known bool, err error) {
	all, unconfirmed, err := r.allSlicesOf(ctx, client.ObjectKeyFromObject(object))
	if err != nil {
		return currentState{}, false, err
	}
	current.unconfirmed = unconfirmed
	if current.service, known, err = r.services.resolve(ctx, object, all); err != nil || !known {
		return currentState{}, false, err
	}
	if object.Spec.Availability.MaxReady > 0 {
		current.service.Service = withoutNotReadyAddresses(current.service.Service)
	}
	current.slices, current.elsewhere = slicesIn(current.service.Namespace(object), all)
	return current, true, nil
}

// withoutNotReadyAddresses returns the Service without publishNotReadyAddresses, which would have
// any number of endpoints published as ready.
func withoutNotReadyAddresses(service *corev1.Service) *corev1.Service {
	if service == nil || !service.Spec.PublishNotReadyAddresses {
		return service
	}
	changed := *service
	changed.Spec.PublishNotReadyAddresses = false
	return &changed
}

// evaluation is what is to be published for an object, and why.
type evaluation struct {
	// fault is what is wrong with the health check as a whole; nil if nothing is.
	fault *targets.Fault
	// targets are nil without a Service.
	targets *targets.Targets
	// verdicts are those on the accepted endpoints, and on those that have left the spec and
	// drain.
	verdicts     []endpoint.Verdict
	availability availability.Decisions
	// excess is what exceeds maxReady.
	excess availability.Excess
	hints  sliceplan.HintDecision
	// neighbours are the other publishers of the Service, without its Pods.
	neighbours conflicts.Neighbours
	// held: an endpoint would have been taken out, had the operator not lost its network.
	held bool
	// referencesDue is when to read again what the health check refers to; 0 if it refers to
	// nothing.
	referencesDue time.Duration
	// namesDue is when an address is dropped that answers about its name lack; 0 if none is kept.
	namesDue time.Duration
	// statesDue is when the state of an endpoint ends by itself; 0 if none does.
	statesDue time.Duration
}

// evaluate has the endpoints probed and decides which of them get traffic. Endpoints whose
// health check has a fault are probed by the last definition without one. It returns how long
// to wait instead, if the first answers about DNS names, Secrets or ConfigMaps are missing;
// the resolver may requeue the object before.
func (r *Reconciler) evaluate(ctx context.Context, object *farpointv1.ExternalService, limits *policy.Limits, current currentState) (evaluated evaluation, wait time.Duration, err error) {
	owner, service := probeOwner(object), current.service.Service
	if service == nil {
		r.keepProbes(owner, limits) // the health is known when the Service comes back
		return evaluation{}, 0, nil
	}
	definitions := r.definitions.update(ctx, object, r.clock.Now())
	if wait := references.Patience - definitions.references.UnansweredFor(r.clock.Now()); !definitions.HasProbers() && wait > 0 && wait <= references.Patience {
		return evaluation{}, min(wait, references.RetryInterval), nil
	}
	room, err := r.roomFor(ctx, object, limits)
	if err != nil {
		return evaluation{}, 0, err
	}
	prior, planner := slicestate.Read(current.slices), r.targets.Within(limits, room).At(r.clock.Now())
	names := r.resolve(object, owner, service, planner, prior, &definitions.departures)
	if wait := names.Awaited(r.clock.Now()); wait > 0 {
		return evaluation{}, wait, nil
	}
	schedule := targets.ScheduleOf(&object.Spec)
	slowed := limits.ClampTiming(&schedule.Timing)
	planned := definitions.Targets(planner, names, service.Spec.Ports, prior)
	planned.Slowed = slowed
	neighbours, err := r.neighbours(ctx, service, types.NamespacedName(owner))
	if err != nil {
		return evaluation{}, 0, err
	}
	leaving := r.leaving(object, owner, planner, planned, prior, neighbours)
	r.probe(owner, limits, append(planned.ProbeTargets(schedule, prior), unchangedTargets(leaving)...))
	verdicts := verdicts(planned.Accepted, r.scheduler.Health(owner), prior)
	rules, past := availability.RulesOf(&object.Spec.Availability), availability.Past{Decided: r.decisions.Of(owner), Published: prior.At}
	decisions := rules.Assign(verdicts, past)
	excess := rules.LimitReady(verdicts, decisions, past)
	verdicts = append(verdicts, leaving...)
	return evaluation{
		fault: definitions.Fault(), targets: &planned, verdicts: verdicts, availability: decisions, excess: excess, neighbours: neighbours,
		hints:         sliceplan.DecideHints(service, verdicts).BesideOthers(service, neighbours.Rivals),
		held:          r.scheduler.Held(owner),
		referencesDue: definitions.references.DueIn(r.clock.Now(), r.definitions.cadence),
		namesDue:      names.KeptFor,
		statesDue:     targets.NextStateEnd(&object.Spec, r.clock.Now()),
	}, 0, nil
}

// leaving finds the endpoints that have left the spec and are draining.
func (r *Reconciler) leaving(object *farpointv1.ExternalService, owner probes.Owner, planner targets.Planner, planned targets.Targets, prior *slicestate.Prior, around conflicts.Neighbours) []endpoint.Verdict {
	var known map[string]health.Health // usually not needed
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

// verdicts combines endpoints with what is known of them. Nothing is known of a disabled
// endpoint, which is not probed; of a held one perhaps only what was published.
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

// unchangedTargets returns targets that continue the probes of endpoints that have left the spec,
// if there are any.
func unchangedTargets(leaving []endpoint.Verdict) []scheduler.Target {
	list := make([]scheduler.Target, len(leaving))
	for i := range leaving {
		list[i].Key = leaving[i].Name
	}
	return list
}

// probe makes the scheduler probe the targets. Those without a prober go on with the one they
// have, unless it was made within other limits, which may have allowed more.
func (r *Reconciler) probe(owner probes.Owner, within *policy.Limits, targets []scheduler.Target) {
	if !r.policies.RecordLimits(owner, within) {
		targets = slices.DeleteFunc(targets, func(target scheduler.Target) bool { return target.Prober == nil })
	}
	r.scheduler.Set(owner, targets)
}

// keepProbes lets the probes of an owner whose endpoints cannot be evaluated go on, unless they
// were planned within other limits.
func (r *Reconciler) keepProbes(owner probes.Owner, within *policy.Limits) {
	if !r.policies.RecordLimits(owner, within) {
		r.scheduler.Remove(owner)
	}
}

// roomFor returns how many endpoints the object may have.
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
			// Somebody may have emptied the status, which must not give others room.
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
	keys := map[endpoint.Key]bool{}
	for _, slice := range all {
		for i := range slice.Endpoints {
			published := &slice.Endpoints[i]
			if len(slice.Ports) > 0 && len(published.Addresses) > 0 && !ptr.Deref(published.Conditions.Terminating, false) {
				keys[endpoint.HostOf(published.Addresses[0]).Key(slice.Ports[0])] = true
			}
		}
	}
	return int32(len(keys)), nil
}
