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

// Availability says which endpoints get traffic when some or all of them are unhealthy,
// and how endpoints leave. All of it is judged for each address family and each port of the
// Service by itself; a port is its name and protocol, whatever its number.
type Availability struct {
	// minReady is how many healthy endpoints the tiers up to one must have for the tiers
	// after it to stay standby (endpoints[].priority). With fewer than this ready in all,
	// the condition Available is False. A new endpoint makes no standby take over before
	// the first verdict on it. From 1 to 1000; 1 if left out.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MinReady int32 `json:"minReady,omitempty"`

	// whenNoneHealthy is what gets traffic when every active endpoint, of whatever tier, is
	// unhealthy. PublishNone, the default: nothing, so that clients fail at once.
	// PublishLastHealthy: those that were healthy last. PublishAll: all active endpoints,
	// standbys too. A minHealthyPercent above 0 comes before it.
	// +optional
	// +kubebuilder:default=PublishNone
	// +kubebuilder:validation:Enum=PublishNone;PublishLastHealthy;PublishAll
	WhenNoneHealthy NoneHealthyPolicy `json:"whenNoneHealthy,omitempty"`

	// minHealthyPercent is the share of healthy endpoints among the active ones of the
	// tiers in use below which all of these get traffic, healthy or not: a probe that
	// fails so widely is more likely wrong than right, and the few that are left would be
	// overrun. If several tiers are in use, each of them must be below it: a standby tier
	// that has taken over is not mixed with the dead one that it stands in for. It holds
	// when none is healthy, too. 0, the default, never does so. Envoy calls it the panic
	// threshold.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MinHealthyPercent int32 `json:"minHealthyPercent,omitempty"`

	// drainPeriod is how long an endpoint that leaves the spec while it is healthy keeps
	// its connections: it is published as terminating and gets no new ones. From 0s, which
	// takes it away at once, to 24h; 30s if left out.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="must be a duration from 0s to 24h, such as 30s"
	DrainPeriod *metav1.Duration `json:"drainPeriod,omitempty"`
}

// NoneHealthyPolicy is what gets traffic when every active endpoint is unhealthy.
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
