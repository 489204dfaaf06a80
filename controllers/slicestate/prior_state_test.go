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

package slicestate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

func TestPrior_SliceWithoutAnnotation_UsesConditions(t *testing.T) {
	yes, no := true, false
	slice := &discoveryv1.EndpointSlice{
		Ports: fixtures.HTTPPort(8080).Ports,
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"192.0.2.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &no, Serving: &yes}},
			{Addresses: []string{"192.0.2.2"}, Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &no}},
			{Addresses: []string{"192.0.2.3"}},
			{Addresses: []string{"192.0.2.4"}, Conditions: discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}},
			{Addresses: []string{"192.0.2.5"}, Conditions: discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}},
			{Addresses: []string{"no address"}, Conditions: discoveryv1.EndpointConditions{Serving: &yes}},
			{},
		},
	}
	known := slicestate.Read([]*discoveryv1.EndpointSlice{slice})
	byHand := fixtures.At("192.0.2.5", 8080)
	byHand.State = farpointv1.EndpointDraining
	accepted := fixtures.Planned(t, farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{
		fixtures.At("192.0.2.1", 8080), fixtures.At("192.0.2.2", 8080), fixtures.At("192.0.2.3", 8080), fixtures.At("192.0.2.1", 80),
		{Address: "192.0.2.1", HealthCheckURL: "tcp://", Ports: []farpointv1.EndpointPort{{Name: "new", Port: 9}}},
		fixtures.At("192.0.2.4", 8080), byHand,
	}}, fixtures.OnePort).Accepted
	want := []health.State{
		health.StateHealthy, health.StateUnhealthy, health.StateUnknown, health.StateUnknown, health.StateUnknown,
		health.StateDraining, health.StateHealthy, // by its own word, and by hand
	}
	for i := range accepted {
		if state, _ := known.State(&accepted[i]); state != want[i] {
			t.Errorf("%s is seeded %v, want %v", accepted[i].Name, state, want[i])
		}
	}
}

// Whatever an endpoint is published as, with whatever verdict: its slice alone says both.
func TestPrior_AnyRoleAndVerdict_AreReadBack(t *testing.T) {
	states := []health.State{health.StateUnknown, health.StateHealthy, health.StateUnhealthy, health.StateDraining, health.StateIneligible}
	for _, publishNotReady := range []bool{false, true} {
		for _, given := range []endpoint.Role{endpoint.InUse, endpoint.FailOpen, endpoint.Standby, endpoint.Draining, endpoint.Disabled} {
			for _, state := range states {
				if given == endpoint.FailOpen && state == health.StateHealthy || given == endpoint.Disabled && state != health.StateUnknown {
					continue // there is no such thing
				}
				endpoints := fixtures.Numbered(2)
				endpoints[0].Role, endpoints[0].Health = given, health.New(state)
				if state == health.StateUnhealthy {
					endpoints[0].Health.Cause.Reason = probes.ReasonTimeout
				}
				if given == endpoint.Draining {
					endpoints[0].Spec = &farpointv1.Endpoint{State: farpointv1.EndpointDraining}
				}
				wants := fixtures.Wants(endpoints)
				wants.Service.Spec.PublishNotReadyAddresses = publishNotReady
				_, written := fixtures.PlanAndApply(t, wants, nil)
				what := fmt.Sprintf("role %d, %v, publishNotReadyAddresses %v", given, state, publishNotReady)
				read := slicestate.Read(written)
				published, ok := read.At(endpoints[0].Endpoint, endpoints[0].Ports.First())
				if prior, _ := read.State(endpoints[0].Endpoint); !ok || published.State != state || prior != state {
					t.Errorf("%s: read back as %+v", what, published)
				}
				if published.FailedOpen() != (given == endpoint.FailOpen) {
					t.Errorf("%s: failed open %v", what, published.FailedOpen())
				}
				if got, want := published.Role == endpoint.InUse, given != endpoint.Standby && given != endpoint.Disabled; got != want {
					t.Errorf("%s: in use %v", what, got)
				}
				if reason := read.Reason(endpoints[0].Endpoint, state); (given == endpoint.Standby || given == endpoint.FailOpen) && state == health.StateUnhealthy && reason != "Timeout" {
					t.Errorf("%s: the reason is %q", what, reason)
				}
				if other, _ := read.Find(endpoints[1].Endpoint); other.State != health.StateHealthy || other.Role != endpoint.InUse {
					t.Errorf("%s: another endpoint is read back as %+v", what, other)
				}
			}
		}
	}
}

// People who can edit slices can write anything into the annotation.
func TestPrior_GarbageInAnnotation_IsIgnored(t *testing.T) {
	const sum = "0123456789abcdef"
	for name, text := range map[string]string{
		"nothing":              "",
		"no JSON":              "{",
		"another type":         `[1,2]`,
		"a number for a list":  `{"version":1,"endpoints":7}`,
		"another version":      `{"version":2,"sum":"` + sum + `","endpoints":[{"role":"Standby","health":"Healthy","addresses":["10.0.0.1"]}]}`,
		"huge":                 `{"version":1,"sum":"` + strings.Repeat("x", slicestate.MaxLength) + `"}`,
		"unknown roles":        `{"version":1,"sum":"","endpoints":[{"role":"Root","health":"Healthy","addresses":["10.0.0.1"]}]}`,
		"a standby with T T F": `{"version":1,"sum":"","endpoints":[{"role":"Standby","health":"Unhealthy","addresses":["10.0.0.2"]}]}`,
		"no such endpoint":     `{"version":1,"sum":"","endpoints":[{"health":"Healthy","addresses":["10.9.9.9", "", "x", "::"]}],"drains":[{"until":"9999-01-01T00:00:00Z","addresses":["10.0.0.1"]}]}`,
		"no names":             `{"version":1,"sum":"","names":[{"name":"..","addresses":["10.0.0.1"]},{"name":"srv://_a._tcp.example","target":"NOT.canonical","addresses":["10.0.0.1"]}]}`,
		"deep":                 strings.Repeat(`{"version":`, 30000),
		"no time":              `{"version":1,"drains":[{"until":"soon","addresses":["10.0.0.1"]}]}`,
	} {
		endpoints := fixtures.Numbered(2)
		endpoints[0].Health = health.New(health.StateUnhealthy)
		_, written := fixtures.PlanAndApply(t, fixtures.Wants(endpoints), nil)
		written[0].Annotations[farpointv1.SliceStateAnnotation] = text
		read := slicestate.Read(written)
		for i, want := range []health.State{health.StateUnhealthy, health.StateHealthy} {
			if published, _ := read.Find(endpoints[i].Endpoint); published.State != want || published.Role != endpoint.InUse || !published.Details().DrainUntil.IsZero() {
				t.Errorf("%s: endpoint %d is read as %+v", name, i, published)
			}
		}
		if records := targets.KnownRecords(read); len(records) > 0 {
			t.Errorf("%s: remembers %v", name, records)
		}
		if plan, _ := fixtures.PlanAndApply(t, fixtures.Wants(endpoints), written); fixtures.Writes(plan) != [3]int{0, 1, 0} {
			t.Errorf("%s: restored by %v writes", name, fixtures.Writes(plan))
		}
	}
}

// The annotation is bounded, and what does not fit into it does not affect the rest.
func TestSliceState_ThousandLongNames_StaysWithinItsBounds(t *testing.T) {
	endpoints := fixtures.Numbered(1000)
	for i := range endpoints {
		v := &endpoints[i]
		if i%2 == 0 {
			v.Role, v.DrainUntil = endpoint.Draining, fixtures.Noon.Add(time.Duration(i)*time.Second)
		}
		long := strings.Repeat(strings.Repeat("x", 60)+".", 3)
		v.Resolved = &endpoint.ResolvedFrom{Address: "srv://_db._tcp." + long + "example", Target: fmt.Sprintf("%sdb%d.example", long, i)}
	}
	wants := fixtures.Wants(endpoints)
	wants.MaxEndpoints = 1000
	_, written := fixtures.PlanAndApply(t, wants, nil)
	text := written[0].Annotations[farpointv1.SliceStateAnnotation]
	if len(text) > slicestate.MaxLength {
		t.Fatalf("%d bytes", len(text))
	}
	if _, ok := slicestate.Parse(text); !ok {
		t.Fatalf("cannot be read: %s", text)
	}
	read := slicestate.Read(written)
	for i := range endpoints {
		if published, _ := read.Find(endpoints[i].Endpoint); i%2 == 0 && !published.Details().DrainUntil.Equal(endpoints[i].DrainUntil.Truncate(time.Second)) {
			t.Fatalf("endpoint %d drains until %v, want %v", i, published.Details().DrainUntil, endpoints[i].DrainUntil)
		}
	}
	if len(targets.KnownRecords(read)) == 0 {
		t.Error("no name is remembered")
	}
}

// A dead standby that fails in another way now writes nothing.
func TestSliceState_OtherReason_WritesNothing(t *testing.T) {
	endpoints := fixtures.Numbered(2)
	endpoints[0].Role, endpoints[0].Health = endpoint.Standby, health.New(health.StateUnhealthy)
	endpoints[0].Health.Cause.Reason = probes.ReasonTimeout
	_, written := fixtures.PlanAndApply(t, fixtures.Wants(endpoints), nil)
	endpoints[0].Health.Cause.Reason = probes.ReasonConnectionRefused
	endpoints[0].WrittenReason = slicestate.Read(written).Reason(endpoints[0].Endpoint, health.StateUnhealthy)
	if plan, _ := fixtures.PlanAndApply(t, fixtures.Wants(endpoints), written); fixtures.Writes(plan) != [3]int{} {
		t.Errorf("%v writes", fixtures.Writes(plan))
	}
}

// One verdict that no condition shows writes one slice of ten.
func TestSliceState_OneStandbyFlips_WritesOneSlice(t *testing.T) {
	endpoints := fixtures.Numbered(1000)
	for i := range endpoints {
		endpoints[i].Role = endpoint.Standby
	}
	_, written := fixtures.PlanAndApply(t, fixtures.Wants(endpoints), nil)
	endpoints[500].Health = health.New(health.StateUnhealthy)
	if plan, _ := fixtures.PlanAndApply(t, fixtures.Wants(endpoints), written); fixtures.Writes(plan) != [3]int{0, 1, 0} {
		t.Errorf("%v writes", fixtures.Writes(plan))
	}
}
