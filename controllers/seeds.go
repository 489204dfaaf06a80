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
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes"
)

// seeds are what was published and said of endpoints before, from which an operator goes
// on that has just started or taken over, so that this changes nothing. What the slices
// say is what clients follow; but several things look the same there, such as a standby
// that is healthy and one that is not. The status tells them apart.
type seeds struct {
	existing  []*discoveryv1.EndpointSlice
	published map[place]endpointConditions
	status    *farpointv1.ExternalServiceStatus
	told      toldBefore
}

func seedsFrom(existing []*discoveryv1.EndpointSlice, status *farpointv1.ExternalServiceStatus) *seeds {
	places := 0
	for _, slice := range existing {
		places += len(slice.Endpoints) * len(slice.Ports)
	}
	read := &seeds{existing: existing, published: make(map[place]endpointConditions, places), status: status, told: toldBefore{list: status.Endpoints}}
	for _, slice := range existing {
		for i := range slice.Endpoints {
			read.note(&slice.Endpoints[i], slice.Ports)
		}
	}
	return read
}

func (s *seeds) note(published *discoveryv1.Endpoint, ports []discoveryv1.EndpointPort) {
	if len(published.Addresses) == 0 || published.Conditions.Serving == nil {
		return
	}
	said := endpointConditions{
		ready:       ptr.Deref(published.Conditions.Ready, false),
		serving:     *published.Conditions.Serving,
		terminating: ptr.Deref(published.Conditions.Terminating, false),
	}
	for _, port := range ports {
		s.published[publishedHost(published.Addresses[0]).place(port)] = said
	}
}

// said is what the slices say of an endpoint, at any of its places, so that adding a port
// to an endpoint, or naming another one first, forgets nothing.
func (s *seeds) said(of *endpoint) (endpointConditions, bool) {
	for _, port := range of.ports.ports {
		if said, ok := s.published[of.host().place(port)]; ok {
			return said, true
		}
	}
	return endpointConditions{}, false
}

// of is the verdict on an endpoint that has been published: that of the status if it
// speaks of what the slices say, and is not older.
func (s *seeds) of(endpoint *endpoint) (probes.State, bool) {
	said, ok := s.said(endpoint)
	if !ok {
		return probes.StateUnknown, false
	}
	if told := s.told.find(endpoint.index, endpoint.name); told != nil && agrees(told, said) {
		return stateFor(told.Health), true
	}
	switch {
	// It is active and the slices say otherwise: by its own word, as far as anybody knows.
	case said.serving && said.terminating && stateOf(endpoint.spec) == farpointv1.EndpointActive:
		return probes.StateDraining, true
	case said.serving:
		return probes.StateHealthy, true
	}
	return probes.StateUnhealthy, true
}

// agrees tells whether slices say this of an endpoint with this status.
func agrees(told *farpointv1.EndpointStatus, said endpointConditions) bool {
	switch told.Published {
	case "":
		return false
	case farpointv1.PublishedReady, farpointv1.PublishedFailOpen:
		return said == endpointConditions{ready: true, serving: true}
	case farpointv1.PublishedAlways:
		return said == endpointConditions{ready: true}
	case farpointv1.PublishedDraining:
		return said.terminating && said.serving == stateFor(told.Health).Serves()
	}
	return said == endpointConditions{}
}

// before is what was in force.
func (s *seeds) before() before {
	return before{
		tier:        s.status.Tier,
		failingOpen: meta.IsStatusConditionTrue(s.status.Conditions, farpointv1.FailOpenCondition),
		wasReady:    s.wasReady,
	}
}

// wasReady asks the status first, which nobody edits by mistake as they do slices.
func (s *seeds) wasReady(of *verdict) bool {
	if told := s.told.find(of.index, of.name); told != nil && told.Published != "" {
		return told.Published == farpointv1.PublishedReady || told.Published == farpointv1.PublishedFailOpen
	}
	said, _ := s.said(of.endpoint)
	return said.ready && said.serving
}
