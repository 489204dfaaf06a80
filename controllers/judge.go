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

	"k8s.io/apimachinery/pkg/types"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes"
)

// judge finds out which endpoints are sound, has the scheduler probe them and fetches
// what it knows. What has a fault is probed by the last definition that was sound, and as
// any other within what the namespace is confined to now.
func (r *Reconciler) judge(ctx context.Context, object *farpointv1.ExternalService, owner probes.Owner, seeds *seeds, found *findings) error {
	known := r.definitions.of(owner, object.UID)
	known.update(ctx, r.live, object, r.clock.Now(), r.definitions.grace)
	if wait := referencePatience - known.references.unansweredFor(r.clock.Now()); len(known.probers.list) == 0 && wait > 0 && wait <= referencePatience {
		return answersAwaited(min(wait, referenceRetry))
	}
	found.fault = known.fault()
	found.referencesDue = known.references.dueIn(r.clock.Now(), r.definitions.grace)
	common := scheduleOf(&object.Spec)
	slowed := found.within.pace(&common.timing)
	room, err := r.roomFor(ctx, object, found.within)
	if err != nil {
		return err
	}
	service := found.service.service
	planner := r.targets.within(found.within, room)
	names := r.resolve(object, owner, service, planner, seeds)
	if wait := names.awaited(r.clock.Now()); wait > 0 {
		return answersAwaited(wait)
	}
	planned := planner.plan(names, service.Spec.Ports, known.probing(found.within, planner.egress.Version()), seeds)
	known.keep(&planned)
	planned.slowed = slowed
	if found.around, err = r.neighbours(ctx, service, types.NamespacedName(owner)); err != nil {
		return err
	}
	leaving := r.leaving(object, owner, planner, planned, seeds, found.around)
	r.probe(owner, found.within, append(planned.probeTargets(common, seeds), keepProbing(leaving)...))
	found.targets = &planned
	found.held = r.scheduler.Held(owner)
	found.verdicts = verdicts(planned.accepted, r.scheduler.Health(owner), seeds)
	found.availability = rulesOf(&object.Spec.Availability).assign(found.verdicts, history{decided: r.decisions.of(owner), published: seeds.at})
	found.verdicts = append(found.verdicts, leaving...)
	found.portsReason, found.portsMessage = portMismatch(planned.accepted, found.around)
	found.familiesReason, found.familiesMessage = familyMismatch(planned.accepted, found.around)
	found.traffic = judgeTraffic(service, found.verdicts).beside(service, found.around.rivals)
	return nil
}

// leaving finds the endpoints that have left the spec and are draining.
func (r *Reconciler) leaving(object *farpointv1.ExternalService, owner probes.Owner, planner targetPlanner, planned targets, seeds *seeds, around neighbours) []verdict {
	var known map[string]probes.Health // mostly nobody asks
	return drain{
		service: around.service,
		period:  drainPeriodOf(&object.Spec),
		now:     r.clock.Now(),
		taken:   planned.taken,
		rivals:  around.rivals,
		refused: planner.refuses,
		seeds:   seeds,
		health: func(name string) (probes.Health, bool) {
			if known == nil {
				known = r.scheduler.Health(owner)
			}
			health, ok := known[name]
			return health, ok
		},
	}.leaving(seeds.existing)
}

// verdicts puts endpoints together with what is known of them. A disabled one is not
// probed, so that nothing is; a held one may be known only by what was published.
func verdicts(accepted []endpoint, known map[string]probes.Health, seeds *seeds) []verdict {
	all := make([]verdict, len(accepted))
	for i := range accepted {
		endpoint := &accepted[i]
		health, ok := known[endpoint.name]
		if !ok && endpoint.held {
			state, _ := seeds.of(endpoint)
			health = probes.Seeded(state)
		}
		all[i] = verdict{endpoint: endpoint, health: health, writtenReason: seeds.reasonOf(endpoint, health.State)}
	}
	return all
}
