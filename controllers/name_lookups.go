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
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/resolver"
)

// nameResolver looks up DNS names; see resolver.Resolver.
type nameResolver interface {
	Set(probes.Owner, []resolver.Request)
	Remove(probes.Owner)
	Answer(resolver.Question) resolver.Answer
}

// resolve requests the names of an object, and finds out where they lead as far as is known.
func (r *Reconciler) resolve(object *farpointv1.ExternalService, owner probes.Owner, service *corev1.Service, planner targets.Planner, prior *slicestate.Prior, departures *targets.Departures) *targets.Expansion {
	spec := object.Spec // what is kept of it must not keep the status
	rules := targets.NameRulesOf(spec.DNS, service).Through(spec.DNS, planner)
	r.resolver.Set(owner, targets.QuestionsOf(&spec, rules, prior, r.resolver.Answer))
	return targets.Expander{
		Rules:   rules,
		Ports:   service.Spec.Ports,
		Answer:  r.resolver.Answer,
		Refused: func(address netip.Addr) bool { return planner.Refuses(address, nil) },
		Before:  object.Status.Endpoints,
		Retention: targets.NewRetention(spec.DNS, r.clock.Now(), prior, departures, func() map[string]health.Health {
			return r.scheduler.Health(owner)
		}),
	}.Expand(&spec)
}
