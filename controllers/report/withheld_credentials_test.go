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

package report

import (
	"strings"
	"testing"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
)

// A healthy endpoint shows it by a verdict that has become stale, another one by the cause of
// its verdict.
func TestWithheldCredentials_OfAnyVerdict_AreReported(t *testing.T) {
	withheld := probes.Result{Outcome: probes.Unknown, Reason: probes.ReasonCredentialsWithheld}
	stale := health.New(health.StateHealthy)
	stale.StaleReason = probes.ReasonCredentialsWithheld
	other := health.New(health.StateHealthy)
	other.StaleReason = probes.ReasonNameResolution
	of := func(name string, current health.Health) endpoint.Verdict {
		return endpoint.Verdict{Endpoint: &endpoint.Endpoint{Name: name}, Health: current}
	}
	for name, test := range map[string]struct {
		verdicts     []endpoint.Verdict
		reason, want string
	}{
		"none":            {[]endpoint.Verdict{of("a", health.New(health.StateHealthy)), of("b", other)}, "", ""},
		"healthy":         {[]endpoint.Verdict{of("a", other), of("b", stale)}, farpointv1.CredentialsWithheldReason, "endpoint b: credentials withheld: "},
		"without verdict": {[]endpoint.Verdict{of("a", health.Health{Cause: withheld})}, farpointv1.CredentialsWithheldReason, "endpoint a: credentials withheld: "},
		"several":         {[]endpoint.Verdict{of("a", stale), of("b", stale), of("c", health.Health{Cause: withheld})}, farpointv1.CredentialsWithheldReason, "; and 2 more, see status.endpoints"},
	} {
		t.Run(name, func(t *testing.T) {
			reason, message := withheldCredentials(test.verdicts)
			if reason != test.reason || !strings.Contains(message, test.want) {
				t.Errorf("got %q, %q; want %q, %q", reason, message, test.reason, test.want)
			}
		})
	}
}
