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
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/test/fixtures"
)

// acceptedNames are the endpoints that get their places.
func acceptedNames(of targets.Targets) []string {
	var names []string
	for _, endpoint := range of.Accepted {
		names = append(names, endpoint.Name)
	}
	return names
}

func TestPlaces_RejectedEndpoint_LeavesItsPlaceToAValidOne(t *testing.T) {
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

// One that was published goes on as before, unless a valid one takes its place.
func TestPlaces_HeldEndpoint_LeavesItsPlaceToAValidOne(t *testing.T) {
	w := newWorld(t)
	w.object.Spec.Endpoints = []farpointv1.Endpoint{fixtures.At("192.0.2.1", 8080)}
	w.verdicts = map[string]probes.State{"192.0.2.1:8080": probes.StateHealthy}
	w.look()
	w.object.Spec.Endpoints[0].HealthCheckURL = "ftp://192.0.2.1/"
	w.object.Spec.Endpoints = append(w.object.Spec.Endpoints, fixtures.At("192.0.2.1", 8080))
	w.look()
	rows := w.object.Status.Endpoints
	if len(rows) != 2 || rows[0].Name != "endpoints[0]" || rows[0].Reason != farpointv1.InvalidHealthCheckURLReason || rows[1].Name != "192.0.2.1:8080" || rows[1].Health != farpointv1.EndpointHealthy {
		t.Errorf("%+v", rows)
	}
	if got := w.published(); got["192.0.2.1:8080"] != "TTF" {
		t.Errorf("published %v", got)
	}
}

func TestPlaces_NameBesideARejectedAddress_IsPublished(t *testing.T) {
	w := namedWorld(t, "192.0.2.1", "db.example")
	w.object.Spec.Endpoints[0].HealthCheckURL = "ftp://192.0.2.1/"
	w.names.host("db.example", "192.0.2.1")
	w.verdicts = map[string]health.State{"192.0.2.1:8080": health.StateHealthy}
	w.look()
	w.expect("the name's", map[string]string{"192.0.2.1:8080": "TTF"}, "True NamesResolved")
	if rows := w.object.Status.Endpoints; len(rows) != 2 || rows[0].Health != farpointv1.EndpointRejected || rows[1].ResolvedFrom != "db.example" {
		t.Errorf("%+v", rows)
	}
	w.restart()
}

func TestPlaces_SameNameWithOtherPorts_IsPublishedWithBoth(t *testing.T) {
	w := namedWorld(t, "db.example", "db.example")
	w.service.Spec.Ports = nil
	for i, port := range []int32{5432, 6432} {
		w.object.Spec.Endpoints[i].Port = &port
	}
	w.names.host("db.example", "192.0.2.1", "192.0.2.2")
	for _, name := range []string{"192.0.2.1:5432", "192.0.2.2:5432", "192.0.2.1:6432", "192.0.2.2:6432"} {
		w.verdicts[name] = health.StateHealthy
	}
	all := map[string]string{"192.0.2.1:5432": "TTF", "192.0.2.2:5432": "TTF", "192.0.2.1:6432": "TTF", "192.0.2.2:6432": "TTF"}
	w.look()
	w.expect("at first", all, "True NamesResolved")
	w.names.fail = resolver.LookupTimeout
	w.look()
	w.restart()
	w.expect("after a restart in an outage of name servers", all, "False NameServerTimeout")
	if rows := w.object.Status.Endpoints; len(rows) != 4 {
		t.Errorf("%+v", rows)
	}
}

func TestPlaces_NameBesideItsOwnAddress_IsNoDuplicate(t *testing.T) {
	for _, order := range [][]string{{"db.example", "192.0.2.1"}, {"192.0.2.1", "db.example"}} {
		w := namedWorld(t, order...)
		w.names.host("db.example", "192.0.2.1", "192.0.2.2")
		w.verdicts = map[string]health.State{"192.0.2.1:8080": health.StateHealthy, "192.0.2.2:8080": health.StateHealthy}
		w.look()
		w.expect("with a second address", map[string]string{"192.0.2.1:8080": "TTF", "192.0.2.2:8080": "TTF"}, "True NamesResolved")
		if status := w.object.Status; status.ReadyEndpoints != "2/2" || w.condition(farpointv1.ReadyCondition) != "True Published" {
			t.Errorf("%v: %+v", order, status)
		}
		w.restart()

		w.names.host("db.example", "192.0.2.1")
		w.object.Spec.Availability.DrainPeriod = nil
		w.look()
		if status := w.object.Status; status.ReadyEndpoints != "1/1" || w.condition(farpointv1.ReadyCondition) != "True Published" {
			t.Errorf("%v: %+v", order, status)
		}
		said := meta.FindStatusCondition(w.object.Status.Conditions, farpointv1.AddressesResolvedCondition).Message
		if !strings.Contains(said, "(db.example) adds no address to spec.endpoints[") {
			t.Errorf("%v: AddressesResolved says %q, and nothing of the name", order, said)
		}
	}
}

func TestPlaces_NameTwiceWithTheSamePort_IsSaid(t *testing.T) {
	w := namedWorld(t, "db.example", "db.example")
	w.names.host("db.example", "192.0.2.1", "192.0.2.2")
	w.look()
	if said := meta.FindStatusCondition(w.object.Status.Conditions, farpointv1.AddressesResolvedCondition).Message; !strings.HasSuffix(said, "; spec.endpoints[1] (db.example) adds no address to spec.endpoints[0]") {
		t.Errorf("AddressesResolved says %q", said)
	}
}
