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

// Role is what an endpoint is published as, apart from its health.
type Role uint8

const (
	// InUse endpoints get traffic if they are healthy.
	InUse Role = iota
	// FailOpen endpoints get traffic although they are not healthy.
	FailOpen
	// Standby endpoints get none, since the tiers before theirs suffice.
	Standby
	// Draining endpoints keep their connections.
	Draining
	// Disabled endpoints get no traffic.
	Disabled
)

// LastTier is the highest priority that an endpoint can have.
const LastTier = 127

// IsActive reports whether the spec wants the endpoint to get traffic.
func (v *Verdict) IsActive() bool { return StateOf(v.Spec) == farpointv1.EndpointActive }

// IsIneligible reports whether the endpoint works and is not the one to get the traffic. No rule
// publishes such an endpoint as ready.
func (v *Verdict) IsIneligible() bool { return v.Health.State == health.StateIneligible }

// HealthOf is the verdict in the words of the API.
func HealthOf(state health.State) farpointv1.EndpointHealth {
	switch state {
	case health.StateHealthy:
		return farpointv1.EndpointHealthy
	case health.StateUnhealthy:
		return farpointv1.EndpointUnhealthy
	case health.StateDraining:
		return farpointv1.EndpointHealthDraining
	case health.StateIneligible:
		return farpointv1.EndpointIneligible
	default:
		return farpointv1.EndpointHealthUnknown
	}
}

// ProbeState is the verdict that a word of the API stands for.
func ProbeState(current farpointv1.EndpointHealth) health.State {
	switch current {
	case farpointv1.EndpointHealthy:
		return health.StateHealthy
	case farpointv1.EndpointUnhealthy:
		return health.StateUnhealthy
	case farpointv1.EndpointHealthDraining:
		return health.StateDraining
	case farpointv1.EndpointIneligible:
		return health.StateIneligible
	}
	return health.StateUnknown
}

// Verdict is an endpoint, what is known of it, and what it is published as.
type Verdict struct {
	*Endpoint
	Health health.Health
	// Role is what it is published as at all of its ports.
	Role Role
	// PortRoles are the roles for each port if they differ; Role is then the one that gives it
	// the most traffic. See availability.SplitByRole.
	PortRoles []Role
	// WrittenReason is the reason for the same verdict in the slices; "" for none.
	WrittenReason string
}
