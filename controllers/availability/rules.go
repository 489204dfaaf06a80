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

package availability

import (
	"cmp"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
)

// Rules decide about the roles of endpoints: spec.availability.
type Rules struct {
	// MinReady is how many healthy endpoints keep later tiers on standby, and MinAvailable how
	// many make the Service available. MaxReady is the most ready servers, 0 for any number.
	MinReady, MinAvailable, MaxReady int

	WhenNoneHealthy   farpointv1.NoneHealthyPolicy
	MinHealthyPercent int
}

// RulesOf applies the bounds of the CRD, whatever version of it is installed.
func RulesOf(spec *farpointv1.Availability) Rules {
	return Rules{
		MinReady:          max(int(spec.MinReady), 1),
		MinAvailable:      max(int(cmp.Or(spec.MinAvailable, spec.MinReady)), 1),
		MaxReady:          max(int(spec.MaxReady), 0),
		WhenNoneHealthy:   spec.WhenNoneHealthy,
		MinHealthyPercent: int(spec.MinHealthyPercent),
	}
}

// past is what was in force up to now in a traffic group. An endpoint without a verdict, such as
// a new one, gets the benefit of the doubt: it neither begins nor ends a failover or failing
// open.
type past struct {
	// tier is the last one that was in use.
	tier int32
	// failingOpen: endpoints that were not healthy got traffic.
	failingOpen bool
}

// tierDecision is what the roles of the endpoints of a traffic group amount to.
type tierDecision struct {
	// tier is the last one in use.
	tier int32
	// failedOver: that tier would stand by if all endpoints were active and healthy.
	failedOver bool
	// ahead counts the healthy active endpoints of the tiers before that one.
	ahead int
	// healthy and active count endpoints of the tiers in use, without those that report draining
	// and those that are ineligible.
	healthy, active int
	// ineligible counts the ineligible endpoints of all tiers.
	ineligible int
	// excluded counts the healthy endpoints that maxReady keeps from traffic.
	excluded int
	// failOpen is the reason why endpoints that are not healthy get traffic; "" if none do.
	failOpen string
	// opened counts the endpoints that get traffic by failing open.
	opened int
}

// tally counts the endpoints of a tier.
type tally struct {
	// all counts accepted endpoints, whatever their state.
	all, active, healthy int
	// draining are active and report that they take no new traffic. Like those that drain by the
	// spec, they are of no use, and no sign of a fault.
	draining int
	// ineligible are active and not the ones to get the traffic, which is no sign that
	// something is wrong either.
	ineligible int
	// awaited are active and have had no verdict.
	awaited int
}

// suffices reports whether at least this percentage is healthy. With doubt, endpoints without a
// verdict count as healthy.
func (t tally) suffices(percent int, doubt bool) bool {
	healthy := t.healthy
	if doubt {
		healthy += t.awaited
	}
	return healthy*100 >= percent*t.expected()
}

// expected counts the active endpoints that are healthy unless something is wrong.
func (t tally) expected() int { return t.active - t.draining - t.ineligible }

func tierOf(of *endpoint.Verdict) int32 { return min(max(of.Spec.Priority, 0), endpoint.LastTier) }

func (t *tally) add(v *endpoint.Verdict) {
	t.all++
	if !v.IsActive() {
		return
	}
	t.active++
	switch {
	case v.Health.State == health.StateHealthy:
		t.healthy++
	case v.Health.State == health.StateDraining:
		t.draining++
	case v.IsIneligible():
		t.ineligible++
	case isAwaited(v):
		t.awaited++
	}
}

// isAwaited reports whether the first verdict on an endpoint is about to come. If its probes
// cannot be made, it may never come.
func isAwaited(v *endpoint.Verdict) bool {
	return v.Health.State == health.StateUnknown && v.Health.Cause.Reason == probes.ReasonNone && !v.Held
}

// reach finds the last tier in use: the first that has, together with those before it, at least
// MinReady healthy endpoints. An endpoint without a verdict keeps a tier on standby, but puts no
// tier on standby that was in use.
func (r Rules) reach(tiers *[endpoint.LastTier + 1]tally, was past) tierDecision {
	var now tierDecision
	healthy, awaited, accepted := 0, 0, 0
	for i := range tiers {
		tier := &tiers[i]
		if tier.active == 0 {
			accepted += tier.all
			continue
		}
		enough := healthy >= r.MinReady || int32(i) > was.tier && healthy+awaited >= r.MinReady
		if enough {
			break
		}
		now.tier, now.ahead = int32(i), healthy
		now.failedOver = accepted >= r.MinReady
		now.healthy, now.active = now.healthy+tier.healthy, now.active+tier.expected()
		// That the role is a later tier's is no failover.
		healthy, awaited, accepted = healthy+tier.healthy, awaited+tier.awaited, accepted+tier.all-tier.ineligible
	}
	for i := range tiers {
		now.ineligible += tiers[i].ineligible
	}
	return now
}

// failOpenReason returns the reason why endpoints that are not healthy get traffic; "" if none
// do. If some of them only drain, and so serve at least, these get traffic.
func (r Rules) failOpenReason(tiers *[endpoint.LastTier + 1]tally, now tierDecision, was past) string {
	healthy, draining := 0, 0
	for i := range tiers {
		healthy += tiers[i].healthy
		if int32(i) <= now.tier {
			draining += tiers[i].draining
		}
	}
	reason := r.failOpenReasonWithoutDrains(tiers, now, was)
	if reason != "" && healthy == 0 && draining > 0 {
		return farpointv1.DrainingPublishedReason
	}
	return reason
}

// failOpenReasonWithoutDrains is failOpenReason where no endpoint drains.
func (r Rules) failOpenReasonWithoutDrains(tiers *[endpoint.LastTier + 1]tally, now tierDecision, was past) string {
	healthy, awaited, active := 0, 0, 0
	below := r.MinHealthyPercent > 0
	for i := range tiers {
		healthy, awaited, active = healthy+tiers[i].healthy, awaited+tiers[i].awaited, active+tiers[i].active
		if int32(i) <= now.tier && tiers[i].expected() > 0 && tiers[i].suffices(r.MinHealthyPercent, !was.failingOpen) {
			below = false
		}
	}
	switch {
	case active == 0:
		return ""
	case below:
		return farpointv1.BelowMinHealthyPercentReason
	case healthy > 0 || awaited > 0 && !was.failingOpen:
		return ""
	case r.WhenNoneHealthy == farpointv1.PublishAll:
		return farpointv1.AllPublishedReason
	case r.WhenNoneHealthy == farpointv1.PublishLastHealthy:
		return farpointv1.LastHealthyPublishedReason
	}
	return ""
}

// admitsUnhealthy reports whether an endpoint in use gets traffic although it is not healthy.
// wasReady is called only where it decides.
func (d *tierDecision) admitsUnhealthy(v *endpoint.Verdict, wasReady func() bool) bool {
	if v.IsIneligible() {
		return false
	}
	switch d.failOpen {
	case "":
		return false
	case farpointv1.DrainingPublishedReason:
		return v.Health.State == health.StateDraining
	case farpointv1.LastHealthyPublishedReason:
		return wasReady()
	}
	return v.Health.State != health.StateDraining
}

// RoleOf returns the role of an endpoint, without failing open, where this is the last tier in use.
func RoleOf(v *endpoint.Verdict, tier int32) endpoint.Role {
	switch endpoint.StateOf(v.Spec) {
	case farpointv1.EndpointDisabled:
		return endpoint.Disabled
	case farpointv1.EndpointDraining:
		return endpoint.Draining
	}
	if tierOf(v) > tier {
		return endpoint.Standby
	}
	return endpoint.InUse
}
