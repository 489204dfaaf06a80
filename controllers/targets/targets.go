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

package targets

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/scheduler"
)

// Targets are the endpoints of a spec, accepted or rejected.
type Targets struct {
	// Accepted are in the order of the spec. Probers are in the same order, and say how each is
	// probed.
	Accepted []endpoint.Endpoint
	Probers  []preparedProber
	// Rejected are by their index in the expansion, and include the held ones. An endpoint that
	// is neither rejected nor accepted is shared.
	Rejected map[int]endpoint.Rejection
	// shared are addresses that names lead to and that another endpoint of the spec has with
	// the same port: by their index in the expansion, that endpoint's index in the spec.
	shared map[int]int
	// Claimed are the keys of endpoints, with their index in the spec.
	Claimed map[endpoint.Key]int
	// Slowed says that endpoints are probed less often than the spec says; empty if not.
	Slowed string
	// Names are the spec's, resolved.
	Names *Expansion
	// dependsOnPrior: an endpoint without a sound health check is probed according to whether
	// it was published.
	dependsOnPrior bool
}

// Planner decides which endpoints of a spec are accepted. It is pure.
type Planner struct {
	Registry protocol.Registry
	Egress   *egress.Policy
	// limits are those of the object's namespace; nil for none.
	limits *policy.Limits
	// room is how many endpoints the object may have.
	room int
	// now decides which states of endpoints have ended.
	now time.Time
}

// At returns the planner for this time.
func (p Planner) At(now time.Time) Planner {
	p.now = now
	return p
}

// Within returns the planner for an object with these limits, which may have this many endpoints.
func (p Planner) Within(limits *policy.Limits, room int) Planner {
	if limits != nil {
		p.Registry, p.limits = limits.Registry, limits
	}
	p.room = room
	return p
}

// Refuses reports whether an address with these ports may not be published (any more).
func (p Planner) Refuses(address netip.Addr, ports []discoveryv1.EndpointPort) bool {
	return p.Egress.CheckPublished(address) != nil || p.limits.CheckPublished(address, ports) != nil
}

// Plan evaluates each endpoint of the spec, with its names resolved, by itself, so that a bad one
// harms no other. The ports are those of the Service; prior is what was published before.
func (p Planner) Plan(names *Expansion, ports []corev1.ServicePort, by Probing, prior *slicestate.Prior) Targets {
	spec := names.Spec
	planned := Targets{
		Rejected: map[int]endpoint.Rejection{},
		Claimed:  make(map[endpoint.Key]int, names.Len()),
		Names:    names,
	}
	resolver := &portResolver{common: spec.Ports, service: ports}
	states := statesAt(spec, p.now)
	candidates := make([]candidate, names.Len())
	for i := range candidates {
		c := &candidates[i]
		var refused *endpoint.Rejection
		c.Endpoint, refused = p.locate(names.At(i), i, resolver)
		if refused == nil {
			states.apply(&c.Endpoint)
			refused = p.limits.Refusal(&c.Endpoint, p.room)
		}
		if refused == nil {
			refused = p.attachProber(c, spec, by, prior)
			planned.dependsOnPrior = planned.dependsOnPrior || refused != nil
		}
		if refused != nil {
			planned.Rejected[i] = *refused
		}
	}
	planned.assignKeys(candidates)
	return planned
}

// locate finds out the address and the ports of an endpoint.
func (p Planner) locate(e ExpandedEndpoint, index int, resolver *portResolver) (endpoint.Endpoint, *endpoint.Rejection) {
	if e.Refused != nil {
		return endpoint.Endpoint{}, e.Refused
	}
	spec := e.Spec
	if e.asName {
		return p.locateName(e, index, resolver)
	}
	address, err := netip.ParseAddr(spec.Address)
	if err != nil || address.Zone() != "" {
		return endpoint.Endpoint{}, &endpoint.Rejection{Reason: farpointv1.InvalidAddressReason, Message: fmt.Sprintf("%q is not an IPv4 or IPv6 address", spec.Address)}
	}
	if err := p.Egress.CheckPublished(address); err != nil {
		return endpoint.Endpoint{}, &endpoint.Rejection{Reason: farpointv1.RefusedAddressReason, Message: err.Error()}
	}
	if message := endpoint.TopologyFault(spec); message != "" {
		return endpoint.Endpoint{}, &endpoint.Rejection{Reason: farpointv1.InvalidTopologyReason, Message: message}
	}
	ports, err := resolver.resolve(spec)
	if err != nil {
		return endpoint.Endpoint{}, &endpoint.Rejection{Reason: farpointv1.InvalidPortReason, Message: err.Error()}
	}
	text := address.String()
	ep := endpoint.Endpoint{Index: index, Name: endpoint.HostOf(text).Key(ports.First()).String(), Spec: spec, Address: address, Text: text, Ports: ports}
	if e.Name != "" {
		ep.Resolved = &endpoint.ResolvedFrom{Address: e.from, Name: e.Name, Target: e.target}
	}
	return ep, nil
}

// locateName is locate for a name that is published as such.
func (p Planner) locateName(e ExpandedEndpoint, index int, resolver *portResolver) (endpoint.Endpoint, *endpoint.Rejection) {
	if faults := validation.IsFullyQualifiedDomainName(nil, e.Name); len(faults) > 0 {
		return endpoint.Endpoint{}, &endpoint.Rejection{Reason: farpointv1.InvalidAddressReason, Message: fmt.Sprintf("%q cannot be published as a name: it needs a dot, and labels of lower-case letters, digits and dashes", e.Name)}
	}
	if message := endpoint.TopologyFault(e.Spec); message != "" {
		return endpoint.Endpoint{}, &endpoint.Rejection{Reason: farpointv1.InvalidTopologyReason, Message: message}
	}
	ports, err := resolver.resolve(e.Spec)
	if err != nil {
		return endpoint.Endpoint{}, &endpoint.Rejection{Reason: farpointv1.InvalidPortReason, Message: err.Error()}
	}
	return endpoint.Endpoint{
		Index: index, Name: endpoint.HostOf(e.Name).Key(ports.First()).String(), Spec: e.Spec, Text: e.Name, Ports: ports,
		Resolved: &endpoint.ResolvedFrom{Address: e.from, Name: e.Name, Target: e.target},
	}, nil
}

// IdentityOf returns an identity that is the same for probes that do the same.
func IdentityOf(definition protocol.Definition, common Settings) scheduler.Identity {
	digest := sha256.New()
	digest.Write(common.digest[:])
	fmt.Fprintf(digest, "%s %d %d %s", definition.Address, definition.Port, definition.UDPPort, definition.URL)
	if definition.Name != "" {
		fmt.Fprintf(digest, " %s", definition.Name)
	}
	if definition.Credentials != nil {
		digestCredentials(digest, definition.Credentials)
	}
	return scheduler.Identity(digest.Sum(nil)[:len(scheduler.Identity{})])
}

// identityWithin makes the identities of probes differ that do the same unless a name or a
// redirect leads them to where only one of them may go.
func identityWithin(identity scheduler.Identity, within *policy.Limits) scheduler.Identity {
	digest := sha256.Sum256(append(identity[:], within.Digest[:]...))
	return scheduler.Identity(digest[:len(identity)])
}

// ProbeTargets returns what the scheduler is to probe. The prior verdicts are the initial ones
// where it knows nothing yet.
func (t Targets) ProbeTargets(common Schedule, prior *slicestate.Prior) []scheduler.Target {
	list := make([]scheduler.Target, 0, len(t.Accepted))
	for i := range t.Accepted {
		endpoint, by := &t.Accepted[i], &t.Probers[i]
		if endpoint.Spec.State == farpointv1.EndpointDisabled {
			continue
		}
		initial, ok := prior.State(endpoint)
		if !ok {
			initial = common.initial
		}
		target := scheduler.Target{
			Key:        endpoint.Name,
			Identity:   by.Identity,
			Prober:     by.Prober,
			Timing:     common.Timing,
			Thresholds: common.thresholds,
			Initial:    health.New(initial),
			Private:    by.private,
		}
		if endpoint.Unprobed {
			target.Initial = health.SeededStale(initial, probes.ReasonUnsoundDefinition)
		}
		list = append(list, target)
	}
	return list
}

// Rejections describes what is set aside, for a condition's message. Names that lead
// nowhere are for another condition.
func (t Targets) Rejections() (reason, message string) {
	const shown = 5
	indexes := slices.DeleteFunc(slices.Sorted(maps.Keys(t.Rejected)), func(i int) bool { return t.Names.At(i).unresolved })
	switch {
	case len(indexes) == 0 && t.Slowed != "":
		return farpointv1.NotAllowedByPolicyReason, t.Slowed
	case len(indexes) == 0:
		return "", ""
	}
	held := 0
	for _, endpoint := range t.Accepted {
		if endpoint.Held {
			held++
		}
	}
	parts := make([]string, 0, shown+1)
	for _, i := range indexes[:min(shown, len(indexes))] {
		origin := t.Names.At(i).Origin
		parts = append(parts, fmt.Sprintf("spec.endpoints[%d] (%s): %s", origin, t.Names.Spec.Endpoints[origin].Address, t.Rejected[i].Message))
	}
	if more := len(indexes) - shown; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more, see status.endpoints", more))
	}
	summary := fmt.Sprintf("%d of %d endpoints rejected", len(indexes)-held, t.Names.Len())
	if held > 0 {
		summary += fmt.Sprintf(", %d published as before", held)
	}
	message = summary + ": " + strings.Join(slices.Compact(parts), "; ")
	if t.Slowed != "" {
		message += ". Also, " + t.Slowed
	}
	return t.Rejected[indexes[0]].Reason, message
}

// Unresolved returns the rejection of the first name that leads nowhere; nil if there is none.
func (t Targets) Unresolved() *endpoint.Rejection {
	for i := range t.Names.list {
		if e := &t.Names.list[i]; e.unresolved {
			return &endpoint.Rejection{Reason: e.Refused.Reason, Message: fmt.Sprintf("spec.endpoints[%d]: %s", e.Origin, e.Refused.Message)}
		}
	}
	return nil
}
