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
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// conditions are those of an endpoint in an EndpointSlice: "true", "false", or "unset"
// where the slice says nothing.
type conditions struct{ ready, serving, terminating string }

var (
	// alive is how an active and healthy endpoint is published.
	alive = conditions{"true", "true", "false"}
	// dead is how an active and unhealthy endpoint is published.
	dead = conditions{"false", "false", "false"}
)

func (c conditions) String() string {
	return fmt.Sprintf("ready=%s serving=%s terminating=%s", c.ready, c.serving, c.terminating)
}

func conditionsOf(endpoint *discoveryv1.Endpoint) conditions {
	text := func(value *bool) string {
		if value == nil {
			return "unset"
		}
		return strconv.FormatBool(*value)
	}
	c := endpoint.Conditions
	return conditions{text(c.Ready), text(c.Serving), text(c.Terminating)}
}

// world is what the API server has told. It is pure: nothing but sightings changes it.
type world struct {
	// object is nil while there is no ExternalService.
	object *farpointv1.ExternalService
	// slices are those of the Service, by name.
	slices map[string]*discoveryv1.EndpointSlice
	// listed is what kubectl get last printed.
	listed listing
}

func newWorld() *world {
	return &world{slices: map[string]*discoveryv1.EndpointSlice{}}
}

// change is a line about something that is different now.
type change struct {
	// source is where it is to be seen: backend, slice, event, extsvc or demo.
	source, text string
	// address is that of the endpoint whose conditions changed, if any did.
	address string
}

// observe takes a sighting into account and tells what it changed.
func (w *world) observe(s sighting) []change {
	switch object := s.object.(type) {
	case *farpointv1.ExternalService:
		return w.observeObject(object, s.gone)
	case *discoveryv1.EndpointSlice:
		return w.observeSlice(object, s.gone)
	case *eventsv1.Event:
		if s.gone || object.Regarding.Name != name {
			return nil
		}
		return []change{{source: "event", text: fmt.Sprintf("%s %s: %s", object.Type, object.Reason, object.Note)}}
	}
	return nil
}

func (w *world) observeObject(object *farpointv1.ExternalService, gone bool) []change {
	if object.Name != name {
		return nil
	}
	if gone {
		w.object = nil
		return []change{{source: "extsvc", text: "deleted: the operator stops probing and removes what it wrote"}}
	}
	w.object = object
	return nil
}

func (w *world) observeSlice(slice *discoveryv1.EndpointSlice, gone bool) []change {
	if slice.Labels[discoveryv1.LabelServiceName] != name {
		gone = true // somebody has taken the label away: it is no slice of the Service
	}
	before := w.slices[slice.Name]
	if gone {
		if before == nil {
			return nil
		}
		delete(w.slices, slice.Name)
		return []change{{source: "slice", text: fmt.Sprintf("EndpointSlice %s is gone", slice.Name)}}
	}
	w.slices[slice.Name] = slice
	var changes []change
	if before == nil {
		changes = append(changes, change{source: "slice", text: fmt.Sprintf("EndpointSlice %s (%s) is new", slice.Name, slice.AddressType)})
	}
	for i := range slice.Endpoints {
		address, is := slice.Endpoints[i].Addresses[0], conditionsOf(&slice.Endpoints[i])
		if was, ok := find(before, address); !ok || was != is {
			changes = append(changes, change{source: "slice", text: fmt.Sprintf("%s %s", address, is), address: address})
		}
	}
	return changes
}

// list takes into account what kubectl get prints.
func (w *world) list(now listing) []change {
	was, is := w.listed.summary(), now.summary()
	w.listed = now
	if was == is || is == "" {
		return nil
	}
	return []change{{source: "extsvc", text: is}}
}

// summary is the listing in one line, without what is always the same and the age.
func (l listing) summary() string {
	var parts []string
	for i, head := range l.heads {
		if !slices.Contains([]string{"NAME", "SERVICE", "AGE"}, head) && l.cells[i] != "" {
			parts = append(parts, head+" "+l.cells[i])
		}
	}
	return strings.Join(parts, "  ")
}

// conditions are what the slices say of an address; false if none has it.
func (w *world) conditions(address string) (conditions, bool) {
	for _, at := range slices.Sorted(maps.Keys(w.slices)) {
		if found, ok := find(w.slices[at], address); ok {
			return found, true
		}
	}
	return conditions{}, false
}

// health is what the ExternalService's status says of an address, in one word.
func (w *world) health(address string) string {
	if w.object == nil {
		return ""
	}
	for i := range w.object.Status.Endpoints {
		endpoint := &w.object.Status.Endpoints[i]
		switch {
		case endpoint.Address != address:
		case endpoint.Reason != "":
			return endpoint.Reason
		default:
			return string(endpoint.Health)
		}
	}
	return ""
}

func find(slice *discoveryv1.EndpointSlice, address string) (conditions, bool) {
	if slice == nil {
		return conditions{}, false
	}
	for i := range slice.Endpoints {
		if slice.Endpoints[i].Addresses[0] == address {
			return conditionsOf(&slice.Endpoints[i]), true
		}
	}
	return conditions{}, false
}
