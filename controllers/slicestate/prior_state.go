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

package slicestate

import (
	"iter"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/phrase"
	"farpoint.dev/farpoint/probes/health"
)

// Prior is the endpoints' states in the EndpointSlices: what clients follow, and with the slices'
// annotations all that an operator that has just started or taken over has to know, so that this
// changes nothing. The status is not read: it may be empty, old or edited.
type Prior struct {
	Existing  []*discoveryv1.EndpointSlice
	published map[endpoint.Key]Published
}

// Published is an endpoint's state in a slice at one port.
type Published struct {
	endpoint.Conditions
	// Role is Standby or Disabled, or else InUse, also for endpoints that drain.
	Role endpoint.Role
	// State is the verdict.
	State health.State
	// annotated: the slice has an annotation that can be read. Otherwise only the conditions are
	// known.
	annotated bool
	// more is nil for most endpoints: there are many of them.
	more *Details
}

// Details are what slices have for few endpoints only.
type Details struct {
	// reason is the one with which the verdict was written first; "" where the conditions
	// imply the verdict.
	reason string
	// DrainUntil is when the endpoint is removed; zero if it has not left the spec.
	DrainUntil time.Time
	// Origin is the DNS name that led to it; zero if none did.
	Origin Origin
}

// Details are zero if there are none.
func (p Published) Details() Details {
	if p.more == nil {
		return Details{}
	}
	return *p.more
}

// InUse reports whether the endpoint's tier was in use, for one that is active.
func (p Published) InUse() bool {
	return p.Role == endpoint.InUse && (!p.Terminating || p.State == health.StateDraining)
}

// FailedOpen reports whether the endpoint got traffic although it was not healthy.
func (p Published) FailedOpen() bool {
	return p.Ready && p.Serving && !p.Terminating && p.State != health.StateHealthy
}

// Read returns the state that slices hold.
func Read(existing []*discoveryv1.EndpointSlice) *Prior {
	total := 0
	for _, slice := range existing {
		total += len(slice.Endpoints) * len(slice.Ports)
	}
	read := &Prior{Existing: existing, published: make(map[endpoint.Key]Published, total)}
	for _, slice := range existing {
		state, annotated := Parse(slice.Annotations[farpointv1.SliceStateAnnotation])
		for i := range slice.Endpoints {
			read.noteConditions(&slice.Endpoints[i], slice.Ports, annotated)
		}
		read.noteState(state, slice.Ports)
	}
	return read
}

// noteConditions takes in the conditions of an endpoint.
func (s *Prior) noteConditions(published *discoveryv1.Endpoint, ports []discoveryv1.EndpointPort, annotated bool) {
	if len(published.Addresses) == 0 || published.Conditions.Serving == nil {
		return
	}
	entry := Published{annotated: annotated, Role: endpoint.InUse, Conditions: endpoint.Conditions{
		Ready:       ptr.Deref(published.Conditions.Ready, false),
		Serving:     *published.Conditions.Serving,
		Terminating: ptr.Deref(published.Conditions.Terminating, false),
	}}
	entry.State = impliedState(entry.Conditions)
	for _, port := range ports {
		s.published[endpoint.HostOf(published.Addresses[0]).Key(port)] = entry
	}
}

// noteState takes in a slice's annotation. Entries for endpoints that are not in the slice, or
// whose conditions differ, do not count: somebody has edited the slice.
func (s *Prior) noteState(state State, ports []discoveryv1.EndpointPort) {
	for i := range state.Endpoints {
		entry := &state.Endpoints[i]
		s.change(entry.Addresses, ports, func(published *Published, more *Details) {
			current := endpoint.ProbeState(farpointv1.EndpointHealth(entry.Health))
			switch {
			case entry.Role == StandbyWord && published.Conditions == endpoint.Conditions{}:
				published.Role = endpoint.Standby
			case entry.Role == DisabledWord && published.Conditions == endpoint.Conditions{}:
				published.Role = endpoint.Disabled
			case entry.Role != "":
				return
			}
			published.State = current
			more.reason = phrase.Cut(entry.Reason, longestReason)
		})
	}
	for i := range state.Drains {
		entry := &state.Drains[i]
		s.change(entry.Addresses, ports, func(published *Published, more *Details) {
			if published.Terminating {
				more.DrainUntil = entry.Until
			}
		})
	}
	for i := range state.Names {
		entry := &state.Names[i]
		s.change(entry.Addresses, ports, func(published *Published, more *Details) {
			more.Origin = Origin{Name: entry.Name, Target: entry.Target, Tier: min(max(entry.Tier, 0), endpoint.LastTier)}
		})
	}
}

// longestReason is longer than any reason.
const longestReason = 64

func (s *Prior) change(addresses []string, ports []discoveryv1.EndpointPort, change func(*Published, *Details)) {
	for _, address := range addresses {
		for _, port := range ports {
			at := endpoint.HostOf(address).Key(port)
			if published, ok := s.published[at]; ok {
				more := published.Details()
				if change(&published, &more); more != (Details{}) {
					published.more = &more
				}
				s.published[at] = published
			}
		}
	}
}

// Find returns an endpoint's state in the slices, at any of its ports, so that adding a port to
// an endpoint, or naming another one first, forgets nothing.
func (s *Prior) Find(of *endpoint.Endpoint) (Published, bool) {
	for _, port := range of.Ports.Ports {
		if published, ok := s.published[of.Host().Key(port)]; ok {
			return published, true
		}
	}
	return Published{}, false
}

// At returns an endpoint's state in the slices at one of its ports, or at another one if that
// is new.
func (s *Prior) At(of *endpoint.Endpoint, port discoveryv1.EndpointPort) (Published, bool) {
	if published, ok := s.published[of.Host().Key(port)]; ok {
		return published, true
	}
	return s.Find(of)
}

// State returns the verdict on an endpoint that has been published.
func (s *Prior) State(ep *endpoint.Endpoint) (health.State, bool) {
	published, ok := s.Find(ep)
	switch {
	case !ok:
		return health.StateUnknown, false
	case !published.annotated && published.Serving && published.Terminating && endpoint.StateOf(ep.Spec) == farpointv1.EndpointActive:
		// It is active and the slices say otherwise: as far as is known, it has reported that it
		// drains.
		return health.StateDraining, true
	}
	return published.State, true
}

// Reason returns the reason of this verdict on an endpoint in the slices, at any of its ports; ""
// if they have none.
func (s *Prior) Reason(endpoint *endpoint.Endpoint, state health.State) string {
	for _, port := range endpoint.Ports.Ports {
		if published, ok := s.published[endpoint.Host().Key(port)]; ok && published.more != nil && published.State == state && published.more.reason != "" {
			return published.more.reason
		}
	}
	return ""
}

// Origins yields the DNS names that led to the endpoints that are published and have not left the
// spec, with the key of each endpoint.
func (s *Prior) Origins() iter.Seq2[endpoint.Key, Origin] {
	return func(yield func(endpoint.Key, Origin) bool) {
		for at, published := range s.published {
			more := published.Details()
			if more.Origin.Name != "" && more.DrainUntil.IsZero() && !yield(at, more.Origin) {
				return
			}
		}
	}
}
