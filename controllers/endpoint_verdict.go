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
	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes"
)

// role is what an endpoint is published as, besides what its health makes of it.
type role uint8

const (
	// inUse endpoints get traffic if they are healthy.
	inUse role = iota
	// failOpen endpoints get traffic although they are not healthy.
	failOpen
	// standby endpoints get none, since the tiers before theirs suffice.
	standby
	// draining endpoints keep their connections.
	draining
	// disabled endpoints get no traffic.
	disabled
)

// lastTier is the highest priority that an endpoint can have.
const lastTier = 127

func healthOf(state probes.State) farpointv1.EndpointHealth {
	switch state {
	case probes.StateHealthy:
		return farpointv1.EndpointHealthy
	case probes.StateUnhealthy:
		return farpointv1.EndpointUnhealthy
	case probes.StateDraining:
		return farpointv1.EndpointHealthDraining
	default:
		return farpointv1.EndpointHealthUnknown
	}
}

func stateFor(health farpointv1.EndpointHealth) probes.State {
	switch health {
	case farpointv1.EndpointHealthy:
		return probes.StateHealthy
	case farpointv1.EndpointUnhealthy:
		return probes.StateUnhealthy
	case farpointv1.EndpointHealthDraining:
		return probes.StateDraining
	}
	return probes.StateUnknown
}

// endpointConditions are what a slice says of an endpoint's health. All three are always
// written, since nil means different things to different consumers.
type endpointConditions struct {
	ready, serving, terminating bool
}

// conditions says of an endpoint what consumers are to know. It is false, false, false
// wherever there is to be no traffic, and never serving alone, which some consumers send
// traffic to and some don't.
func (v *verdict) conditions(publishNotReady bool) endpointConditions {
	switch {
	case v.role == failOpen:
		return endpointConditions{ready: true, serving: true}
	case v.isDraining():
		return endpointConditions{ready: publishNotReady, serving: v.health.State.Serves(), terminating: true}
	case v.role == inUse:
		healthy := v.health.State == probes.StateHealthy
		return endpointConditions{ready: healthy || publishNotReady, serving: healthy}
	}
	return endpointConditions{}
}

// isDraining tells of an endpoint in use that it keeps its connections and gets no new ones,
// by the spec or by its own word.
func (v *verdict) isDraining() bool {
	return v.role == draining || v.role == inUse && v.health.State == probes.StateDraining
}

// publication is the same in a word.
func (v *verdict) publication(publishNotReady bool) farpointv1.EndpointPublication {
	switch {
	case v.role == failOpen:
		return farpointv1.PublishedFailOpen
	case v.role == standby:
		return farpointv1.PublishedStandby
	case v.isDraining():
		return farpointv1.PublishedDraining
	case v.role == disabled:
		return farpointv1.PublishedDisabled
	case v.health.State == probes.StateHealthy:
		return farpointv1.PublishedReady
	case publishNotReady:
		return farpointv1.PublishedAlways
	}
	return farpointv1.PublishedNotReady
}

// verdict is an endpoint, what is known of it, and what it is published as.
type verdict struct {
	*endpoint
	health probes.Health
	// role is what it is published as at all of its ports.
	role role
	// portRoles are the roles for each port if they differ; role is then the one that gives it
	// most traffic. See splitByRole.
	portRoles []role
	// writtenReason is the reason for the same verdict that stands in the slices; "" for none.
	writtenReason string
}
