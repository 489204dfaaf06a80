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

package main

import (
	"slices"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

func sliceOf(name, service string, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   endpoints,
	}
}

func endpoint(address string, ready, serving, terminating *bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{
		Addresses:  []string{address},
		Conditions: discoveryv1.EndpointConditions{Ready: ready, Serving: serving, Terminating: terminating},
	}
}

func texts(changes []change) []string {
	var all []string
	for _, each := range changes {
		all = append(all, each.source+": "+each.text)
	}
	return all
}

func TestWorldFollowsSlices(t *testing.T) {
	yes, no := new(true), new(false)
	w := newWorld()
	steps := []struct {
		what string
		sighting
		want []string
	}{
		{"new", sighting{object: sliceOf("s-0", name, endpoint("192.0.2.10", no, no, no), endpoint("192.0.2.20", yes, yes, no))}, []string{
			"slice: EndpointSlice s-0 (IPv4) is new",
			"slice: 192.0.2.10 ready=false serving=false terminating=false",
			"slice: 192.0.2.20 ready=true serving=true terminating=false",
		}},
		{"one endpoint flips", sighting{object: sliceOf("s-0", name, endpoint("192.0.2.10", yes, yes, no), endpoint("192.0.2.20", yes, yes, no))}, []string{
			"slice: 192.0.2.10 ready=true serving=true terminating=false",
		}},
		{"nothing changes", sighting{object: sliceOf("s-0", name, endpoint("192.0.2.10", yes, yes, no), endpoint("192.0.2.20", yes, yes, no))}, nil},
		{"somebody unsets a condition", sighting{object: sliceOf("s-0", name, endpoint("192.0.2.10", nil, yes, no), endpoint("192.0.2.20", yes, yes, no))}, []string{
			"slice: 192.0.2.10 ready=unset serving=true terminating=false",
		}},
		{"another Service's", sighting{object: sliceOf("t-0", "other", endpoint("192.0.2.99", yes, yes, no))}, nil},
		{"somebody takes the label away", sighting{object: sliceOf("s-0", "", endpoint("192.0.2.10", yes, yes, no))}, []string{"slice: EndpointSlice s-0 is gone"}},
		{"deleted after that", sighting{object: sliceOf("s-0", "", endpoint("192.0.2.10", yes, yes, no)), gone: true}, nil},
	}
	for _, step := range steps {
		if got := texts(w.observe(step.sighting)); !slices.Equal(got, step.want) {
			t.Errorf("%s: %q; want %q", step.what, got, step.want)
		}
	}
	if _, ok := w.conditions("192.0.2.10"); ok {
		t.Error("an endpoint is known without a slice")
	}
}

func TestWorldFindsConditionsAndHealth(t *testing.T) {
	yes, no := new(true), new(false)
	w := newWorld()
	w.observe(sighting{at: time.Unix(1, 0), object: sliceOf("s-0", name, endpoint("192.0.2.10", yes, yes, no))})
	w.observe(sighting{at: time.Unix(1, 0), object: sliceOf("s-1", name, endpoint("2001:db8::10", no, no, no))})
	w.observe(sighting{object: &farpointv1.ExternalService{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: farpointv1.ExternalServiceStatus{Endpoints: []farpointv1.EndpointStatus{
			{Address: "192.0.2.10", Health: farpointv1.EndpointHealthy},
			{Address: "2001:db8::10", Health: farpointv1.EndpointUnhealthy, Reason: "ConnectionRefused"},
		}},
	}})
	for address, want := range map[string]struct {
		conditions
		health string
	}{
		"192.0.2.10":   {alive, "Healthy"},
		"2001:db8::10": {dead, "ConnectionRefused"},
	} {
		if got, ok := w.conditions(address); !ok || got != want.conditions {
			t.Errorf("%s: %v, %v; want %v", address, got, ok, want.conditions)
		}
		if got := w.health(address); got != want.health {
			t.Errorf("%s: health %q; want %q", address, got, want.health)
		}
	}
	w.observe(sighting{object: &farpointv1.ExternalService{ObjectMeta: metav1.ObjectMeta{Name: name}}, gone: true})
	if got := w.health("192.0.2.10"); got != "" {
		t.Errorf("health %q without an object", got)
	}
}

func TestWorldTellsEventsOfTheObjectOnly(t *testing.T) {
	event := &eventsv1.Event{Type: "Warning", Reason: "EndpointUnhealthy", Note: "Endpoint 192.0.2.10:8080 is unhealthy"}
	w := newWorld()
	if got := w.observe(sighting{object: event}); got != nil {
		t.Errorf("told of another object's Event: %v", got)
	}
	event.Regarding.Name = name
	want := []string{"event: Warning EndpointUnhealthy: Endpoint 192.0.2.10:8080 is unhealthy"}
	if got := texts(w.observe(sighting{object: event})); !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
}

func TestWorldListsWithoutTheAge(t *testing.T) {
	heads := []string{"NAME", "SERVICE", "ENDPOINTS", "AVAILABLE", "AGE"}
	w := newWorld()
	want := []string{"extsvc: ENDPOINTS 4/4  AVAILABLE True"}
	if got := texts(w.list(listing{heads, []string{"a", "a", "4/4", "True", "1s"}})); !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
	if got := w.list(listing{heads, []string{"a", "a", "4/4", "True", "2s"}}); got != nil {
		t.Errorf("told of the age: %v", got)
	}
	if w.listed.cells[4] != "2s" {
		t.Error("the age to show is the old one")
	}
	if got := w.list(listing{}); got != nil {
		t.Errorf("told of nothing: %v", got)
	}
}

func TestListingOfShowsWhatKubectlShows(t *testing.T) {
	table := &metav1.Table{
		ColumnDefinitions: []metav1.TableColumnDefinition{{Name: "Name"}, {Name: "Endpoints"}, {Name: "URL", Priority: 1}, {Name: "Age"}},
		Rows:              []metav1.TableRow{{Cells: []any{"legacy-api", nil, "http:///health", "5s"}}},
	}
	got := listingOf(table)
	if !slices.Equal(got.heads, []string{"NAME", "ENDPOINTS", "AGE"}) || !slices.Equal(got.cells, []string{"legacy-api", "", "5s"}) {
		t.Errorf("got %q", got)
	}
	if got := listingOf(&metav1.Table{ColumnDefinitions: table.ColumnDefinitions}); got.heads != nil {
		t.Errorf("without a row: %q", got)
	}
}
