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
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/probes/health"
)

// GroupKey names what clients choose an endpoint by: the address family that they speak,
// and the Service's port, which has a name and a protocol. Neither the number of an
// endpoint's port counts nor its appProtocol: a primary on 5432 and a standby on 6432 are
// two tiers of one port. DNS names that are published as such are a family of their own.
type GroupKey struct {
	family   discoveryv1.AddressType
	port     string
	protocol corev1.Protocol
}

func (k GroupKey) String() string {
	return string(k.family) + " port " + endpoint.PortLabel(k.port, k.protocol)
}

func groupKeyOf(family discoveryv1.AddressType, port *discoveryv1.EndpointPort) GroupKey {
	return GroupKey{family: family, port: *port.Name, protocol: *port.Protocol}
}

// trafficGroup has the endpoints of one key. A client of one group cannot use the endpoints of
// another, so that each group is evaluated by itself.
type trafficGroup struct {
	GroupKey
	tiers [endpoint.LastTier + 1]tally
	// was is what was in force, and lastHealthy the names of the endpoints that get traffic as
	// the last healthy ones since then; nil unless this process has decided so.
	was         past
	lastHealthy []string
	// decided: was comes from this process, and not from the slices.
	decided bool
	now     tierDecision
	// unknown counts the active endpoints that have had no verdict.
	unknown int
}

// groupDecision is what was decided about a trafficGroup.
type groupDecision struct {
	GroupKey
	tierDecision
	// unknown counts the active endpoints that have had no verdict.
	unknown int
	// lastHealthy are the names of the endpoints that get traffic as the last healthy ones,
	// sorted; nil unless that is in force.
	lastHealthy []string
}

// Decisions is what was decided about all groups, in the order in which the endpoints
// name them.
type Decisions []groupDecision

// Past is what was in force up to now.
type Past struct {
	// Decided is what this process decided and wrote last; nil if it wrote nothing yet. It
	// outranks the slices, which may have been edited or deleted since.
	Decided Decisions
	// Published is the state in the slices of an endpoint at a port.
	Published func(*endpoint.Endpoint, discoveryv1.EndpointPort) (slicestate.Published, bool)
}

// groupIndex finds the groups of endpoints. Neighbouring endpoints of a spec tend to have the
// same groups.
type groupIndex struct {
	groups []*trafficGroup
	byKey  map[GroupKey]int
	ports  *endpoint.PortSet
	family discoveryv1.AddressType
	last   []int
}

// of returns the indexes of an endpoint's groups, one for each of its ports, until the next
// call.
func (x *groupIndex) of(e *endpoint.Endpoint) []int {
	family := endpoint.AddressTypeOf(e)
	if x.ports == e.Ports && x.family == family {
		return x.last
	}
	x.ports, x.family, x.last = e.Ports, family, x.last[:0]
	for i := range e.Ports.Ports {
		key := groupKeyOf(family, &e.Ports.Ports[i])
		at, ok := x.byKey[key]
		if !ok {
			at = len(x.groups)
			x.byKey[key] = at
			x.groups = append(x.groups, &trafficGroup{GroupKey: key})
		}
		x.last = append(x.last, at)
	}
	return x.last
}

// Assign gives each endpoint its role for each of its ports.
func (r Rules) Assign(all []endpoint.Verdict, was Past) Decisions {
	index := groupIndex{byKey: map[GroupKey]int{}}
	for i := range all {
		v := &all[i]
		for k, at := range index.of(v.Endpoint) {
			group := index.groups[at]
			group.tiers[tierOf(v)].add(v)
			if v.IsActive() && v.Health.State == health.StateUnknown {
				group.unknown++
			}
			group.recall(v, k, was)
		}
	}
	for _, group := range index.groups {
		group.now = r.reach(&group.tiers, group.was)
		group.now.failOpen = r.failOpenReason(&group.tiers, group.now, group.was)
	}
	for i := range all {
		assignRoles(&all[i], &index, was)
	}
	decisions := make(Decisions, len(index.groups))
	for i, group := range index.groups {
		decisions[i] = group.decision(all)
	}
	return decisions
}

// recall finds out what was in force, from what this process has decided, or otherwise from the
// states of the group's endpoints in the slices.
func (g *trafficGroup) recall(member *endpoint.Verdict, port int, was Past) {
	if g.decided {
		return
	}
	if at := slices.IndexFunc(was.Decided, func(d groupDecision) bool { return d.GroupKey == g.GroupKey }); at >= 0 {
		known := &was.Decided[at]
		g.decided, g.lastHealthy = true, known.lastHealthy
		g.was = past{tier: known.tier, failingOpen: known.failOpen != ""}
		return
	}
	published, ok := was.Published(member.Endpoint, member.Ports.Ports[port])
	if !ok {
		return
	}
	if member.IsActive() && published.InUse() {
		g.was.tier = max(g.was.tier, tierOf(member))
	}
	g.was.failingOpen = g.was.failingOpen || published.FailedOpen()
}

// wasReady reports whether an endpoint got traffic because it was healthy, or had been
// last.
func (g *trafficGroup) wasReady(member *endpoint.Verdict, port int, was Past) bool {
	if g.lastHealthy != nil {
		_, ok := slices.BinarySearch(g.lastHealthy, member.Name)
		return ok
	}
	published, _ := was.Published(member.Endpoint, member.Ports.Ports[port])
	return published.Ready && published.Serving && !published.Terminating
}

// assignRoles gives the endpoint its role for each of its ports.
func assignRoles(v *endpoint.Verdict, index *groupIndex, was Past) {
	v.PortRoles = nil
	for k, at := range index.of(v.Endpoint) {
		group := index.groups[at]
		given := RoleOf(v, group.now.tier)
		if given == endpoint.InUse && v.Health.State != health.StateHealthy && group.now.admitsUnhealthy(v, func() bool { return group.wasReady(v, k, was) }) {
			given = endpoint.FailOpen
			group.now.opened++
		}
		switch {
		case k == 0:
			v.Role = given
		case v.PortRoles == nil && given == v.Role:
		default:
			setPortRole(v, k, given)
		}
	}
	if v.PortRoles != nil {
		v.Role = slices.MinFunc(v.PortRoles, func(a, b endpoint.Role) int { return rank(a) - rank(b) })
	}
}

// setPortRole notes that the role for a port differs from those for the ports before it.
func setPortRole(v *endpoint.Verdict, port int, given endpoint.Role) {
	if v.PortRoles == nil {
		v.PortRoles = make([]endpoint.Role, len(v.Ports.Ports))
		for i := range port {
			v.PortRoles[i] = v.Role
		}
	}
	v.PortRoles[port] = given
}

// rank is lower for the roles that give an endpoint more traffic: if it has several roles, the
// status shows the one with the lowest rank.
func rank(r endpoint.Role) int {
	switch r {
	case endpoint.FailOpen:
		return 0
	case endpoint.InUse:
		return 1
	}
	return 2
}

func (g *trafficGroup) decision(all []endpoint.Verdict) groupDecision {
	if g.now.opened == 0 {
		g.now.failOpen = ""
	}
	decision := groupDecision{GroupKey: g.GroupKey, tierDecision: g.now, unknown: g.unknown}
	if g.now.failOpen == farpointv1.LastHealthyPublishedReason {
		for i := range all {
			if roleAt(&all[i], g.GroupKey) == endpoint.FailOpen {
				decision.lastHealthy = append(decision.lastHealthy, all[i].Name)
			}
		}
		slices.Sort(decision.lastHealthy)
	}
	return decision
}

// roleAt is the role of an endpoint for one port; disabled if it has no such port.
func roleAt(v *endpoint.Verdict, key GroupKey) endpoint.Role {
	for i := range v.Ports.Ports {
		switch {
		case groupKeyOf(endpoint.AddressTypeOf(v.Endpoint), &v.Ports.Ports[i]) != key:
		case v.PortRoles != nil:
			return v.PortRoles[i]
		default:
			return v.Role
		}
	}
	return endpoint.Disabled
}

// SplitByRole splits endpoints that have different roles for different ports: in one slice an
// endpoint has one set of conditions for all its ports. Usually there are none, as long as the
// endpoints of an object have the same ports.
func SplitByRole(all []endpoint.Verdict) []endpoint.Verdict {
	if !slices.ContainsFunc(all, func(v endpoint.Verdict) bool { return v.PortRoles != nil }) {
		return all
	}
	parts := make([]endpoint.Verdict, 0, len(all)+1)
	for i := range all {
		whole := &all[i]
		if whole.PortRoles == nil {
			parts = append(parts, *whole)
			continue
		}
		for _, role := range []endpoint.Role{endpoint.InUse, endpoint.FailOpen, endpoint.Standby} {
			var ports []discoveryv1.EndpointPort
			for k, given := range whole.PortRoles {
				if given == role {
					ports = append(ports, whole.Ports.Ports[k])
				}
			}
			if len(ports) > 0 {
				part := *whole.Endpoint
				part.Ports = endpoint.NewPortSet(ports)
				parts = append(parts, endpoint.Verdict{Endpoint: &part, Health: whole.Health, Role: role, WrittenReason: whole.WrittenReason})
			}
		}
	}
	return parts
}
