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
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/probes/health"
)

// Excess is what exceeds spec.availability.maxReady. Its zero value is that of an object without
// the field, or with no more servers than it admits.
type Excess struct {
	// Max is spec.availability.maxReady, and Healthy how many healthy servers would be ready
	// without it.
	Max, Healthy int
	// Names are the healthy endpoints that get no traffic because of it, in the order of the spec.
	Names []string
}

// server is what maxReady counts: an endpoint, or all endpoints with the same hostname.
type server struct {
	key       string
	healthy   bool
	incumbent bool
	tier      int32
	index     int
}

// serverKey returns the key of the server that an endpoint is an address of. A hostname is no
// endpoint's name, which has a port.
func serverKey(v *endpoint.Verdict) string { return cmp.Or(v.Spec.Hostname, v.Name) }

// LimitReady puts the endpoints of all ready servers on standby but those that maxReady admits,
// after Assign has given all endpoints their roles. Healthy servers come first, then those that
// the slices publish as ready, so that of two primaries the one that gets the writes keeps them;
// then the priority decides, and last the order of the spec.
func (r Rules) LimitReady(all []endpoint.Verdict, decisions Decisions, was Past) Excess {
	if r.MaxReady == 0 {
		return Excess{}
	}
	servers := readyServers(all, was)
	excess := Excess{Max: r.MaxReady}
	for i := range servers {
		if servers[i].healthy {
			excess.Healthy++
		}
	}
	if len(servers) <= r.MaxReady {
		return Excess{}
	}
	slices.SortFunc(servers, func(a, b server) int {
		return cmp.Or(first(a.healthy, b.healthy), first(a.incumbent, b.incumbent), cmp.Compare(a.tier, b.tier), cmp.Compare(a.index, b.index))
	})
	admitted := make(map[string]bool, r.MaxReady)
	for _, server := range servers[:r.MaxReady] {
		admitted[server.key] = true
	}
	for i := range all {
		v := &all[i]
		if !v.Conditions(false).Ready || admitted[serverKey(v)] {
			continue
		}
		if v.Health.State == health.StateHealthy {
			excess.Names = append(excess.Names, v.Name)
		}
		decisions.exclude(v)
		standBy(v)
	}
	if len(excess.Names) == 0 {
		return Excess{}
	}
	return excess
}

// first orders values that have a property before those without it.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// readyServers are the servers that are ready by the roles of their endpoints.
func readyServers(all []endpoint.Verdict, was Past) []server {
	var servers []server
	indexes := map[string]int{}
	for i := range all {
		v := &all[i]
		if !v.Conditions(false).Ready {
			continue
		}
		key := serverKey(v)
		at, ok := indexes[key]
		if !ok {
			at = len(servers)
			indexes[key] = at
			servers = append(servers, server{key: key, tier: tierOf(v), index: v.Index})
		}
		known := &servers[at]
		known.healthy = known.healthy || v.Health.State == health.StateHealthy
		known.tier = min(known.tier, tierOf(v))
		known.incumbent = known.incumbent || slices.ContainsFunc(v.Ports.Ports, func(port discoveryv1.EndpointPort) bool {
			published, ok := was.Published(v.Endpoint, port)
			return ok && published.Ready
		})
	}
	return servers
}

// exclude notes that an endpoint that would be ready is not, in the groups of its ports.
func (a Decisions) exclude(v *endpoint.Verdict) {
	for k := range v.Ports.Ports {
		role := v.Role
		if v.PortRoles != nil {
			role = v.PortRoles[k]
		}
		key := groupKeyOf(endpoint.AddressTypeOf(v.Endpoint), &v.Ports.Ports[k])
		at := slices.IndexFunc(a, func(d groupDecision) bool { return d.GroupKey == key })
		switch {
		case at < 0:
		case role == endpoint.FailOpen:
			a[at].opened--
		case role == endpoint.InUse:
			a[at].excluded++
		}
	}
}

// standBy puts an endpoint on standby at all of its ports.
func standBy(v *endpoint.Verdict) { v.Role, v.PortRoles = endpoint.Standby, nil }

// WithdrawFirst returns the verdicts without the servers that are to become ready, as long as
// slices still publish an endpoint as ready that is to be so no more. Written before the verdicts
// themselves, they keep the number of ready servers from exceeding maxReady between two writes.
// It returns false if there is nothing to withdraw, or nothing to add.
func WithdrawFirst(all []endpoint.Verdict, existing []*discoveryv1.EndpointSlice) ([]endpoint.Verdict, bool) {
	published := readyKeys(existing)
	incumbents := map[string]bool{}
	stale := len(published)
	for i := range all {
		v := &all[i]
		if !v.Conditions(false).Ready {
			continue
		}
		for k, key := range v.Keys() {
			if published[key] {
				incumbents[serverKey(v)] = true
				if v.PortRoles == nil || v.PortRoles[k] != endpoint.Standby {
					stale--
				}
			}
		}
	}
	if stale == 0 {
		return nil, false
	}
	withdrawn, adds := slices.Clone(all), false
	for i := range withdrawn {
		if v := &withdrawn[i]; v.Conditions(false).Ready && !incumbents[serverKey(v)] {
			standBy(v)
			adds = true
		}
	}
	return withdrawn, adds
}

// readyKeys are the keys of the endpoints that slices publish as ready.
func readyKeys(existing []*discoveryv1.EndpointSlice) map[endpoint.Key]bool {
	keys := map[endpoint.Key]bool{}
	for _, slice := range existing {
		for i := range slice.Endpoints {
			published := &slice.Endpoints[i]
			if len(published.Addresses) == 0 || !ptr.Deref(published.Conditions.Ready, true) {
				continue
			}
			for _, port := range slice.Ports {
				keys[endpoint.HostOf(published.Addresses[0]).Key(port)] = true
			}
		}
	}
	return keys
}
