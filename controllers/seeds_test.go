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
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes"
)

func TestSeedsWithoutAStatus(t *testing.T) {
	yes, no := true, false
	slice := &discoveryv1.EndpointSlice{
		Ports: httpPort(8080).ports,
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
	known := seedsFrom([]*discoveryv1.EndpointSlice{slice}, &farpointv1.ExternalServiceStatus{})
	byHand := at("192.0.2.5", 8080)
	byHand.State = farpointv1.EndpointDraining
	accepted := planned(t, farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{
		at("192.0.2.1", 8080), at("192.0.2.2", 8080), at("192.0.2.3", 8080), at("192.0.2.1", 80),
		{Address: "192.0.2.1", HealthCheckURL: "tcp://", Ports: []farpointv1.EndpointPort{{Name: "new", Port: 9}}},
		at("192.0.2.4", 8080), byHand,
	}}, onePort).accepted
	want := []probes.State{
		probes.StateHealthy, probes.StateUnhealthy, probes.StateUnknown, probes.StateUnknown, probes.StateUnknown,
		probes.StateDraining, probes.StateHealthy, // by its own word, and by hand
	}
	for i := range accepted {
		if state, _ := known.of(&accepted[i]); state != want[i] {
			t.Errorf("%s is seeded %v, want %v", accepted[i].name, state, want[i])
		}
	}
}

// What is published does not always show the health: the status knows it, as far as it
// speaks of what is published.
func TestSeedsTakeFromTheStatusWhatTheSlicesDoNotTell(t *testing.T) {
	const standby, opened, notReady, ready = farpointv1.PublishedStandby, farpointv1.PublishedFailOpen, farpointv1.PublishedNotReady, farpointv1.PublishedReady
	const healthy, unhealthy, unknown = farpointv1.EndpointHealthy, farpointv1.EndpointUnhealthy, farpointv1.EndpointHealthUnknown
	tests := []struct {
		name      string
		slice     string // ready, serving, terminating
		published farpointv1.EndpointPublication
		health    farpointv1.EndpointHealth
		want      probes.State
		wasReady  bool
	}{
		{"a healthy standby", "FFF", standby, healthy, probes.StateHealthy, false},
		{"an unhealthy standby", "FFF", standby, unhealthy, probes.StateUnhealthy, false},
		{"a new standby", "FFF", standby, unknown, probes.StateUnknown, false},
		{"unhealthy, but open", "TTF", opened, unhealthy, probes.StateUnhealthy, true},
		{"new, but open", "TTF", opened, unknown, probes.StateUnknown, true},
		{"new", "FFF", notReady, unknown, probes.StateUnknown, false},
		{"unhealthy", "FFF", notReady, unhealthy, probes.StateUnhealthy, false},
		{"healthy", "TTF", ready, healthy, probes.StateHealthy, true},
		{"always published", "TFF", farpointv1.PublishedAlways, unhealthy, probes.StateUnhealthy, false},
		{"draining", "FTT", farpointv1.PublishedDraining, healthy, probes.StateHealthy, false},
		{"draining and always published", "TTT", farpointv1.PublishedDraining, healthy, probes.StateHealthy, false},
		{"draining and new", "FFT", farpointv1.PublishedDraining, unknown, probes.StateUnknown, false},
		{"disabled", "FFF", farpointv1.PublishedDisabled, unknown, probes.StateUnknown, false},
		{"the status is older: it died", "FFF", ready, healthy, probes.StateUnhealthy, true},
		{"the status is older: it came back", "TTF", notReady, unhealthy, probes.StateHealthy, false},
		{"draining by its own word", "FTT", farpointv1.PublishedDraining, farpointv1.EndpointHealthDraining, probes.StateDraining, false},
		{"the same and always published", "TTT", farpointv1.PublishedDraining, farpointv1.EndpointHealthDraining, probes.StateDraining, false},
		{"the same on standby", "FFF", standby, farpointv1.EndpointHealthDraining, probes.StateDraining, false},
		{"the same, but open", "TTF", opened, farpointv1.EndpointHealthDraining, probes.StateDraining, true},
		{"the status is older: it began to drain", "FTT", ready, healthy, probes.StateDraining, true},
		{"the status is older: it drained and died", "FFF", farpointv1.PublishedDraining, farpointv1.EndpointHealthDraining, probes.StateUnhealthy, false},
		{"the status is older: its drain has ended well", "TTF", farpointv1.PublishedDraining, unhealthy, probes.StateHealthy, false},
		{"the status is of an operator that did not know", "FFF", "", unknown, probes.StateUnhealthy, false},
		{"the same, and it was ready", "TTF", "", healthy, probes.StateHealthy, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			said := func(i int) *bool { return new(test.slice[i] == 'T') }
			slice := &discoveryv1.EndpointSlice{Ports: httpPort(8080).ports, Endpoints: []discoveryv1.Endpoint{{
				Addresses: []string{"192.0.2.1"}, Conditions: discoveryv1.EndpointConditions{Ready: said(0), Serving: said(1), Terminating: said(2)},
			}}}
			status := &farpointv1.ExternalServiceStatus{Endpoints: []farpointv1.EndpointStatus{
				{Name: "192.0.2.9:8080", Health: healthy, Published: ready}, // it has been removed since
				{Name: "192.0.2.1:8080", Health: test.health, Published: test.published},
			}}
			read := seedsFrom([]*discoveryv1.EndpointSlice{slice}, status)
			of := &planned(t, farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{at("192.0.2.1", 8080)}}, onePort).accepted[0]
			if state, ok := read.of(of); state != test.want || !ok {
				t.Errorf("is seeded %v, want %v", state, test.want)
			}
			if got := read.wasReady(&verdict{endpoint: of}); got != test.wasReady {
				t.Errorf("was ready: %v, want %v", got, test.wasReady)
			}
		})
	}
}

// Who deletes the slices does not make the operator forget what was healthy last, but a
// verdict needs a new probe.
func TestSeedsWithoutSlices(t *testing.T) {
	status := &farpointv1.ExternalServiceStatus{
		Tier:       3,
		Conditions: []metav1.Condition{{Type: farpointv1.FailOpenCondition, Status: metav1.ConditionTrue}},
		Endpoints:  []farpointv1.EndpointStatus{{Name: "192.0.2.1:8080", Health: farpointv1.EndpointUnhealthy, Published: farpointv1.PublishedFailOpen}},
	}
	read := seedsFrom(nil, status)
	of := &planned(t, farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{at("192.0.2.1", 8080)}}, onePort).accepted[0]
	if state, ok := read.of(of); ok {
		t.Errorf("is seeded %v", state)
	}
	if was := read.before(); !was.wasReady(&verdict{endpoint: of}) || !was.failingOpen || was.tier != 3 {
		t.Errorf("was ready %v, failing open %v, tier %d", was.wasReady(&verdict{endpoint: of}), was.failingOpen, was.tier)
	}
}
