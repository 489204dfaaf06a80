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

// Availability defines which endpoints get traffic when some or all of them are unhealthy, and
// how endpoints are removed. Each address family and each port of the Service is evaluated
// separately; a port is identified by name and protocol, not by number.
//
// +kubebuilder:validation:XValidation:rule="!has(self.maxReady) || self.maxReady >= self.minReady",message="availability.maxReady must not be less than availability.minReady: raise it, or lower minReady"
// +kubebuilder:validation:XValidation:rule="!has(self.maxReady) || !has(self.minAvailable) || self.maxReady >= self.minAvailable",message="availability.maxReady must not be less than availability.minAvailable: raise it, or lower minAvailable"
type Availability struct {
	// minReady is the number of healthy endpoints that the tiers up to one must have for later
	// tiers to stay on standby (endpoints[].priority). A new endpoint does not activate a standby
	// before its first verdict. From 1 to 1000; the default is 1.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MinReady int32 `json:"minReady,omitempty"`

	// minAvailable is the number of ready endpoints, in all tiers, with which the condition
	// Available is True. From 1 to 1000; the default is minReady.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MinAvailable int32 `json:"minAvailable,omitempty"`

	// maxReady is the most servers that are published as ready at once, over all address families
	// and ports: 1 for the primary of a database. Endpoints with the same hostname are addresses of
	// one server. If more servers are healthy, those that are ready already stay so, then the
	// priority and the order of the spec decide; the others stand by, and the condition TooManyReady
	// is True. An endpoint is published as ready only after the API server has accepted the writes
	// that withdraw others. The Service's publishNotReadyAddresses has no effect then. From 1 to
	// 1000; without it there is no limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxReady int32 `json:"maxReady,omitempty"`

	// whenNoneHealthy defines what gets traffic when every active endpoint, in all tiers, is
	// unhealthy. PublishNone, the default: nothing, so clients fail at once. PublishLastHealthy:
	// the endpoints that were healthy last. PublishAll: all active endpoints, including standbys.
	// A minHealthyPercent above 0 takes precedence.
	// +optional
	// +kubebuilder:default=PublishNone
	// +kubebuilder:validation:Enum=PublishNone;PublishLastHealthy;PublishAll
	WhenNoneHealthy NoneHealthyPolicy `json:"whenNoneHealthy,omitempty"`

	// minHealthyPercent is a share of the active endpoints in the tiers in use. If fewer are
	// healthy, all of these endpoints get traffic, healthy or not: if so many probes fail, the
	// probe is probably wrong, and the few healthy endpoints would be overloaded. If several tiers
	// are in use, each of them must be below it: a standby tier that has taken over is not mixed
	// with the dead tier that it replaces. It also applies when none is healthy. 0, the default,
	// disables it. Envoy calls it the panic threshold.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MinHealthyPercent int32 `json:"minHealthyPercent,omitempty"`

	// drainPeriod is how long an endpoint that leaves the spec while it is healthy keeps its
	// connections: it is published as terminating and gets no new ones. From 0s, which removes it
	// at once, to 24h; the default is 30s.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="must be a duration from 0s to 24h, such as 30s"
	DrainPeriod *metav1.Duration `json:"drainPeriod,omitempty"`
}

// NoneHealthyPolicy defines what gets traffic when every active endpoint is unhealthy.
type NoneHealthyPolicy string

// Policies for when every active endpoint is unhealthy.
const (
	// PublishNone sends traffic nowhere.
	PublishNone NoneHealthyPolicy = "PublishNone"
	// PublishLastHealthy sends traffic to the endpoints that were healthy last.
	PublishLastHealthy NoneHealthyPolicy = "PublishLastHealthy"
	// PublishAll sends traffic to all active endpoints.
	PublishAll NoneHealthyPolicy = "PublishAll"
)
