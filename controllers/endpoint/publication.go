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

package endpoint

import (
	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes/health"
)

// Conditions are an endpoint's health in a slice. All three are always written, since nil means
// different things to different consumers.
type Conditions struct {
	Ready, Serving, Terminating bool
}

// publication is one of the ways in which an endpoint is published.
type publication uint8

const (
	asReady publication = iota
	asFailOpen
	asAlways
	asDraining
	asNotReady
	asStandby
	asDisabled
)

// publications say of each way what it is called, what is in the slices, and whether the endpoint
// gets new connections. Conditions are false, false, false wherever there is to be no traffic,
// and never serving alone, to which some consumers send traffic and some do not. Those of
// endpoints that drain depend on more: see [Verdict.Conditions]. If several ways have the same
// conditions, the first is the one that conditions alone mean: see [PublicationOf].
var publications = [...]struct {
	name       farpointv1.EndpointPublication
	conditions Conditions
	traffic    bool
}{
	asReady:    {farpointv1.PublishedReady, Conditions{Ready: true, Serving: true}, true},
	asFailOpen: {farpointv1.PublishedFailOpen, Conditions{Ready: true, Serving: true}, true},
	asAlways:   {farpointv1.PublishedAlways, Conditions{Ready: true}, true},
	asDraining: {farpointv1.PublishedDraining, Conditions{Terminating: true}, false},
	asNotReady: {farpointv1.PublishedNotReady, Conditions{}, false},
	asStandby:  {farpointv1.PublishedStandby, Conditions{}, false},
	asDisabled: {farpointv1.PublishedDisabled, Conditions{}, false},
}

// publication is how the endpoint is published. Everything else follows from that.
func (v *Verdict) publication(publishNotReady bool) publication {
	switch {
	case v.Role == FailOpen:
		return asFailOpen
	case v.Role == Standby || v.Role == InUse && v.IsIneligible():
		return asStandby
	case v.Role == Draining || v.Role == InUse && v.Health.State == health.StateDraining:
		return asDraining
	case v.Role == Disabled:
		return asDisabled
	case v.Health.State == health.StateHealthy:
		return asReady
	case publishNotReady:
		return asAlways
	}
	return asNotReady
}

// Publication says in a word how the endpoint is published.
func (v *Verdict) Publication(publishNotReady bool) farpointv1.EndpointPublication {
	return publications[v.publication(publishNotReady)].name
}

// Conditions are the content of the slices of the endpoint.
func (v *Verdict) Conditions(publishNotReady bool) Conditions {
	as := v.publication(publishNotReady)
	conditions := publications[as].conditions
	if as == asDraining {
		conditions.Ready, conditions.Serving = publishNotReady && !v.IsIneligible(), v.Health.State.Serves()
	}
	return conditions
}

// GetsTraffic reports whether an endpoint that is published in this way gets new connections.
func GetsTraffic(name farpointv1.EndpointPublication) bool {
	i := indexOf(name)
	return i >= 0 && publications[i].traffic
}

// IsPublishedAs reports whether an endpoint with this status has these conditions.
func IsPublishedAs(status *farpointv1.EndpointStatus, present Conditions) bool {
	switch i := indexOf(status.Published); {
	case i < 0:
		return present == Conditions{}
	case publication(i) == asDraining:
		return present.Terminating && present.Serving == ProbeState(status.Health).Serves()
	default:
		return present == publications[i].conditions
	}
}

// PublicationOf says how an endpoint with these conditions is published, as far as they show it.
func PublicationOf(present Conditions) farpointv1.EndpointPublication {
	for i := range publications {
		if like := publications[i].conditions; like == present || like.Terminating && present.Terminating {
			return publications[i].name
		}
	}
	return farpointv1.PublishedNotReady
}

func indexOf(name farpointv1.EndpointPublication) int {
	for i := range publications {
		if publications[i].name == name {
			return i
		}
	}
	return -1
}
