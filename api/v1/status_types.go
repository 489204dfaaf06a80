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

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ExternalServiceStatus is what is known.
type ExternalServiceStatus struct {
	// observedGeneration is the generation of the spec that the status speaks of; -1 for none
	// yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions tell how far the spec is carried out and how its endpoints fare.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// targetService is the name of the Service that the endpoints belong to, after its
	// namespace and a slash if that is another one.
	// +optional
	TargetService string `json:"targetService,omitempty"`

	// readyEndpoints is ready of total, as in "3/4".
	// +optional
	ReadyEndpoints string `json:"readyEndpoints,omitempty"`

	// total counts the endpoints of the spec. A DNS name counts for as many as it leads to.
	// +optional
	Total int32 `json:"total"`

	// ready counts the endpoints that are published as ready. Some of them may be
	// unhealthy, and are counted there as well: see the condition FailOpen and the
	// Service's publishNotReadyAddresses.
	// +optional
	Ready int32 `json:"ready"`

	// standby counts the healthy endpoints whose tier is not in use.
	// +optional
	Standby int32 `json:"standby"`

	// unhealthy counts the active endpoints that are unhealthy, of whatever tier.
	// +optional
	Unhealthy int32 `json:"unhealthy"`

	// unknown counts the active endpoints that have had no verdict.
	// +optional
	Unknown int32 `json:"unknown"`

	// draining counts the endpoints in the state Draining and the active ones that say that
	// they drain, and besides those of total the ones that have left the spec and keep their
	// connections for a while.
	// +optional
	Draining int32 `json:"draining"`

	// disabled counts the endpoints in the state Disabled.
	// +optional
	Disabled int32 `json:"disabled"`

	// rejected counts the endpoints that are set aside; see the conditions
	// EndpointsAccepted and AddressesResolved.
	// +optional
	Rejected int32 `json:"rejected"`

	// stale counts the endpoints whose health is stale, of whatever health. See the condition
	// VerdictsCurrent.
	// +optional
	Stale int32 `json:"stale,omitempty"`

	// tier is the priority of the last tier in use: of the endpoints with this priority and
	// lower ones, the healthy ones get traffic. Where address families and ports of the
	// Service differ in it, it is the last one that is in use for any of them.
	// +optional
	Tier int32 `json:"tier"`

	// endpoints tell what is known of each endpoint, in the order of the spec. Those that
	// have left the spec and are draining follow.
	// +optional
	// +listType=atomic
	Endpoints []EndpointStatus `json:"endpoints,omitempty"`

	// endpointSlices counts the slices of this object.
	// +optional
	EndpointSlices int32 `json:"endpointSlices"`
}

// EndpointStatus is what is known of an endpoint.
type EndpointStatus struct {
	// name is the endpoint's address and first port.
	Name string `json:"name"`

	// address is that of the spec, or one that the spec's DNS name led to.
	Address string `json:"address"`

	// resolvedFrom is the spec's DNS name that led to the address. While the name cannot be
	// resolved, also across restarts of the operator, its addresses stay published.
	// +optional
	ResolvedFrom string `json:"resolvedFrom,omitempty"`

	// target is the host that the SRV record names which led to the address.
	// +optional
	Target string `json:"target,omitempty"`

	// priority is the tier of an endpoint that SRV records led to.
	// +optional
	Priority int32 `json:"priority,omitempty"`

	// state is that of the spec.
	State EndpointState `json:"state"`

	// health is the verdict of the probes.
	Health EndpointHealth `json:"health"`

	// published is how the endpoint stands in the EndpointSlices, which decides whether it
	// gets traffic. One that is in use for one of its ports and on standby for another shows
	// the former. It is absent for an endpoint that is set aside. While the target Service
	// is missing, it is how the endpoint stood last.
	// +optional
	Published EndpointPublication `json:"published,omitempty"`

	// stale: no probe has said anything about the endpoint for three intervals, and at least
	// 30 seconds, so that health may be wrong. It decides as before. reason and message say why
	// the probes say nothing.
	// +optional
	Stale bool `json:"stale,omitempty"`

	// reason says in one word why the health is not Healthy, or is stale.
	// +optional
	Reason string `json:"reason,omitempty"`

	// message says the same in a sentence.
	// +optional
	Message string `json:"message,omitempty"`

	// lastTransitionTime is when health last changed.
	LastTransitionTime metav1.Time `json:"lastTransitionTime"`

	// drainUntil is when an endpoint that has left the spec leaves the EndpointSlices.
	// +optional
	DrainUntil *metav1.Time `json:"drainUntil,omitempty"`
}

// EndpointPublication is how an endpoint stands in the EndpointSlices.
//
// +kubebuilder:validation:Enum=Ready;NotReady;Standby;FailOpen;Always;Draining;Disabled
type EndpointPublication string

// Forms in which endpoints are published, with the conditions ready, serving and
// terminating.
const (
	// PublishedReady endpoints get traffic: true, true, false.
	PublishedReady EndpointPublication = "Ready"
	// PublishedNotReady endpoints are unhealthy, or not known to be healthy, and get no
	// traffic: false, false, false.
	PublishedNotReady EndpointPublication = "NotReady"
	// PublishedStandby endpoints get no traffic, since the tiers before theirs have enough
	// healthy endpoints: false, false, false.
	PublishedStandby EndpointPublication = "Standby"
	// PublishedFailOpen endpoints get traffic although they are not healthy, by
	// spec.availability: true, true, false.
	PublishedFailOpen EndpointPublication = "FailOpen"
	// PublishedAlways endpoints get traffic although they are not healthy, since the Service
	// says publishNotReadyAddresses: true, false, false.
	PublishedAlways EndpointPublication = "Always"
	// PublishedDraining endpoints keep their connections and get no new ones as long as
	// another endpoint is ready: false, whether they are healthy or say that they drain,
	// true. With publishNotReadyAddresses, ready is true.
	PublishedDraining EndpointPublication = "Draining"
	// PublishedDisabled endpoints get no traffic: false, false, false.
	PublishedDisabled EndpointPublication = "Disabled"
)

// EndpointHealth is the verdict of an endpoint's probes.
//
// +kubebuilder:validation:Enum=Unknown;Healthy;Draining;Unhealthy;Rejected
type EndpointHealth string

// Healths of an endpoint.
const (
	// EndpointHealthUnknown: no verdict yet, or not probed.
	EndpointHealthUnknown EndpointHealth = "Unknown"
	// EndpointHealthy: the probes pass.
	EndpointHealthy EndpointHealth = "Healthy"
	// EndpointHealthDraining: the endpoint answers the probes, and says that it takes no new
	// traffic.
	EndpointHealthDraining EndpointHealth = "Draining"
	// EndpointUnhealthy: the probes fail.
	EndpointUnhealthy EndpointHealth = "Unhealthy"
	// EndpointRejected: set aside, neither probed nor published.
	EndpointRejected EndpointHealth = "Rejected"
)
