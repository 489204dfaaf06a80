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
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/phrase"
)

// serves reports whether clients of a Service can reach a group's endpoints. A Service
// without ports, which must be headless, takes any.
func serves(service *corev1.Service, key GroupKey) bool {
	return endpoint.HasFamily(service, key.family) && (len(service.Spec.Ports) == 0 || slices.ContainsFunc(service.Spec.Ports, func(port corev1.ServicePort) bool {
		return endpoint.PortLabel(port.Name, port.Protocol) == endpoint.PortLabel(key.port, key.protocol)
	}))
}

// Served returns the groups that clients of the Service can reach.
func (a Decisions) Served(service *corev1.Service) Decisions {
	if service == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(a), func(d groupDecision) bool { return !serves(service, d.GroupKey) })
}

// LastTier returns the last tier in use in any group that clients can reach.
func (a Decisions) LastTier(service *corev1.Service) int32 {
	last := int32(0)
	for i, group := range a.Served(service) {
		if i == 0 || group.tier > last {
			last = group.tier
		}
	}
	return last
}

// where names the groups with this decision, as the start of a sentence about them; "" if these
// are all groups.
func (a Decisions) where(decision tierDecision) string {
	var names []string
	for i := range a {
		if a[i].tierDecision == decision {
			names = append(names, a[i].String())
		}
	}
	if len(names) == len(a) {
		return ""
	}
	return phrase.List(names, ", ") + ": "
}

// describe returns a sentence about each decision that applies, with the groups that it is about
// unless these are all.
func (a Decisions) describe(applies func(*groupDecision) bool, sentence func(*groupDecision) string) string {
	var sentences []string
	for i := range a {
		same := func(d groupDecision) bool { return d.tierDecision == a[i].tierDecision }
		if applies(&a[i]) && slices.IndexFunc(a, same) == i {
			sentences = append(sentences, a.where(a[i].tierDecision)+sentence(&a[i]))
		}
	}
	return strings.Join(sentences, "; ")
}

// FailOpenReason returns the reason of the first group that fails open; "" if none does.
func (a Decisions) FailOpenReason() string {
	for i := range a {
		if a[i].failOpen != "" {
			return a[i].failOpen
		}
	}
	return ""
}

// FailOpenMessage says why endpoints that are not healthy get traffic.
func (a Decisions) FailOpenMessage(rules Rules) string {
	return a.describe(func(d *groupDecision) bool { return d.failOpen != "" }, func(d *groupDecision) string {
		switch d.failOpen {
		case farpointv1.BelowMinHealthyPercentReason:
			return fmt.Sprintf("%d of %d endpoints in use are healthy, less than minHealthyPercent (%d): all of them get traffic", d.healthy, d.active, rules.MinHealthyPercent)
		case farpointv1.LastHealthyPublishedReason:
			return fmt.Sprintf("no endpoint is healthy: the %d of %d that were healthy last get traffic (whenNoneHealthy: PublishLastHealthy)", d.opened, d.active)
		case farpointv1.DrainingPublishedReason:
			return fmt.Sprintf("no endpoint is healthy: the %d that drain get traffic", d.opened)
		}
		return fmt.Sprintf("no endpoint is healthy: all %d get traffic (whenNoneHealthy: PublishAll)", d.opened)
	})
}

// FailedOver reports whether a standby tier is in use in any group.
func (a Decisions) FailedOver() bool {
	return slices.ContainsFunc(a, func(d groupDecision) bool { return d.failedOver })
}

// FailedOverMessage says why a standby tier is in use.
func (a Decisions) FailedOverMessage(rules Rules) string {
	return a.describe(func(d *groupDecision) bool { return d.failedOver }, func(d *groupDecision) string {
		return fmt.Sprintf("standby tier %d is in use: the tiers before it have %d healthy active endpoints, and minReady is %d", d.tier, d.ahead, rules.MinReady)
	})
}

// Alike reports whether the same was decided about all groups.
func (a Decisions) Alike() bool {
	return !slices.ContainsFunc(a, func(d groupDecision) bool { return d.tierDecision != a[0].tierDecision || d.unknown != a[0].unknown })
}

// GroupReadiness is how many endpoints of a group are ready.
type GroupReadiness struct {
	Ready, Unknown int
	Open           bool
	// NoneEligible: all active endpoints but those that drain are ineligible.
	NoneEligible bool
}

// Readiness returns the readiness of a group. If endpoints are always published, all are ready
// but those that fail open, which are not known to serve.
func (d *groupDecision) Readiness(publishNotReady bool) GroupReadiness {
	readiness := GroupReadiness{Ready: d.healthy - d.excluded, Unknown: d.unknown, Open: d.failOpen != "", NoneEligible: d.ineligible > 0 && d.active == 0}
	if publishNotReady {
		readiness.Ready = d.active - d.opened
	}
	return readiness
}
