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
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
)

// StaleReason returns why the verdict is stale; ReasonNone if it is not. The condition
// OperatorIsolated reports verdicts that the operator itself holds back. The verdict on an
// endpoint without a sound health check is stale at once, and until the endpoint is found dead.
func StaleReason(v *Verdict) probes.Reason {
	switch since := v.Health.Since(); {
	case v.Health.State == health.StateUnknown || !v.DrainUntil.IsZero() || v.Spec.State == farpointv1.EndpointDisabled:
		return probes.ReasonNone
	case v.Unprobed && (v.Health.State != health.StateUnhealthy || since.IsZero()):
		return probes.ReasonUnsoundDefinition
	case v.Health.StaleReason == probes.ReasonIsolated:
		return probes.ReasonNone
	}
	return v.Health.StaleReason
}
