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
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

func TestPlan_250Endpoints_FillThreeSlices(t *testing.T) {
	endpoints := fixtures.Numbered(250)
	plan, after := fixtures.PlanAndApply(t, fixtures.Wants(endpoints), nil)
	if fixtures.Writes(plan) != [3]int{3, 0, 0} {
		t.Fatalf("create, update, delete = %v, want 3, 0, 0", fixtures.Writes(plan))
	}
	plan, _ = fixtures.PlanAndApply(t, fixtures.Wants(endpoints), after)
	if fixtures.Writes(plan) != [3]int{} {
		t.Fatalf("create, update, delete = %v while nothing changed", fixtures.Writes(plan))
	}
	endpoints[120].Health = health.New(health.StateUnhealthy)
	plan, after = fixtures.PlanAndApply(t, fixtures.Wants(endpoints), after)
	if fixtures.Writes(plan) != [3]int{0, 1, 0} {
		t.Fatalf("create, update, delete = %v for one flip, want one update", fixtures.Writes(plan))
	}
	plan, _ = fixtures.PlanAndApply(t, fixtures.Wants(endpoints), after)
	if fixtures.Writes(plan) != [3]int{} {
		t.Fatalf("create, update, delete = %v after the flip was written", fixtures.Writes(plan))
	}
}

func TestPlan_AddressTypesAndPorts_AreSeparate(t *testing.T) {
	h2c := "kubernetes.io/h2c"
	only := func(name string, protocol corev1.Protocol, appProtocol *string) *endpoint.PortSet {
		return endpoint.NewPortSet([]discoveryv1.EndpointPort{endpoint.NewPort(name, protocol, 80, appProtocol)})
	}
	endpoints := []endpoint.Verdict{
		fixtures.Healthy("192.0.2.1", fixtures.HTTPPort(80)), fixtures.Healthy("192.0.2.2", fixtures.HTTPPort(8080)),
		fixtures.Healthy("2001:db8::1", fixtures.HTTPPort(80)), fixtures.Healthy("192.0.2.3", fixtures.HTTPPort(80)),
		fixtures.Healthy("192.0.2.4", only("https", corev1.ProtocolTCP, nil)), fixtures.Healthy("192.0.2.5", only("http", corev1.ProtocolUDP, nil)), fixtures.Healthy("192.0.2.6", only("http", corev1.ProtocolTCP, &h2c)),
	}
	_, after := fixtures.PlanAndApply(t, fixtures.Wants(endpoints), nil)
	counts := map[string]int{}
	for _, slice := range after {
		port := slice.Ports[0]
		counts[strings.TrimSpace(fmt.Sprintf("%s %s %d/%s %s", slice.AddressType, *port.Name, *port.Port, *port.Protocol, ptr.Deref(port.AppProtocol, "")))] += len(slice.Endpoints)
	}
	if want := map[string]int{
		"IPv4 http 80/TCP": 2, "IPv4 http 8080/TCP": 1, "IPv6 http 80/TCP": 1,
		"IPv4 https 80/TCP": 1, "IPv4 http 80/UDP": 1, "IPv4 http 80/TCP kubernetes.io/h2c": 1,
	}; !maps.Equal(counts, want) {
		t.Errorf("got %v, want %v", counts, want)
	}
}

func TestPlan_GroupByZone(t *testing.T) {
	inZones := func(zones ...string) sliceplan.Wants {
		wants := fixtures.Wants(fixtures.Numbered(len(zones)))
		for i, zone := range zones {
			wants.Endpoints[i].Spec = &farpointv1.Endpoint{Zone: zone}
		}
		wants.Service.Labels = map[string]string{corev1.LabelTopologyZone: "the Service's own"}
		wants.Owner.Spec.EndpointSlices = &farpointv1.EndpointSliceOptions{GroupBy: farpointv1.GroupByZone}
		return wants
	}
	labels := func(present []*discoveryv1.EndpointSlice) map[string]int {
		counts := map[string]int{}
		for _, slice := range present {
			zone, ok := slice.Labels[corev1.LabelTopologyZone]
			if !ok {
				zone = "none"
			}
			counts[zone] += len(slice.Endpoints)
			for i := range slice.Endpoints {
				if of := ptr.Deref(slice.Endpoints[i].Zone, "none"); of != zone && zone != "the Service's own" {
					t.Errorf("an endpoint of zone %s is in a slice of zone %s", of, zone)
				}
			}
		}
		return counts
	}
	wants := inZones("a", "b", "", "a", "b")
	plan, after := fixtures.PlanAndApply(t, wants, nil)
	if got, want := labels(after), map[string]int{"a": 2, "b": 2, "none": 1}; fixtures.Writes(plan) != [3]int{3, 0, 0} || !maps.Equal(got, want) {
		t.Fatalf("create, update, delete = %v, zones %v; want %v", fixtures.Writes(plan), got, want)
	}
	if second, _ := fixtures.PlanAndApply(t, wants, after); fixtures.Writes(second) != [3]int{} {
		t.Errorf("a second plan still has %v", fixtures.Writes(second))
	}
	_, after = fixtures.PlanAndApply(t, inZones("a", "b", "", "b", "b"), after)
	if got, want := labels(after), map[string]int{"a": 1, "b": 3, "none": 1}; !maps.Equal(got, want) {
		t.Errorf("after an endpoint went from a to b: %v, want %v", got, want)
	}
	wants.Owner.Spec.EndpointSlices = nil
	_, after = fixtures.PlanAndApply(t, wants, after)
	if got, want := labels(after), map[string]int{"the Service's own": 5}; !maps.Equal(got, want) {
		t.Errorf("without grouping: %v, want %v", got, want)
	}
}

func TestPlan_ServiceLabels_AreCopied(t *testing.T) {
	wants := fixtures.Wants(fixtures.Numbered(1))
	wants.Service.Spec.ClusterIP = corev1.ClusterIPNone
	wants.Service.Labels = map[string]string{
		"team": "payments", "tier": "silver", corev1.IsHeadlessService: "perhaps",
		discoveryv1.LabelManagedBy: "somebody", discoveryv1.LabelServiceName: "elsewhere",
		farpointv1.OwnerLabel: "another", farpointv1.OwnerNamespaceLabel: "elsewhere",
	}
	wants.Owner.Spec.EndpointSlices = &farpointv1.EndpointSliceOptions{Labels: map[string]farpointv1.LabelValue{"tier": "gold"}}
	want := map[string]string{
		"team": "payments", "tier": "gold", corev1.IsHeadlessService: "",
		discoveryv1.LabelManagedBy: farpointv1.ManagedBy, discoveryv1.LabelServiceName: "legacy", farpointv1.OwnerLabel: "legacy-api",
	}
	_, present := fixtures.PlanAndApply(t, wants, nil)
	if got := present[0].Labels; !maps.Equal(got, want) {
		t.Errorf("labels %v, want %v", got, want)
	}
	wants.Service.Spec.ClusterIP = "10.96.0.1"
	delete(want, corev1.IsHeadlessService)
	if _, present = fixtures.PlanAndApply(t, wants, present); !maps.Equal(present[0].Labels, want) {
		t.Errorf("labels %v once it has an address, want %v", present[0].Labels, want)
	}
}

func TestPlan_Packing(t *testing.T) {
	_, full := fixtures.PlanAndApply(t, fixtures.Wants(fixtures.Numbered(250)), nil)
	grown := fixtures.Numbered(260)
	tests := []struct {
		name      string
		endpoints []endpoint.Verdict
		want      [3]int
	}{
		{"a few more fit into the slice with room", grown, [3]int{0, 1, 0}},
		{"many more get a slice of their own, and the rest fit in", fixtures.Numbered(400), [3]int{1, 1, 0}},
		{"some fewer leave the rest where they are", fixtures.Numbered(220), [3]int{0, 1, 0}},
		{"an emptied slice goes", fixtures.Numbered(200), [3]int{0, 0, 1}},
		{"one goes and one comes in the same slice", append(fixtures.Numbered(99), grown[100:251]...), [3]int{0, 1, 0}},
		{"all go", nil, [3]int{0, 0, 3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			plan, after := fixtures.PlanAndApply(t, fixtures.Wants(test.endpoints), full)
			if fixtures.Writes(plan) != test.want {
				t.Errorf("create, update, delete = %v, want %v", fixtures.Writes(plan), test.want)
			}
			second, _ := fixtures.PlanAndApply(t, fixtures.Wants(test.endpoints), after)
			if fixtures.Writes(second) != [3]int{} {
				t.Errorf("a second plan still has %v", fixtures.Writes(second))
			}
		})
	}
}

func TestPlan_ChangedSlices_FullestIsFilledFirst(t *testing.T) {
	wants := fixtures.Wants(fixtures.Numbered(9))
	wants.MaxEndpoints = 3
	_, present := fixtures.PlanAndApply(t, wants, nil)
	// The first slice has room for two then, the third for one.
	wants.Endpoints = append(wants.Endpoints[2:8:8], fixtures.Healthy("10.0.9.9", fixtures.HTTPPort(8080)))
	_, after := fixtures.PlanAndApply(t, wants, present)
	sizes := []int{len(after[0].Endpoints), len(after[1].Endpoints), len(after[2].Endpoints)}
	if !slices.Equal(sizes, []int{1, 3, 3}) {
		t.Errorf("the slices hold %v, want the newcomer in the third", sizes)
	}
}

func TestPlan_UnchangedSlices_FullestWithRoomIsFilled(t *testing.T) {
	wants := fixtures.Wants(fixtures.Numbered(5))
	wants.MaxEndpoints = 2
	_, present := fixtures.PlanAndApply(t, wants, nil)
	wants.Endpoints, wants.MaxEndpoints = fixtures.Numbered(6), 3
	_, after := fixtures.PlanAndApply(t, wants, present)
	sizes := []int{len(after[0].Endpoints), len(after[1].Endpoints), len(after[2].Endpoints)}
	if !slices.Equal(sizes, []int{3, 2, 1}) {
		t.Errorf("the slices hold %v, want the newcomer in the first", sizes)
	}
}

// A slice is reused for new endpoints, while its endpoints move to two others, which must be
// written before.
func TestPlan_EndpointsMove_ShrinkingSlicesComeLast(t *testing.T) {
	portSets := []*endpoint.PortSet{fixtures.HTTPPort(1), fixtures.HTTPPort(2), fixtures.HTTPPort(3), fixtures.HTTPPort(4)}
	at := func(address string, ports int) endpoint.Verdict { return fixtures.Healthy(address, portSets[ports]) }
	_, present := fixtures.PlanAndApply(t, fixtures.Wants([]endpoint.Verdict{at("10.0.0.1", 0), at("10.0.0.2", 0), at("10.0.0.3", 1), at("10.0.0.4", 2)}), nil)
	plan, _ := fixtures.PlanAndApply(t, fixtures.Wants([]endpoint.Verdict{at("10.0.0.9", 3), at("10.0.0.1", 1), at("10.0.0.2", 2), at("10.0.0.3", 1), at("10.0.0.4", 2)}), present)
	if fixtures.Writes(plan) != [3]int{0, 3, 0} {
		t.Fatalf("create, update, delete = %v, want three updates", fixtures.Writes(plan))
	}
	if last := plan.Update[2]; len(last.Endpoints) != 1 || last.Endpoints[0].Addresses[0] != "10.0.0.9" {
		t.Errorf("%v is written last, want the slice that loses its endpoints", last)
	}
}

func TestPlan_ServiceIsBeingDeleted_CreatesNothing(t *testing.T) {
	_, present := fixtures.PlanAndApply(t, fixtures.Wants(fixtures.Numbered(150)), nil)
	wants := fixtures.Wants(fixtures.Numbered(250))
	wants.Service.DeletionTimestamp = &fixtures.Noon
	wants.Endpoints[120].Health = health.New(health.StateUnhealthy)
	if plan, _ := fixtures.PlanAndApply(t, wants, present); fixtures.Writes(plan) != [3]int{0, 1, 0} {
		t.Errorf("create, update, delete = %v, want one update", fixtures.Writes(plan))
	}
}

func TestPlan_PortsChange_UpdatesSlices(t *testing.T) {
	endpoints := fixtures.Numbered(150)
	_, before := fixtures.PlanAndApply(t, fixtures.Wants(endpoints), nil)
	moved := fixtures.HTTPPort(9090)
	for i := range endpoints {
		endpoints[i].Ports = moved
	}
	plan, after := fixtures.PlanAndApply(t, fixtures.Wants(endpoints), before)
	if fixtures.Writes(plan) != [3]int{0, 2, 0} {
		t.Errorf("create, update, delete = %v, want two updates", fixtures.Writes(plan))
	}
	for _, slice := range after {
		if *slice.Ports[0].Port != 9090 {
			t.Errorf("%s still has port %d", slice.Name, *slice.Ports[0].Port)
		}
	}
}

func TestPlan_Drift_IsRepaired(t *testing.T) {
	wants := fixtures.Wants(fixtures.Numbered(2))
	wants.Service.Labels = map[string]string{"team": "payments"}
	wants.Owner.Spec.EndpointSlices = &farpointv1.EndpointSliceOptions{
		Labels:      map[string]farpointv1.LabelValue{"tier": "gold"},
		Annotations: map[string]farpointv1.AnnotationValue{"note": "kept"},
	}
	_, sound := fixtures.PlanAndApply(t, wants, nil)
	no := false
	tests := map[string]func(*discoveryv1.EndpointSlice){
		"condition":         func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Conditions.Ready = &no },
		"missing condition": func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Conditions.Terminating = nil },
		"endpoint gone":     func(s *discoveryv1.EndpointSlice) { s.Endpoints = s.Endpoints[1:] },
		"endpoint twice":    func(s *discoveryv1.EndpointSlice) { s.Endpoints = append(s.Endpoints, s.Endpoints[0]) },
		"two addresses":     func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Addresses = []string{"10.0.0.1", "10.0.0.9"} },
		"foreign endpoint":  func(s *discoveryv1.EndpointSlice) { s.Endpoints[1].Addresses = []string{"10.9.9.9"} },
		"hint": func(s *discoveryv1.EndpointSlice) {
			s.Endpoints[0].Hints = &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: "a"}}}
		},
		"hostname": func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Hostname = fixtures.TextOrNil("db-0") },
		"node":     func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].NodeName = fixtures.TextOrNil("node-a") },
		"topology": func(s *discoveryv1.EndpointSlice) {
			s.Endpoints[0].DeprecatedTopology = map[string]string{corev1.LabelTopologyZone: "a"}
		},
		"zone":                func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Zone = fixtures.TextOrNil("a") },
		"port":                func(s *discoveryv1.EndpointSlice) { s.Ports = fixtures.HTTPPort(1).Ports },
		"label":               func(s *discoveryv1.EndpointSlice) { delete(s.Labels, "team") },
		"foreign label":       func(s *discoveryv1.EndpointSlice) { s.Labels["x"] = "y" },
		"annotation":          func(s *discoveryv1.EndpointSlice) { s.Annotations = nil },
		"owner reference":     func(s *discoveryv1.EndpointSlice) { s.OwnerReferences = nil },
		"other owner's uid":   func(s *discoveryv1.EndpointSlice) { s.OwnerReferences[0].UID = "0" },
		"service":             func(s *discoveryv1.EndpointSlice) { s.Labels[discoveryv1.LabelServiceName] = "other" },
		"headless by mistake": func(s *discoveryv1.EndpointSlice) { s.Labels[corev1.IsHeadlessService] = "" },
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			damaged := sound[0].DeepCopy()
			damaged.ResourceVersion = "7"
			damage(damaged)
			plan, after := fixtures.PlanAndApply(t, wants, []*discoveryv1.EndpointSlice{damaged})
			if fixtures.Writes(plan) != [3]int{0, 1, 0} {
				t.Fatalf("create, update, delete = %v, want one update", fixtures.Writes(plan))
			}
			if plan.Update[0].ResourceVersion != "7" {
				t.Error("the update would overwrite whatever is newer")
			}
			repaired := after[0].DeepCopy()
			repaired.ResourceVersion = ""
			slices.SortFunc(repaired.Endpoints, func(a, b discoveryv1.Endpoint) int { return slices.Compare(a.Addresses, b.Addresses) })
			if !equality.Semantic.DeepEqual(repaired, sound[0]) {
				t.Errorf("repaired to %+v, want %+v", repaired, sound[0])
			}
		})
	}
}

func TestPlan_SliceNames_DependOnContents(t *testing.T) {
	_, first := fixtures.PlanAndApply(t, fixtures.Wants(fixtures.Numbered(250)), nil)
	_, second := fixtures.PlanAndApply(t, fixtures.Wants(fixtures.Numbered(250)), nil)
	other := fixtures.Wants(fixtures.Numbered(250))
	other.Owner.Namespace = "elsewhere"
	_, elsewhere := fixtures.PlanAndApply(t, other, nil)
	for i := range first {
		if first[i].Name != second[i].Name {
			t.Errorf("slice %d is called %s now and %s then", i, first[i].Name, second[i].Name)
		}
		if first[i].Name == elsewhere[i].Name {
			t.Errorf("%s is also the name of another object's slice", first[i].Name)
		}
	}
	// A name in the middle that is free again is taken again.
	_, refilled := fixtures.PlanAndApply(t, fixtures.Wants(fixtures.Numbered(300)), []*discoveryv1.EndpointSlice{first[0], first[2]})
	if names := []string{refilled[0].Name, refilled[1].Name, refilled[2].Name}; !slices.Contains(names, first[1].Name) {
		t.Errorf("names are %v, without the free %s", names, first[1].Name)
	}
}
