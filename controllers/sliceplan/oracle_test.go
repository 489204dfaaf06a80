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
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/effort"
	"farpoint.dev/farpoint/test/fixtures"
)

// expectedStates is what all slices together should say, computed without regard to slices.
func (m *simulation) expectedStates() map[string]string {
	hinted := m.service.Spec.TrafficDistribution != nil
	byHand := false
	for _, e := range m.endpoints {
		byHand = byHand || len(e.ForZones) > 0
	}
	lacking := false
	for _, e := range m.endpoints {
		matters := e.State == "" || e.State == farpointv1.EndpointActive || e.State == farpointv1.EndpointDraining && m.service.Spec.PublishNotReadyAddresses
		lacking = lacking || matters && len(e.ForZones) == 0 && (!hinted || e.Zone == "")
	}
	states := map[string]string{}
	for _, e := range m.endpoints {
		var zones []string
		switch {
		case lacking:
		case len(e.ForZones) > 0:
			zones = e.ForZones
		case hinted && e.Zone != "":
			zones = []string{e.Zone}
		}
		drains := e.health == health.StateDraining
		ready, serving, terminating := false, e.health == health.StateHealthy || drains, false
		switch e.State {
		case farpointv1.EndpointDraining:
			terminating = true
		case farpointv1.EndpointDisabled:
			serving = false
		default:
			ready, terminating = serving && !drains, drains
		}
		if m.service.Spec.PublishNotReadyAddresses && e.State != farpointv1.EndpointDisabled {
			ready = true
		}
		hidden := ""
		switch implied := map[bool]health.State{false: health.StateUnhealthy, true: health.StateHealthy}[serving]; {
		case e.State == farpointv1.EndpointDisabled:
			hidden = slicestate.DisabledWord
		case e.health != implied:
			hidden = string(endpoint.HealthOf(e.health))
		}
		states[fmt.Sprintf("%s %d", e.Address, e.port)] = fmt.Sprintf("%v %v %v zone=%q host=%q hints=%q hidden=%s", ready, serving, terminating, e.Zone, e.Hostname, zones, hidden)
	}
	return states
}

// actualStates is the state in slices. It fails if a slice could not be written or has no owner.
func (m *simulation) actualStates(t *testing.T, present []*discoveryv1.EndpointSlice) map[string]string {
	t.Helper()
	states := map[string]string{}
	for _, slice := range present {
		if n := len(slice.Endpoints); n == 0 || n > m.max {
			t.Fatalf("%s holds %d endpoints, and may hold %d", slice.Name, n, m.max)
		}
		zone, labelled := slice.Labels[corev1.LabelTopologyZone]
		for _, endpoint := range slice.Endpoints {
			address := netip.MustParseAddr(endpoint.Addresses[0])
			if address.Is4() != (slice.AddressType == discoveryv1.AddressTypeIPv4) {
				t.Fatalf("%s is in a slice of %s", address, slice.AddressType)
			}
			of := ptr.Deref(endpoint.Zone, "")
			if m.options.GroupBy == farpointv1.GroupByZone && (of != zone || labelled != (of != "")) || m.options.GroupBy != farpointv1.GroupByZone && labelled {
				t.Fatalf("an endpoint of zone %q is in a slice of zone %q", of, zone)
			}
			key := fmt.Sprintf("%s %d", address, *slice.Ports[0].Port)
			if _, twice := states[key]; twice {
				t.Fatalf("%s is published twice", key)
			}
			states[key] = saying(slice, &endpoint)
		}
		if !maps.Equal(slice.Annotations, map[string]string{
			"note": "ours", corev1.EndpointsLastChangeTriggerTime: slice.Annotations[corev1.EndpointsLastChangeTriggerTime],
			farpointv1.SliceStateAnnotation: slice.Annotations[farpointv1.SliceStateAnnotation],
		}) {
			t.Fatalf("%s has the annotations %v", slice.Name, slice.Annotations)
		}
	}
	return states
}

// saying is an endpoint's state in a slice, by its conditions and its annotation.
func saying(slice *discoveryv1.EndpointSlice, endpoint *discoveryv1.Endpoint) string {
	hidden := ""
	state, _ := slicestate.Parse(slice.Annotations[farpointv1.SliceStateAnnotation])
	for _, entry := range state.Endpoints {
		if slices.Contains(entry.Addresses, endpoint.Addresses[0]) {
			hidden = entry.Role + entry.Health
		}
	}
	var zones []string
	if endpoint.Hints != nil {
		for _, hint := range endpoint.Hints.ForZones {
			zones = append(zones, hint.Name)
		}
	}
	conditions := endpoint.Conditions
	if endpoint.TargetRef != nil {
		return "something that is not ours"
	}
	return fmt.Sprintf("%v %v %v zone=%q host=%q hints=%q hidden=%s", *conditions.Ready, *conditions.Serving, *conditions.Terminating, ptr.Deref(endpoint.Zone, ""), ptr.Deref(endpoint.Hostname, ""), zones, hidden)
}

// step plans, checks the plan and applies it.
func (m *simulation) step(t *testing.T, edit string, calm bool) sliceplan.Plan {
	t.Helper()
	m.trigger = m.trigger.Add(time.Second)
	wants, before := m.wants(), deepCopies(m.present)
	plan := sliceplan.Make(wants, m.present)
	if !equality.Semantic.DeepEqual(before, m.present) || !reflect.DeepEqual(wants, m.wants()) {
		t.Fatalf("after %s: planning changed what it was given", edit)
	}
	if shuffled := sliceplan.Make(wants, backwards(m.present)); !equality.Semantic.DeepEqual(plan, shuffled) {
		t.Fatalf("after %s: the plan depends on the order in which slices are listed", edit)
	}
	created, updated := deepCopies(plan.Create), deepCopies(plan.Update)
	copies := slices.Concat(created, updated)
	for i, slice := range slices.Concat(plan.Create, plan.Update) {
		if !equality.Semantic.DeepEqual(slice, copies[i]) {
			t.Fatalf("after %s: slices that are written share memory", edit)
		}
		scribble(slice)
	}
	if !equality.Semantic.DeepEqual(before, m.present) || !reflect.DeepEqual(wants, m.wants()) {
		t.Fatalf("after %s: what is written shares memory with what the planner was given", edit)
	}
	plan.Create, plan.Update = created, updated
	for i, shrinking := range plan.ShrinkLast {
		if last := updated[len(updated)-len(plan.ShrinkLast)+i]; last.Name != shrinking.Name {
			t.Fatalf("after %s: %s is said to lose endpoints, but %s is written in its place", edit, shrinking.Name, last.Name)
		}
	}
	if calm {
		if budget := m.coreWrites(); total(plan) > budget {
			t.Fatalf("after %s: %v writes, core's rules make %d", edit, fixtures.Writes(plan), budget)
		}
	}
	m.applyPlan(t, edit, plan)
	if got, want := m.actualStates(t, m.present), m.expectedStates(); !maps.Equal(got, want) {
		t.Fatalf("after %s: slices say\n%v, want\n%v", edit, got, want)
	}
	if plan.Kept != len(m.present) {
		t.Fatalf("after %s: says that %d slices remain, but %d do", edit, plan.Kept, len(m.present))
	}
	wants.Trigger = m.trigger.Add(time.Hour)
	if second := sliceplan.Make(wants, m.present); total(second) != 0 {
		t.Fatalf("after %s: a second plan still has %v", edit, fixtures.Writes(second))
	}
	return plan
}

// applyPlan makes one write after the other, as the API server would, and fails if an endpoint
// that was there before and is still requested is missing after one of them.
func (m *simulation) applyPlan(t *testing.T, edit string, plan sliceplan.Plan) {
	t.Helper()
	requested := map[string]bool{}
	for _, e := range m.endpoints {
		requested[e.Address] = true
	}
	byName, stay := map[string]*discoveryv1.EndpointSlice{}, map[string]bool{}
	for _, slice := range m.present {
		byName[slice.Name] = slice
		for _, endpoint := range slice.Endpoints {
			if requested[endpoint.Addresses[0]] {
				stay[endpoint.Addresses[0]] = true
			}
		}
	}
	check := func(what string) {
		t.Helper()
		there := map[string]bool{}
		for _, slice := range byName {
			for _, endpoint := range slice.Endpoints {
				there[endpoint.Addresses[0]] = true
			}
		}
		for address := range stay {
			if !there[address] {
				t.Fatalf("after %s: %s is missing once %s", edit, address, what)
			}
		}
	}
	for _, slice := range plan.Create {
		if byName[slice.Name] != nil || slice.ResourceVersion != "" {
			t.Fatalf("after %s: creates %s, which exists", edit, slice.Name)
		}
		m.store(byName, slice)
	}
	for _, slice := range plan.Update {
		was := byName[slice.Name]
		if was == nil || was.ResourceVersion != slice.ResourceVersion || was.AddressType != slice.AddressType {
			t.Fatalf("after %s: cannot update %s of version %s", edit, slice.Name, slice.ResourceVersion)
		}
		m.store(byName, slice)
		check("updated " + slice.Name)
	}
	for _, slice := range plan.Delete {
		delete(byName, slice.Name)
		check("deleted " + slice.Name)
	}
	m.present = slices.Collect(maps.Values(byName))
	slices.SortFunc(m.present, func(a, b *discoveryv1.EndpointSlice) int {
		return strings.Compare(a.ResourceVersion, b.ResourceVersion)
	})
}

func (m *simulation) store(byName map[string]*discoveryv1.EndpointSlice, slice *discoveryv1.EndpointSlice) {
	m.writes++
	slice.ResourceVersion = fmt.Sprintf("%08d", m.writes)
	slice.Finalizers = []string{"example.com/of-others"}
	byName[slice.Name] = slice
}

// scribble overwrites what a slice points to, as decoding an answer into it may.
func scribble(slice *discoveryv1.EndpointSlice) {
	for i := range slice.Endpoints {
		endpoint := &slice.Endpoints[i]
		endpoint.Addresses[0] = "scribbled"
		for _, value := range []*bool{endpoint.Conditions.Ready, endpoint.Conditions.Serving, endpoint.Conditions.Terminating} {
			*value = !*value
		}
		for _, text := range []*string{endpoint.Zone, endpoint.Hostname, endpoint.NodeName} {
			if text != nil {
				*text = "scribbled"
			}
		}
		if endpoint.Hints != nil {
			for j := range endpoint.Hints.ForZones {
				endpoint.Hints.ForZones[j].Name = "scribbled"
			}
		}
	}
	for i := range slice.Ports {
		*slice.Ports[i].Port, *slice.Ports[i].Name, *slice.Ports[i].Protocol = 1, "scribbled", "scribbled"
	}
	for _, values := range []map[string]string{slice.Labels, slice.Annotations} {
		for key := range values {
			values[key] = "scribbled"
		}
	}
	for i := range slice.Finalizers {
		slice.Finalizers[i] = "scribbled"
	}
	slice.OwnerReferences[0].Name = "scribbled"
	*slice.OwnerReferences[0].Controller = false
}

func deepCopies(list []*discoveryv1.EndpointSlice) []*discoveryv1.EndpointSlice {
	copies := make([]*discoveryv1.EndpointSlice, len(list))
	for i := range list {
		copies[i] = list[i].DeepCopy()
	}
	return copies
}

func backwards(list []*discoveryv1.EndpointSlice) []*discoveryv1.EndpointSlice {
	reversed := slices.Clone(list)
	slices.Reverse(reversed)
	return reversed
}

func total(plan sliceplan.Plan) int { return len(plan.Create) + len(plan.Update) + len(plan.Delete) }

// run makes edits for as long as there are choices.
func (m *simulation) run(t *testing.T, c *choices) {
	t.Helper()
	for len(c.bytes) > 0 {
		edit := edits[c.of(len(edits))]
		before := m.expectedStates()
		edit.do(m, c)
		plan := m.step(t, edit.name, edit.calm)
		if edit.name == "flip" && total(plan) > 1 {
			t.Fatalf("one flip is %v writes", fixtures.Writes(plan))
		}
		if edit.name == "flip" && !maps.Equal(before, m.expectedStates()) && fixtures.Writes(plan) != [3]int{0, 1, 0} {
			t.Fatalf("one flip is %v writes, want one update", fixtures.Writes(plan))
		}
	}
}

func FuzzPlanSlices(f *testing.F) {
	random := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		f.Add(randomBytes(random, 100))
	}
	f.Fuzz(func(t *testing.T, decisions []byte) {
		newSimulation().run(t, &choices{decisions})
	})
}

// TestPlanAgainstOracle edits, flips and meddles at random, and compares the slices with what is
// expected, and the writes with those of core's rules.
func TestPlanAgainstOracle(t *testing.T) {
	for seed := range uint64(effort.Rounds(80, 10)) {
		random := rand.New(rand.NewPCG(seed, 2))
		decisions := randomBytes(random, 200)
		if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { newSimulation().run(t, &choices{decisions}) }) {
			break
		}
	}
}

func randomBytes(random *rand.Rand, n int) []byte {
	bytes := make([]byte, n)
	for i := range bytes {
		bytes[i] = byte(random.Uint32())
	}
	return bytes
}
