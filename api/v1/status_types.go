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

// ExternalServiceStatus is the observed state of an ExternalService.
type ExternalServiceStatus struct {
	// observedGeneration is the generation of the spec that the status describes; -1 for none
	// yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions report the state of the reconciliation and of the endpoints.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// targetService is the name of the Service that the endpoints belong to, prefixed by its
	// namespace and a slash if that is another one.
	// +optional
	TargetService string `json:"targetService,omitempty"`

	// readyEndpoints is ready of total, as in "3/4".
	// +optional
	ReadyEndpoints string `json:"readyEndpoints,omitempty"`

	// total counts the endpoints of the spec. A DNS name counts as the number of its addresses.
	// +optional
	Total int32 `json:"total"`

	// ready counts the endpoints that are published as ready. Some of them may be unhealthy, and
	// are counted there as well: see the condition FailOpen and the Service's
	// publishNotReadyAddresses.
	// +optional
	Ready int32 `json:"ready"`

	// standby counts the active endpoints that work and get no traffic: the healthy ones whose
	// tier is not in use, and the ineligible ones.
	// +optional
	Standby int32 `json:"standby"`

	// unhealthy counts the active endpoints that are unhealthy, in all tiers.
	// +optional
	Unhealthy int32 `json:"unhealthy"`

	// unknown counts the active endpoints without a verdict.
	// +optional
	Unknown int32 `json:"unknown"`

	// draining counts the endpoints in the state Draining, the active ones that report draining,
	// and, in addition to total, the ones that have left the spec and still keep their
	// connections.
	// +optional
	Draining int32 `json:"draining"`

	// disabled counts the endpoints in the state Disabled.
	// +optional
	Disabled int32 `json:"disabled"`

	// rejected counts the endpoints that are neither probed nor published; see the conditions
	// EndpointsAccepted and AddressesResolved.
	// +optional
	Rejected int32 `json:"rejected"`

	// stale counts the endpoints whose health is stale. See the condition VerdictsCurrent.
	// +optional
	Stale int32 `json:"stale,omitempty"`

	// tier is the priority of the last tier in use: of the endpoints with this priority or a lower
	// one, the healthy ones get traffic. If address families and ports of the Service differ, it
	// is the last tier in use for any of them.
	// +optional
	Tier int32 `json:"tier"`

	// endpoints describe each endpoint, in the order of the spec. Endpoints that have left the
	// spec and are draining follow.
	// +optional
	// +listType=atomic
	Endpoints []EndpointStatus `json:"endpoints,omitempty"`

	// endpointSlices counts the slices of this object.
	// +optional
	EndpointSlices int32 `json:"endpointSlices"`
}

// EndpointStatus is the observed state of an endpoint.
type EndpointStatus struct {
	// name is the endpoint's address and first port.
	Name string `json:"name"`

	// address is the address in the spec, or an address of the spec's DNS name.
	Address string `json:"address"`

	// resolvedFrom is the spec's DNS name that the address belongs to. While the name cannot be
	// resolved, its addresses stay published, even across restarts of the operator.
	// +optional
	ResolvedFrom string `json:"resolvedFrom,omitempty"`

	// target is the host in the SRV record that the address belongs to.
	// +optional
	Target string `json:"target,omitempty"`

	// priority is the tier of an endpoint from SRV records.
	// +optional
	Priority int32 `json:"priority,omitempty"`

	// state is the state in the spec: the stricter one of spec.endpoints and spec.endpointStates.
	State EndpointState `json:"state"`

	// stateUntil is when state ends by itself.
	// +optional
	StateUntil *metav1.Time `json:"stateUntil,omitempty"`

	// health is the verdict of the probes.
	Health EndpointHealth `json:"health"`

	// published is how the endpoint is published in the EndpointSlices, which decides whether it
	// gets traffic. An endpoint that is in use for one of its ports and on standby for another
	// shows the former. It is absent for a rejected endpoint. While the target Service is missing,
	// it shows the last publication.
	// +optional
	Published EndpointPublication `json:"published,omitempty"`

	// stale means that no probe has yielded a result for three intervals, and at least 30 seconds,
	// so that health may be wrong. The health still decides about traffic. reason and message say
	// why there is no result.
	// +optional
	Stale bool `json:"stale,omitempty"`

	// reason is a word that says why the health is not Healthy, or is stale.
	// +optional
	Reason string `json:"reason,omitempty"`

	// message describes the reason in a sentence.
	// +optional
	Message string `json:"message,omitempty"`

	// lastTransitionTime is when health last changed.
	LastTransitionTime metav1.Time `json:"lastTransitionTime"`

	// drainUntil is when an endpoint that has left the spec leaves the EndpointSlices.
	// +optional
	DrainUntil *metav1.Time `json:"drainUntil,omitempty"`
}

// EndpointPublication is how an endpoint is published in the EndpointSlices.
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
	// PublishedStandby endpoints get no traffic, because the tiers before theirs have enough
	// healthy endpoints, or because they are ineligible: false, false, false.
	PublishedStandby EndpointPublication = "Standby"
	// PublishedFailOpen endpoints get traffic although they are unhealthy, by spec.availability:
	// true, true, false.
	PublishedFailOpen EndpointPublication = "FailOpen"
	// PublishedAlways endpoints get traffic although they are unhealthy, because the Service has
	// publishNotReadyAddresses: true, false, false.
	PublishedAlways EndpointPublication = "Always"
	// PublishedDraining endpoints keep their connections and get no new ones as long as another
	// endpoint is ready: ready is false, serving is true if they are healthy or report draining,
	// terminating is true. With publishNotReadyAddresses, ready is true.
	PublishedDraining EndpointPublication = "Draining"
	// PublishedDisabled endpoints get no traffic: false, false, false.
	PublishedDisabled EndpointPublication = "Disabled"
)

// EndpointHealth is the verdict of an endpoint's probes.
//
// +kubebuilder:validation:Enum=Unknown;Healthy;Draining;Ineligible;Unhealthy;Rejected
type EndpointHealth string

// Healths of an endpoint.
const (
	// EndpointHealthUnknown: no verdict yet, or not probed.
	EndpointHealthUnknown EndpointHealth = "Unknown"
	// EndpointHealthy: the probes pass.
	EndpointHealthy EndpointHealth = "Healthy"
	// EndpointHealthDraining: the endpoint answers the probes, and reports that it takes no new
	// traffic.
	EndpointHealthDraining EndpointHealth = "Draining"
	// EndpointIneligible: the endpoint works, and reports that it is not the one to get the
	// traffic: it has another role, or one of the standby statuses.
	EndpointIneligible EndpointHealth = "Ineligible"
	// EndpointUnhealthy: the probes fail.
	EndpointUnhealthy EndpointHealth = "Unhealthy"
	// EndpointRejected: neither probed nor published.
	EndpointRejected EndpointHealth = "Rejected"
)
