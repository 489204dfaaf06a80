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

package endpoint_test

import (
	"testing"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

// TestVerdict_Publication tests the table that was derived from the source of consumers.
func TestVerdict_Publication(t *testing.T) {
	const healthy, unhealthy, unknown, drains, ineligible = health.StateHealthy, health.StateUnhealthy, health.StateUnknown, health.StateDraining, health.StateIneligible
	tests := []struct {
		role      endpoint.Role
		health    health.State
		notReady  bool
		want      string // ready, serving, terminating
		published farpointv1.EndpointPublication
	}{
		{endpoint.InUse, healthy, false, "TTF", farpointv1.PublishedReady},
		{endpoint.InUse, unhealthy, false, "FFF", farpointv1.PublishedNotReady},
		{endpoint.InUse, unknown, false, "FFF", farpointv1.PublishedNotReady},
		{endpoint.Draining, healthy, false, "FTT", farpointv1.PublishedDraining},
		{endpoint.Draining, unhealthy, false, "FFT", farpointv1.PublishedDraining},
		{endpoint.Draining, unknown, false, "FFT", farpointv1.PublishedDraining},
		{endpoint.Draining, drains, false, "FTT", farpointv1.PublishedDraining},
		{endpoint.InUse, drains, false, "FTT", farpointv1.PublishedDraining},
		{endpoint.Standby, drains, false, "FFF", farpointv1.PublishedStandby},
		{endpoint.Disabled, drains, false, "FFF", farpointv1.PublishedDisabled},
		{endpoint.FailOpen, drains, false, "TTF", farpointv1.PublishedFailOpen},
		{endpoint.InUse, ineligible, false, "FFF", farpointv1.PublishedStandby},
		{endpoint.Standby, ineligible, false, "FFF", farpointv1.PublishedStandby},
		{endpoint.Draining, ineligible, false, "FFT", farpointv1.PublishedDraining},
		{endpoint.Disabled, ineligible, false, "FFF", farpointv1.PublishedDisabled},
		{endpoint.Disabled, healthy, false, "FFF", farpointv1.PublishedDisabled},
		{endpoint.Standby, healthy, false, "FFF", farpointv1.PublishedStandby},
		{endpoint.Standby, unhealthy, false, "FFF", farpointv1.PublishedStandby},
		{endpoint.FailOpen, unhealthy, false, "TTF", farpointv1.PublishedFailOpen},
		{endpoint.FailOpen, unknown, false, "TTF", farpointv1.PublishedFailOpen},

		{endpoint.InUse, healthy, true, "TTF", farpointv1.PublishedReady},
		{endpoint.InUse, unhealthy, true, "TFF", farpointv1.PublishedAlways},
		{endpoint.InUse, unknown, true, "TFF", farpointv1.PublishedAlways},
		{endpoint.Draining, healthy, true, "TTT", farpointv1.PublishedDraining},
		{endpoint.Draining, unhealthy, true, "TFT", farpointv1.PublishedDraining},
		{endpoint.InUse, drains, true, "TTT", farpointv1.PublishedDraining},
		{endpoint.InUse, ineligible, true, "FFF", farpointv1.PublishedStandby},
		{endpoint.Standby, ineligible, true, "FFF", farpointv1.PublishedStandby},
		{endpoint.Draining, ineligible, true, "FFT", farpointv1.PublishedDraining},
		{endpoint.Disabled, unknown, true, "FFF", farpointv1.PublishedDisabled},
		{endpoint.Standby, healthy, true, "FFF", farpointv1.PublishedStandby},
		{endpoint.FailOpen, unhealthy, true, "TTF", farpointv1.PublishedFailOpen},
	}
	for _, test := range tests {
		of := &endpoint.Verdict{Role: test.role, Health: health.New(test.health)}
		c := of.Conditions(test.notReady)
		if got := fixtures.Letter(c.Ready) + fixtures.Letter(c.Serving) + fixtures.Letter(c.Terminating); got != test.want {
			t.Errorf("role %d, %v, publishNotReadyAddresses %v: %s, want %s", test.role, test.health, test.notReady, got, test.want)
		}
		if got := of.Publication(test.notReady); got != test.published {
			t.Errorf("role %d, %v, publishNotReadyAddresses %v: %s, want %s", test.role, test.health, test.notReady, got, test.published)
		}
	}
}
