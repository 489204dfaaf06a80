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
	"fmt"
	"maps"
	"slices"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/phrase"
)

// claim ranks the endpoints that claim the same key. A rejected endpoint never keeps a key from a
// valid one, wherever they are in the spec; an address that the spec gives comes before those
// that DNS names lead to, so that no answer of a name server decides whether it is a duplicate.
type claim uint8

const (
	validAddress claim = iota
	validName
	heldAddress
	heldName
	claims
	// noClaim is that of an endpoint that is set aside.
	noClaim claim = 255
)

func claimOf(e *endpoint.Endpoint, rejected bool) claim {
	switch {
	case rejected && !e.Held:
		return noClaim
	case rejected && e.Resolved != nil:
		return heldName
	case rejected:
		return heldAddress
	case e.Resolved != nil:
		return validName
	}
	return validAddress
}

// assignKeys accepts the candidates that get their keys, by the rank of their claims and then in
// the order of the spec.
func (t *Targets) assignKeys(candidates []candidate) {
	accepted, n := make([]bool, len(candidates)), 0
	for rank := range claims {
		for i := range candidates {
			e := &candidates[i].Endpoint
			_, rejected := t.Rejected[i]
			if claimOf(e, rejected) != rank {
				continue
			}
			origin := t.Names.At(i).Origin
			if first, isTaken := t.claimedBy(e); isTaken {
				t.refuseClaimed(i, e, first)
				continue
			}
			t.claim(e, origin)
			accepted[i] = true
			n++
		}
	}
	for i := range candidates {
		// What a policy took out leaves at once, and does not drain.
		if !accepted[i] && t.Rejected[i].Reason == farpointv1.NotAllowedByPolicyReason && candidates[i].Ports != nil {
			t.claim(&candidates[i].Endpoint, t.Names.At(i).Origin)
		}
	}
	t.Accepted, t.Probers = make([]endpoint.Endpoint, 0, n), make([]preparedProber, 0, n)
	for i := range candidates {
		if accepted[i] {
			t.Accepted = append(t.Accepted, candidates[i].Endpoint)
			t.Probers = append(t.Probers, candidates[i].preparedProber)
		}
	}
}

// claimedBy returns the index in the spec of the endpoint that has claimed one of the keys.
func (t *Targets) claimedBy(e *endpoint.Endpoint) (origin int, isTaken bool) {
	for _, port := range e.Ports.Ports {
		if origin, isTaken = t.Claimed[e.Host().Key(port)]; isTaken {
			return origin, true
		}
	}
	return 0, false
}

// claim claims those keys of an endpoint that are free.
func (t *Targets) claim(e *endpoint.Endpoint, origin int) {
	for _, port := range e.Ports.Ports {
		at := e.Host().Key(port)
		if _, isTaken := t.Claimed[at]; !isTaken {
			t.Claimed[at] = origin
		}
	}
}

// refuseClaimed notes that another endpoint has claimed a candidate's key. A candidate that is
// rejected for another reason keeps that reason.
func (t *Targets) refuseClaimed(i int, e *endpoint.Endpoint, first int) {
	e.Held = false
	switch _, rejected := t.Rejected[i]; {
	case rejected:
	case e.Resolved != nil:
		if t.shared == nil {
			t.shared = map[int]int{}
		}
		t.shared[i] = first
	default:
		t.Rejected[i] = endpoint.Rejection{Reason: farpointv1.DuplicateEndpointReason, Message: fmt.Sprintf("has the address and port of spec.endpoints[%d]: remove one of them", first)}
	}
}

// SharedNames says which names of the spec lead to nothing but what other endpoints of it
// lead to; "" if none do. They are no fault, but have no entry of their own in the status.
func (t *Targets) SharedNames() string {
	if len(t.shared) == 0 {
		return ""
	}
	others := map[int]int{} // the first endpoint that each name's addresses are shared with
	for _, i := range slices.Sorted(maps.Keys(t.shared)) {
		origin := t.Names.At(i).Origin
		if _, known := others[origin]; !known {
			others[origin] = t.shared[i]
		}
	}
	for i := range t.Names.Len() {
		if _, isShared := t.shared[i]; !isShared {
			delete(others, t.Names.At(i).Origin)
		}
	}
	parts := make([]string, 0, len(others))
	for _, origin := range slices.Sorted(maps.Keys(others)) {
		parts = append(parts, fmt.Sprintf("spec.endpoints[%d] (%s) adds no address to spec.endpoints[%d]", origin, t.Names.Spec.Endpoints[origin].Address, others[origin]))
	}
	return phrase.List(parts, "; ")
}
