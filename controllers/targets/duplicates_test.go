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

package targets_test

import (
	"slices"
	"testing"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/test/fixtures"
)

// acceptedNames returns the names of the accepted endpoints.
func acceptedNames(of targets.Targets) []string {
	var names []string
	for _, endpoint := range of.Accepted {
		names = append(names, endpoint.Name)
	}
	return names
}

func TestKeys_RejectedEndpoint_LeavesItsKeyToAValidOne(t *testing.T) {
	good := fixtures.At("192.0.2.1", 8080)
	with := func(change func(*farpointv1.Endpoint)) farpointv1.Endpoint {
		changed := fixtures.At("192.0.2.1", 8080)
		change(&changed)
		return changed
	}
	tests := map[string]struct {
		bad    farpointv1.Endpoint
		reason string
	}{
		"URL":  {with(func(e *farpointv1.Endpoint) { e.HealthCheckURL = "ftp://192.0.2.1/" }), farpointv1.InvalidHealthCheckURLReason},
		"zone": {with(func(e *farpointv1.Endpoint) { e.Zone = "eu central" }), farpointv1.InvalidTopologyReason},
		"ports": {with(func(e *farpointv1.Endpoint) {
			e.Ports = []farpointv1.EndpointPort{{Port: 8080}, {Port: 0}}
			e.Port = nil
		}), farpointv1.InvalidPortReason},
		"duplicate with another port besides": {
			with(func(e *farpointv1.Endpoint) {
				e.Ports = []farpointv1.EndpointPort{{Name: "a", Port: 8080}, {Name: "b", Port: 9090}}
				e.Port = nil
			}), "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.reason == "" {
				got := fixtures.Planned(t, farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{good, test.bad, fixtures.At("192.0.2.1", 9090)}}, nil)
				if names := acceptedNames(got); !slices.Equal(names, []string{"192.0.2.1:8080", "192.0.2.1:9090"}) {
					t.Errorf("accepted %v, rejected %v", names, got.Rejected)
				}
				return
			}
			for i, spec := range [][]farpointv1.Endpoint{{test.bad, good}, {good, test.bad}} {
				got := fixtures.Planned(t, farpointv1.ExternalServiceSpec{Endpoints: spec}, fixtures.OnePort)
				if names := acceptedNames(got); !slices.Equal(names, []string{"192.0.2.1:8080"}) || got.Accepted[0].Index != 1-i || got.Rejected[i].Reason != test.reason {
					t.Errorf("with the bad one at %d: accepted %v, rejected %v", i, names, got.Rejected)
				}
			}
		})
	}
}
