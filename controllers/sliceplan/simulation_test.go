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

package sliceplan_test

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/availability"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

// simulation is an object whose slices are planned over and over while it is edited, its
// endpoints flip and others meddle with its slices.
type simulation struct {
	endpoints []modelEndpoint
	added     int
	max       int
	options   *farpointv1.EndpointSliceOptions
	service   *corev1.Service
	present   []*discoveryv1.EndpointSlice
	writes    int
	trigger   time.Time
}

type modelEndpoint struct {
	farpointv1.Endpoint
	port   int32
	health health.State
}

// choices are decided by bytes, so that a fuzzer can make them.
type choices struct{ bytes []byte }

func (c *choices) of(n int) int {
	if len(c.bytes) == 0 || n < 2 {
		return 0
	}
	chosen := int(c.bytes[0]) % n
	c.bytes = c.bytes[1:]
	return chosen
}

func newSimulation() *simulation {
	return &simulation{max: 4, service: fixtures.Service(), options: &farpointv1.EndpointSliceOptions{Annotations: map[string]farpointv1.AnnotationValue{"note": "ours"}}, trigger: fixtures.Noon.Time}
}

var modelZones = []string{"", "a", "b", "c"}

// edits are what may happen between two plans. calm ones change only which endpoints there are
// and their health.
var edits = []struct {
	name string
	calm bool
	do   func(*simulation, *choices)
}{
	{"add", true, (*simulation).add},
	{"add", true, (*simulation).add}, // twice as often as the others
	{"remove", true, func(m *simulation, c *choices) {
		for range min(1+c.of(6), len(m.endpoints)) {
			at := c.of(len(m.endpoints))
			m.endpoints = slices.Delete(slices.Clone(m.endpoints), at, at+1)
		}
	}},
	{"flip", true, func(m *simulation, c *choices) {
		m.one(c, func(e *modelEndpoint) { e.health = (e.health + 1 + health.State(c.of(3))) % 4 })
	}},
	{"state", true, func(m *simulation, c *choices) {
		states := []farpointv1.EndpointState{farpointv1.EndpointActive, farpointv1.EndpointDraining, farpointv1.EndpointDisabled}
		m.one(c, func(e *modelEndpoint) { e.State = states[c.of(3)] })
	}},
	{"port", false, func(m *simulation, c *choices) {
		m.one(c, func(e *modelEndpoint) { e.port = 8080 + int32(c.of(3)) })
	}},
	{"all ports", false, func(m *simulation, c *choices) {
		port := 8080 + int32(c.of(3))
		for i := range m.endpoints {
			m.endpoints[i].port = port
		}
	}},
	{"zone", false, func(m *simulation, c *choices) {
		m.one(c, func(e *modelEndpoint) { e.Zone = modelZones[c.of(4)] })
	}},
	{"all zones", false, func(m *simulation, c *choices) {
		for i := range m.endpoints {
			m.endpoints[i].Zone = modelZones[c.of(4)]
		}
	}},
	{"forZones", false, func(m *simulation, c *choices) {
		m.one(c, func(e *modelEndpoint) { e.ForZones = modelZones[1 : 1+c.of(4)] })
	}},
	{"group by zone", false, func(m *simulation, c *choices) {
		m.options.GroupBy = []farpointv1.SliceGrouping{farpointv1.GroupByNone, farpointv1.GroupByZone}[c.of(2)]
	}},
	{"max", false, func(m *simulation, c *choices) { m.max = 1 + c.of(8) }},
	{"order", false, func(m *simulation, c *choices) {
		at := c.of(max(len(m.endpoints), 1))
		m.endpoints = slices.Concat(m.endpoints[at:], m.endpoints[:at])
	}},
	{"service label", false, func(m *simulation, c *choices) { m.service.Labels = map[string]string{"team": fmt.Sprint(c.of(5))} }},
	{"distribution", false, func(m *simulation, c *choices) {
		m.service.Spec.TrafficDistribution = [](*string){nil, ptr.To("PreferSameZone")}[c.of(2)]
	}},
	{"not ready, too", false, func(m *simulation, c *choices) { m.service.Spec.PublishNotReadyAddresses = c.of(2) == 1 }},
	{"meddling", false, (*simulation).meddle},
}

func (m *simulation) add(c *choices) {
	for range 1 + c.of(9) {
		m.added++
		address := netip.AddrFrom4([4]byte{192, 0, 2, byte(m.added)}) // they come back after 255
		if c.of(5) == 4 {
			address = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(m.added)})
		}
		next := modelEndpoint{port: 8080, health: health.State(c.of(4))}
		next.Address, next.Zone = address.String(), modelZones[c.of(2)]
		next.Hostname = fmt.Sprintf("db-%d", m.added)
		if !slices.ContainsFunc(m.endpoints, func(e modelEndpoint) bool { return e.Address == next.Address }) {
			m.endpoints = append(slices.Clone(m.endpoints), next)
		}
	}
}

func (m *simulation) one(c *choices, change func(*modelEndpoint)) {
	if len(m.endpoints) > 0 {
		m.endpoints = slices.Clone(m.endpoints)
		change(&m.endpoints[c.of(len(m.endpoints))])
	}
}

// meddle edits a slice as others may do by hand.
func (m *simulation) meddle(c *choices) {
	if len(m.present) == 0 {
		return
	}
	at := c.of(len(m.present))
	slice := m.present[at].DeepCopy()
	endpoint := &slice.Endpoints[c.of(len(slice.Endpoints))]
	other := m.present[c.of(len(m.present))].Endpoints
	switch c.of(9) {
	case 0:
		m.present = slices.Delete(slices.Clone(m.present), at, at+1)
		return
	case 1:
		slice.Endpoints = slice.Endpoints[:len(slice.Endpoints)-1]
	case 2:
		slice.Endpoints = append(slice.Endpoints, *other[0].DeepCopy()) // of another family, perhaps
	case 3:
		endpoint.Conditions = discoveryv1.EndpointConditions{}
	case 8:
		endpoint.TargetRef = &corev1.ObjectReference{Kind: "Pod", Name: "x"}
	case 4:
		endpoint.Hints = &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: "x"}}}
	case 5:
		slice.Labels[corev1.LabelTopologyZone] = modelZones[c.of(4)]
	case 6:
		*slice.Ports[0].Port = 8080 + int32(c.of(3))
	case 7:
		slice.OwnerReferences, slice.Annotations = nil, map[string]string{"note": "mine"}
	}
	m.present = slices.Clone(m.present)
	m.present[at] = slice
}

// wants returns new objects each time, so that changes by a planner show.
func (m *simulation) wants() sliceplan.Wants {
	wants := sliceplan.Wants{Owner: fixtures.Owner(), Service: m.service.DeepCopy(), MaxEndpoints: m.max, Trigger: m.trigger}
	wants.Owner.Spec.EndpointSlices = m.options.DeepCopy()
	ports := map[int32]*endpoint.PortSet{}
	for _, e := range m.endpoints {
		if ports[e.port] == nil {
			ports[e.port] = fixtures.HTTPPort(e.port)
		}
		v := fixtures.Healthy(e.Address, ports[e.port])
		v.Spec, v.Health = e.DeepCopy(), health.New(e.health)
		v.Role = availability.RoleOf(&v, endpoint.LastTier)
		wants.Endpoints = append(wants.Endpoints, v)
	}
	wants.Hints = sliceplan.DecideHints(wants.Service, wants.Endpoints).Hints
	return wants
}
