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
	"net/netip"
	"slices"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
)

// endpointStates are the states of a spec that hold at one time.
type endpointStates struct {
	now time.Time
	// byHost are the entries of spec.endpointStates that have not ended, by the address or the
	// canonical name.
	byHost map[string][]farpointv1.EndpointStateEntry
}

func statesAt(spec *farpointv1.ExternalServiceSpec, now time.Time) endpointStates {
	states := endpointStates{now: now}
	for i := range spec.EndpointStates {
		entry := &spec.EndpointStates[i]
		if hasEnded(entry.Until, now) {
			continue
		}
		if states.byHost == nil {
			states.byHost = make(map[string][]farpointv1.EndpointStateEntry, len(spec.EndpointStates))
		}
		host := canonicalHost(entry.Address)
		states.byHost[host] = append(states.byHost[host], *entry)
	}
	return states
}

// canonicalHost returns the one form in which an address or a name is compared.
func canonicalHost(text string) string {
	if address, err := netip.ParseAddr(text); err == nil {
		return address.String()
	}
	parsed, err := endpoint.ParseName(text)
	switch {
	case err != nil:
		return text
	case parsed.Service != nil:
		return "srv://" + parsed.Name
	}
	return parsed.Name
}

// apply gives an endpoint the strictest of the states that hold for it. The spec is copied if
// that is another one than the spec has.
func (s endpointStates) apply(e *endpoint.Endpoint) {
	state, until := endpoint.StateOf(e.Spec), e.Spec.StateUntil
	if hasEnded(until, s.now) || state == farpointv1.EndpointActive {
		state, until = farpointv1.EndpointActive, nil
	}
	for _, entry := range s.entriesFor(e) {
		if entry.Port == 0 || slices.ContainsFunc(e.Ports.Ports, func(port discoveryv1.EndpointPort) bool { return *port.Port == entry.Port }) {
			state, until = stricter(state, until, entry.State, entry.Until)
		}
	}
	e.StateUntil = time.Time{}
	if until != nil {
		e.StateUntil = until.Time
	}
	if state != endpoint.StateOf(e.Spec) {
		changed := *e.Spec
		changed.State = state
		e.Spec = &changed
	}
}

// entriesFor returns the entries for the address of an endpoint and for the name that led to it.
func (s endpointStates) entriesFor(e *endpoint.Endpoint) []farpointv1.EndpointStateEntry {
	if len(s.byHost) == 0 {
		return nil
	}
	entries := s.byHost[e.Text]
	if e.Resolved != nil {
		entries = slices.Concat(entries, s.byHost[canonicalHost(e.Resolved.Address)])
	}
	return entries
}

// stricter returns the stricter of two states and its end; of equal ones the one that ends later.
func stricter(state farpointv1.EndpointState, until *metav1.Time, other farpointv1.EndpointState, otherUntil *metav1.Time) (farpointv1.EndpointState, *metav1.Time) {
	switch {
	case strictness[other] > strictness[state]:
		return other, otherUntil
	case other == state && until != nil && (otherUntil == nil || until.Before(otherUntil)):
		return other, otherUntil
	}
	return state, until
}

var strictness = map[farpointv1.EndpointState]int{farpointv1.EndpointActive: 0, farpointv1.EndpointDraining: 1, farpointv1.EndpointDisabled: 2}

func hasEnded(until *metav1.Time, now time.Time) bool { return until != nil && !now.Before(until.Time) }

// endedStates counts the states of a spec that have ended by a time. For one generation of a
// spec, targets compiled with the same count have the same states.
func endedStates(spec *farpointv1.ExternalServiceSpec, now time.Time) int {
	ended := 0
	for until := range stateEnds(spec) {
		if hasEnded(until, now) {
			ended++
		}
	}
	return ended
}

// NextStateEnd returns how long to wait until a state of the spec ends; 0 if none does.
func NextStateEnd(spec *farpointv1.ExternalServiceSpec, now time.Time) time.Duration {
	var first time.Duration
	for until := range stateEnds(spec) {
		if wait := until.Sub(now); wait > 0 && (first == 0 || wait < first) {
			first = wait
		}
	}
	return first
}

func stateEnds(spec *farpointv1.ExternalServiceSpec) func(yield func(*metav1.Time) bool) {
	return func(yield func(*metav1.Time) bool) {
		for i := range spec.Endpoints {
			if until := spec.Endpoints[i].StateUntil; until != nil && !yield(until) {
				return
			}
		}
		for i := range spec.EndpointStates {
			if until := spec.EndpointStates[i].Until; until != nil && !yield(until) {
				return
			}
		}
	}
}
